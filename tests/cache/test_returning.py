"""A write that returns rows: SQLite commits it when the last of them has been read."""

import weakref
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction

from batchapi.store import Store
from tests.cache.telling import GROUPS, Told

pytestmark = [pytest.mark.django_db(transaction=True)]


def insert_returning(name: str) -> Any:
    """An open cursor, of which nothing was read."""
    cursor = connection.cursor()
    cursor.execute("INSERT INTO auth_group (name) VALUES (%s) RETURNING id", [name])
    return cursor


def test_a_cursor_that_is_thrown_away_is_told_of(told: Told) -> None:
    """Nobody has to close one."""
    insert_returning("a").fetchall()
    assert told == [GROUPS]


def test_the_next_statement_finds_what_a_cursor_has_committed(told: Told) -> None:
    cursor = insert_returning("a")
    cursor.fetchall()
    Group.objects.count()
    assert GROUPS in told
    cursor.close()


def test_a_cursor_that_is_used_again_is_told_of_each_time(told: Told) -> None:
    with connection.cursor() as cursor:
        for name in "ab":
            cursor.execute("INSERT INTO auth_group (name) VALUES (%s) RETURNING id", [name])
            cursor.fetchall()
    assert told[-1] == GROUPS
    assert len(told) >= 2


def test_rows_in_a_transaction_wait_for_its_end(told: Told) -> None:
    with transaction.atomic():
        insert_returning("a").fetchall()
        with insert_returning("b") as cursor:
            cursor.fetchall()
        assert told == []
    assert told == [GROUPS]


def test_the_cursor_of_a_write_is_freed_at_once(store: Store) -> None:
    """No loop of references keeps it, and with it what SQLite has locked."""
    cursor = insert_returning("a")
    cursor.fetchall()
    seen = weakref.ref(cursor)
    del cursor
    assert seen() is None
