"""Transactions that only SQL or manual mode knows of, and COMMITs that fail."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.db.utils import IntegrityError, OperationalError

from batchapi import statements
from batchapi.store import Store
from chat.models import Message
from tests.cache.asking import ask, said
from tests.cache.telling import GROUPS, RENAME, USERS, Told, taken_back
from tests.cache.world import execute

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _nothing_stays_open(transactional_db: None) -> Iterator[None]:
    """A test that fails leaves the others alone."""
    yield
    connection.close()


@pytest.fixture
def _manual(transactional_db: None) -> Iterator[None]:
    """Autocommit is off for the test."""
    transaction.set_autocommit(False)
    yield
    transaction.rollback()
    transaction.set_autocommit(True)


@pytest.mark.usefixtures("_manual")
def test_without_autocommit_it_is_told_at_each_commit(told: Told) -> None:
    execute(RENAME)
    assert told == []
    transaction.commit()
    assert told == [GROUPS]
    transaction.commit()
    assert told == [GROUPS]


@pytest.mark.usefixtures("_manual")
def test_without_autocommit_a_rollback_tells_nothing(told: Told) -> None:
    execute(RENAME)
    transaction.rollback()
    transaction.commit()
    assert told == []


@pytest.mark.usefixtures("_manual")
def test_without_autocommit_a_raw_commit_tells_too(told: Told) -> None:
    execute(RENAME, "COMMIT")
    assert told == [GROUPS]
    transaction.rollback()
    assert told == [GROUPS]


def test_a_raw_transaction_is_told_of_when_it_commits(told: Told) -> None:
    execute("BEGIN", RENAME, "SAVEPOINT s", "UPDATE auth_user SET first_name = 'x'", "RELEASE s")
    assert told == []
    execute("COMMIT")
    assert told == [GROUPS | USERS]


@pytest.mark.parametrize("end", ["END", "COMMIT", "  commit ;", "/* by a tool */ COMMIT"])
def test_every_word_for_the_end_of_a_raw_transaction_is_known(told: Told, end: str) -> None:
    execute("BEGIN", RENAME)
    assert told == []
    execute(end)
    assert len(told) == 1
    assert told[0] >= GROUPS


def test_a_raw_commit_inside_of_atomic_tells_whatever_happens_then(told: Told) -> None:
    with taken_back():
        execute(RENAME, "COMMIT", "BEGIN")
        assert told == [GROUPS]
    assert told == [GROUPS]


def test_nobody_is_harmed_by_a_raw_rollback(told: Told) -> None:
    execute("BEGIN", RENAME, "ROLLBACK")
    assert told in ([], [GROUPS])
    told.clear()
    User.objects.create(username="b")
    assert told == [USERS]


def test_a_connection_that_is_closed_with_open_work_tells_nothing(told: Told) -> None:
    execute("BEGIN", RENAME)
    connection.close()
    User.objects.count()
    assert told == []


def test_a_connection_that_is_closed_after_the_driver_has_committed_tells(told: Told) -> None:
    execute("BEGIN", RENAME)
    connection.connection.commit()
    assert told == []
    connection.close()
    assert told == [GROUPS]


def test_a_rollback_after_the_driver_has_committed_tells(told: Told) -> None:
    execute("BEGIN", RENAME)
    connection.connection.commit()
    connection.rollback()
    assert told == [GROUPS]


def break_a_reference() -> None:
    """A row that refers to none, which is found out at the COMMIT."""
    Message.objects.create(session_id=10**6, content="of nobody")


def test_a_commit_that_fails_is_told_of_all_the_same(told: Told) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        break_a_reference()
    assert len(told) == 1
    assert told[0] >= {Message._meta.db_table}
    told.clear()
    User.objects.create(username="b")
    assert told == [USERS], "what was rolled back is forgotten"


def lost(connection_: Any) -> Callable[[], None]:
    """A COMMIT that comes through, and whose answer does not."""

    def commit() -> None:
        connection_.connection.commit()
        raise OperationalError("the connection was cut")

    return commit


def test_a_commit_whose_answer_is_lost_is_told_of_by_whoever_watches_it_too(told: Told) -> None:
    """A batch rolls back when a COMMIT fails. That must not make anybody forget."""

    class Watching:
        def begin(self, *_: Any, **__: Any) -> None: ...

        def end(self, **_: Any) -> None: ...

        def close(self, _: Any, close: Callable[[], None]) -> None:
            close()

        def commit(self, watched: Any, commit: Callable[[], None]) -> None:
            try:
                commit()
            except OperationalError:
                watched.rollback()
                raise

    token = statements.watcher.set(Watching())
    try:
        execute("BEGIN", RENAME)
        with pytest.raises(OperationalError):
            statements.commit(connections[DEFAULT_DB_ALIAS], lost(connection))
    finally:
        statements.watcher.reset(token)
    assert told == [GROUPS]


def test_a_commit_that_is_refused_is_told_of_when_it_comes_through_at_last(told: Told) -> None:
    """SQLite is busy, say: the transaction stays open, and COMMIT may be tried again."""

    def busy() -> None:
        raise OperationalError("database is locked")

    execute("BEGIN", RENAME)
    with pytest.raises(OperationalError):
        statements.commit(connections[DEFAULT_DB_ALIAS], busy)
    told.clear()
    connection.commit()
    assert told == [GROUPS]


@pytest.mark.urls("tests.cache.world")
def test_inside_a_raw_transaction_a_batch_keeps_nothing_and_is_given_nothing(store: Store) -> None:
    """Its rows may never be committed, and then nobody would be told."""
    Group.objects.create(name="old")
    [record] = ask("/api/rows/groups/")
    assert said(record) == "fwd=miss; stored"
    execute("BEGIN", RENAME)
    assert [(record["body"], said(record)) for record in ask("/api/rows/groups/")] == [(["renamed"], "")]
    execute("ROLLBACK")
    [record] = ask("/api/rows/groups/")
    assert record["body"] == ["old"]
