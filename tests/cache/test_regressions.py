"""What the machine of test_machine.py has found."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.contrib.auth.models import Group
from django.db import connection, connections, transaction

from tests.cache.asking import ask, fate

pytestmark = [pytest.mark.urls("tests.cache.views"), pytest.mark.usefixtures("store")]


def run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@contextmanager
def raw_transaction() -> Iterator[None]:
    """One that Django does not know of, and that has written."""
    run("BEGIN")
    run("INSERT INTO auth_group (name) VALUES ('a')")
    try:
        yield
    finally:
        run("ROLLBACK")


def test_a_batch_in_a_transaction_that_raw_sql_began_sees_what_is_written_there() -> None:
    Group.objects.count()  # The connection is open.
    with raw_transaction():
        records = ask("/api/names/", "/api/names/?again", "/api/headers/")
    assert [record["body"] for record in records] == [["a"], ["a"], 1]


def test_in_a_transaction_that_raw_sql_began_nothing_is_given_or_kept() -> None:
    ask("/api/names/")
    assert fate("/api/names/") == "hit"
    with raw_transaction():
        assert [fate("/api/names/"), fate("/api/names/?new")] == ["", ""]
    assert [record["body"] for record in ask("/api/names/", "/api/names/?new")] == [[], []]


def names_elsewhere() -> list[str]:
    """What a batch says on another thread, whose connections are closed again."""
    with ThreadPoolExecutor(1) as thread:
        [record] = thread.submit(ask, "/api/names/").result()
        thread.submit(connections.close_all).result()
    body: list[str] = record["body"]
    return body


def names_in_the_table() -> list[str]:
    with ThreadPoolExecutor(1) as thread:
        names = thread.submit(lambda: list(Group.objects.values_list("name", flat=True))).result()
        thread.submit(connections.close_all).result()
    return names


def test_what_a_savepoint_commits_where_autocommit_is_off_is_seen_at_once() -> None:
    """SQLite does so; PostgreSQL does not."""
    names_elsewhere()
    transaction.set_autocommit(False)
    try:
        with transaction.atomic():
            Group.objects.create(name="a")
        assert names_elsewhere() == names_in_the_table() == (["a"] if connection.vendor == "sqlite" else [])
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert names_elsewhere() == names_in_the_table()
