"""One attempt by itself: what it says became of its writes, and what it lets happen once its time is over."""

import sqlite3
from collections.abc import Callable
from contextlib import closing, nullcontext
from time import monotonic
from typing import Any

import pytest
from django.db import OperationalError

from batchapi.execute.attempt import CANCELS, GRACE, Attempt, AttemptOver, this
from batchapi.statements import observe_connection, watcher

INSERT, SELECT = "INSERT INTO t VALUES (1)", "SELECT 1"


class Raw:
    """The driver's own connection."""

    def __init__(self, happened: list[str]) -> None:
        self.happened = happened

    def interrupt(self) -> None:
        self.happened.append("interrupt")

    def cancel_safe(self, *, timeout: float) -> None:
        self.happened.append("cancel")

    def close(self) -> None:
        self.happened.append("close for good")


class Connection:
    """As much of Django's connection as an attempt looks at."""

    alias = "default"
    in_atomic_block = False
    autocommit = True

    class Database:
        Error = OSError

    def __init__(self, vendor: str = "sqlite") -> None:
        self.vendor = vendor
        self.happened: list[str] = []
        self.connection = Raw(self.happened)
        self.is_dead = False

    def rollback(self) -> None:
        if self.is_dead:
            raise OperationalError
        self.happened.append("rollback")

    def commit(self) -> None:
        self.happened.append("commit")

    def close(self) -> None:
        self.happened.append("close")


class Implicit(Connection):
    """MySQL and its kin: switching autocommit on commits what is open, and no COMMIT is sent for that."""

    autocommit = False

    def __init__(self) -> None:
        super().__init__("mysql")
        self.execute_wrappers: list[object] = []
        observe_connection(connection=self)  # type: ignore[arg-type]

    def _commit(self) -> None:
        self.happened.append("commit")

    def _rollback(self) -> None:
        self.happened.append("rollback")

    def _close(self) -> None:
        self.happened.append("close")

    def _set_autocommit(self, is_on: bool) -> None:
        self.happened.append(f"autocommit {is_on}")


def run(trying: Attempt, connection: Any, sql: str, *, is_done: bool = True) -> None:
    trying.begin(connection, sql, None, is_write=sql == INSERT)
    trying.end(is_write=sql == INSERT, is_done=is_done)


def in_transaction(trying: Attempt, connection: Any, *statements: str) -> None:
    connection.in_atomic_block = True
    for sql in statements:
        run(trying, connection, sql)
    connection.in_atomic_block = False


def commit(trying: Attempt, connection: Any) -> None:
    trying.commit(connection, connection.commit)


def fail() -> None:
    raise OperationalError("no")


def commit_and_fail(trying: Attempt, connection: Any) -> None:
    with pytest.raises(OperationalError):
        trying.commit(connection, fail)


def commit_and_lose(trying: Attempt, connection: Any) -> None:
    connection.is_dead = True
    commit_and_fail(trying, connection)


Step = Callable[[Attempt, Any], None]


def read(trying: Attempt, connection: Any) -> None:
    run(trying, connection, SELECT)


def write(trying: Attempt, connection: Any) -> None:
    run(trying, connection, INSERT)


def fail_to_write(trying: Attempt, connection: Any) -> None:
    run(trying, connection, INSERT, is_done=False)


def begin_to_write(trying: Attempt, connection: Any) -> None:
    trying.begin(connection, INSERT, None, is_write=True)


def write_in_transaction(trying: Attempt, connection: Any) -> None:
    in_transaction(trying, connection, SELECT, INSERT)


def begin_to_write_in_transaction(trying: Attempt, connection: Any) -> None:
    connection.in_atomic_block = True
    trying.begin(connection, INSERT, None, is_write=True)


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        ([], "none"),
        ([read], "none"),
        ([read, commit], "none"),
        ([write], "committed"),
        ([write, read], "committed"),
        ([fail_to_write], "rolled_back"),
        ([begin_to_write], "unknown"),
        ([begin_to_write_in_transaction], "rolled_back"),
        ([write_in_transaction], "rolled_back"),
        ([write_in_transaction, commit], "committed"),
        ([write_in_transaction, commit_and_fail], "rolled_back"),
        ([write_in_transaction, commit_and_lose], "unknown"),
        ([write, write_in_transaction, commit_and_fail], "committed"),
        ([write, write_in_transaction, commit_and_lose], "unknown"),
    ],
)
def test_the_outcome_is_what_became_of_its_writes(steps: list[Step], outcome: str):
    trying, connection = Attempt(), Connection()
    for step in steps:
        step(trying, connection)
    assert trying.outcome == outcome


def test_once_time_is_over_nothing_begins():
    trying, connection = Attempt(ends_at=0.0), Connection()
    for sql in (SELECT, INSERT, "SAVEPOINT s", "BEGIN"):
        with pytest.raises(AttemptOver):
            run(trying, connection, sql)
    assert trying.outcome == "none"


def test_what_takes_back_may_happen_at_any_time():
    trying, connection = Attempt(ends_at=0.0), Connection()
    for sql in ("ROLLBACK TO SAVEPOINT s", "release savepoint s", " ROLLBACK ; "):
        run(trying, connection, sql)


@pytest.mark.parametrize("sql", ["ROLLBACK; DELETE FROM t", "RELEASE s;\nINSERT INTO t VALUES (1)", "ROLLBACKS"])
def test_what_comes_after_it_may_not(sql: str):
    trying, connection = Attempt(ends_at=0.0), Connection()
    with pytest.raises(AttemptOver):
        run(trying, connection, sql)


