"""Ours and others' hooks on one connection: neither harms the other, and the commit comes first."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.test import TestCase

from batchapi import statements, uncommitted
from tests.cache.conftest import caching
from tests.cache.telling import GROUPS, RENAME, USERS, Told
from tests.cache.world import elsewhere, execute

pytestmark = [pytest.mark.django_db(transaction=True)]


def test_it_is_told_before_on_commit_hooks_run(told: Told) -> None:
    heard: list[Told] = []
    with transaction.atomic():
        transaction.on_commit(lambda: heard.append([*told]))
        Group.objects.create(name="a")
    assert heard == [[GROUPS]]


def test_a_hook_that_raises_takes_nothing_away(told: Told) -> None:
    def fail() -> None:
        raise KeyError("their hook")

    with suppress(KeyError), transaction.atomic():
        transaction.on_commit(fail)
        Group.objects.create(name="a")
    assert Group.objects.count() == 1
    assert told == [GROUPS]


def test_what_a_hook_writes_is_told_of_by_itself(told: Told) -> None:
    with transaction.atomic():
        transaction.on_commit(lambda: User.objects.update(first_name="x"))
        Group.objects.create(name="a")
    assert told == [GROUPS, USERS]


def test_inside_somebodys_wrapper_it_is_told_as_well(told: Told) -> None:
    def theirs(run: Callable[..., Any], *arguments: Any) -> Any:
        return run(*arguments)

    mine = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        with mine.execute_wrapper(theirs), mine.cursor() as cursor:  # It is opened in their block.
            cursor.execute(RENAME)
        assert told == [GROUPS]
        with mine.cursor() as cursor:
            cursor.execute(RENAME)
    finally:
        mine.close()
    assert told == [GROUPS, GROUPS]


def test_the_sql_of_somebodys_wrapper_is_told_of_too(told: Told) -> None:
    """One that writes on its own account, through the same connection."""

    def log(run: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        if "auth_user" not in sql:
            execute("UPDATE auth_user SET first_name = 'x'")
        return run(sql, *arguments)

    with connection.execute_wrapper(log):
        Group.objects.count()
    assert told == [USERS]


def test_a_method_that_was_somebody_elses_is_wrapped_and_not_left_out(told: Told) -> None:
    """Tools that trace a connection put methods of their own on it."""
    mine, called = connections.create_connection(DEFAULT_DB_ALIAS), []
    original = mine._commit

    def traced() -> None:
        called.append("commit")
        original()

    vars(mine)["_commit"] = traced
    try:
        mine.set_autocommit(False)
        with mine.cursor() as cursor:
            cursor.execute(RENAME)
        mine.commit()
    finally:
        mine.close()
    assert (called, told) == (["commit"], [GROUPS])


def test_a_thread_that_is_new_is_watched_from_its_first_statement(told: Told) -> None:
    elsewhere(lambda: Group.objects.create(name="a"))
    assert told == [GROUPS]


def test_a_connection_that_was_open_before_the_app_was_ready_is_watched(told: Told) -> None:
    """Ready looks at what is open on its thread; on another one it is from the next time that it is opened."""
    mine = connections[DEFAULT_DB_ALIAS]
    mine.ensure_connection()
    mine.execute_wrappers.remove(statements.observe)
    for name in (*statements.METHODS, statements.HOOKED):
        del vars(mine)[name]
    execute(RENAME)
    assert told == []
    statements.observe_all_connections()
    with transaction.atomic():
        execute(RENAME)
        assert told == []
    assert told == [GROUPS]


def test_the_trouble_of_one_receiver_harms_neither_the_commit_nor_the_next(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_tables: frozenset[str]) -> None:
        raise KeyError("no store")

    uncommitted.receivers.insert(0, fail)
    try:
        with transaction.atomic():
            Group.objects.create(name="a")
        Group.objects.create(name="b")
    finally:
        uncommitted.receivers.remove(fail)
    assert told == [GROUPS, GROUPS]
    assert Group.objects.count() == 2
    assert "auth_group" in caplog.text


def test_settings_that_make_no_sense_keep_nobody_from_writing(request: pytest.FixtureRequest, told: Told) -> None:
    with caching("redis", request, CACHE_ALIAS="there-is-none"):
        Group.objects.create(name="a")
    assert told == [GROUPS]


def test_a_redis_that_is_away_keeps_nobody_from_writing(request: pytest.FixtureRequest, told: Told) -> None:
    settings = caching("redis", request)
    settings.options["CACHES"]["default"]["LOCATION"] = "redis://127.0.0.1:1/0"
    with settings, transaction.atomic():
        Group.objects.create(name="a")
    assert (told, Group.objects.count()) == ([GROUPS], 1)


class InATestCase(TestCase):
    """Django's own test case, which rolls back."""

    def test_nothing(self) -> None:
        Group.objects.create(name="a")
        with transaction.atomic():
            User.objects.create(username="b")


def test_the_transactions_of_a_test_case_tell_nothing(told: Told) -> None:
    InATestCase("test_nothing").debug()
    assert Group.objects.count() == 0
    assert told == []