def test_a_commit_that_comes_too_late_is_a_rollback():
    trying, connection = Attempt(), Connection()
    write_in_transaction(trying, connection)
    trying.ends_at = 0.0
    with pytest.raises(AttemptOver):
        commit(trying, connection)
    assert connection.happened == ["rollback"]
    assert trying.outcome == "rolled_back"


@pytest.mark.parametrize(
    ("ends_at", "happened", "outcome"),
    [(float("inf"), ["commit", "autocommit True"], "committed"), (0.0, ["rollback"], "rolled_back")],
)
def test_a_commit_that_is_not_sent_as_one_is_seen(ends_at: float, happened: list[str], outcome: str):
    trying, connection = Attempt(), Implicit()
    token = watcher.set(trying)
    try:
        write(trying, connection)
        assert trying.outcome == "rolled_back"
        trying.ends_at = ends_at
        with nullcontext() if ends_at else pytest.raises(AttemptOver):
            connection._set_autocommit(True)
        connection._set_autocommit(False)
    finally:
        watcher.reset(token)
    assert connection.happened == [*happened, "autocommit False"]
    assert trying.outcome == outcome


def test_the_error_of_a_query_that_was_cancelled_is_not_the_views():
    trying, connection = Attempt(), Connection()
    trying.begin(connection, SELECT, None, is_write=False)
    trying.ends_at = 0.0
    trying.cancel()
    with pytest.raises(AttemptOver):
        trying.end(is_write=False, is_done=False)
    write_in_transaction(other := Attempt(), connection)

    def be_cancelled() -> None:
        other.ends_at = 0.0
        other.is_over = True
        fail()

    with pytest.raises(AttemptOver):
        other.commit(connection, be_cancelled)
    assert other.outcome == "rolled_back"


def test_where_nothing_is_enforced_everything_happens():
    trying, connection = Attempt(ends_at=0.0, is_enforced=False), Connection()
    write(trying, connection)
    write_in_transaction(trying, connection)
    commit(trying, connection)
    run(trying, connection, SELECT, is_done=False)
    assert connection.happened == ["commit"]
    with pytest.raises(AttemptOver):
        trying.in_time_or_over("its answer")


@pytest.mark.parametrize(("vendor", "cancel"), [("sqlite", "interrupt"), ("postgresql", "cancel")])
def test_a_cancel_is_sent_more_than_once(vendor: str, cancel: str):
    """The first may come just before the query begins, and would do nothing."""
    trying, connection = Attempt(ends_at=0.0), Connection(vendor)
    trying.asks.add(connection)  # type: ignore[arg-type]
    interrupts: list[None] = []
    trying.interrupt = lambda: interrupts.append(None)
    due = []
    for _ in range(CANCELS):
        assert not trying.is_lost
        trying.note_cancel()
        trying.cancel()
        due.append(trying.next_step_at)
    assert connection.happened == [cancel] * CANCELS
    assert len(interrupts) == 1, "an async view cleans up in peace"
    assert sorted(set(due)) == due
    assert due[-1] > monotonic()


def test_a_cancel_does_not_hit_the_next_member_of_a_group():
    """Whoever keeps time saw the end of the member before."""
    trying, connection = Attempt(ends_at=0.0), Connection()
    trying.used.add(connection)  # type: ignore[arg-type]
    trying.end_request(ends_at=monotonic() + 100)
    trying.cancel()
    read(trying, connection)
    assert connection.happened == []
    assert not trying.is_late


def test_a_cancel_after_the_end_is_none():
    trying, connection = Attempt(), Connection()
    write(trying, connection)
    trying.finish()
    trying.ends_at = 0.0
    trying.cancel()
    trying.close_cancelled()
    assert connection.happened == []
    assert trying.outcome == "committed"


def test_whoever_closes_a_connection_that_was_sent_a_cancel_closes_it_for_good():
    trying, connection, other = Attempt(ends_at=0.0), Connection("postgresql"), Connection("postgresql")
    trying.used.add(connection)  # type: ignore[arg-type]
    trying.cancel()
    for each in (connection, other):
        trying.close(each, each.close)  # type: ignore[arg-type]
    assert connection.happened == ["cancel", "close for good", "close"]
    assert other.happened == ["close"]


def test_elsewhere_there_is_an_attempt_that_never_ends():
    assert not this().is_late
    assert this().remaining() > 1000


def test_an_async_views_cancel_is_sent_only_while_its_own_query_runs():
    """Those beside it have the same connection."""
    trying, connection = Attempt(), Connection()
    trying.interrupt = lambda: None
    read(trying, connection)
    trying.ends_at = 0.0
    trying.cancel()
    assert connection.happened == []
    trying = Attempt()
    trying.interrupt = lambda: None
    begin_to_write(trying, connection)
    trying.ends_at = 0.0
    trying.cancel()
    assert connection.happened == ["interrupt"]


def test_who_is_lost_is_told_by_time():
    """A cancel that goes over a broken network may take longer than anybody waits."""
    trying = Attempt(ends_at=0.0)
    trying.note_cancel()
    assert not trying.is_lost
    trying.cancelled_at -= GRACE
    assert trying.is_lost


def test_a_write_that_is_interrupted_as_it_returns_is_not_said_to_be_committed() -> None:
    """It is taken back where its row is read, as SQLite does by itself."""
    with closing(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)) as raw:
        raw.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
        connection: Any = Connection()
        connection.connection = raw
        attempt = Attempt(ends_at=monotonic() + 60)
        attempt.begin(connection, INSERT, (), is_write=True)
        cursor = raw.execute("INSERT INTO t VALUES (1), (2) RETURNING n")
        attempt.ends_at = 0.0
        attempt.cancel()
        attempt.end(is_write=True, is_done=True)
        assert attempt.outcome == "unknown"
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            cursor.fetchall()
        assert raw.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
