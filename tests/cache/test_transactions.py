"""What is written is told of once it is committed: never before, once for each transaction, never for a rollback."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any

import pytest
import redis
from django.contrib.auth.models import Group, User
from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.db.utils import IntegrityError, OperationalError
from django.test import Client, TestCase
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from batchapi import statements, uncommitted
from batchapi.store import Store, get_store
from chat.models import Message, Session
from tests.cache.asking import ask
from tests.cache.conftest import caching
from tests.factories import SessionFactory

Told = list[set[str]]
GROUPS, USERS, SESSIONS = ({model._meta.db_table} for model in (Group, User, Session))
RENAME = "UPDATE auth_group SET name = 'renamed'"


class Write(APIView):
    """Writes two rows, and fails if it is told to."""

    authentication_classes = permission_classes = ()

    def post(self, request: Request) -> Response:
        Group.objects.create(name="a")
        User.objects.create(username="b")
        if request.data.get("fails"):
            raise RuntimeError("boom")
        return Response(connection.in_atomic_block)


urlpatterns = [path("api/write/", Write.as_view()), path("api/batch/", include("batchapi.urls"))]
pytestmark = [pytest.mark.django_db(transaction=True)]


def execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for sql in statements:
            cursor.execute(sql)


class TakenBack(Exception):
    """So that a transaction is rolled back."""


@contextmanager
def taken_back() -> Iterator[None]:
    """A transaction, or a savepoint of one, that ends with an exception."""
    with suppress(TakenBack), transaction.atomic():
        yield
        raise TakenBack


@pytest.fixture
def _manual(transactional_db: None) -> Iterator[None]:
    """Autocommit is off for the test."""
    transaction.set_autocommit(False)
    yield
    transaction.rollback()
    transaction.set_autocommit(True)


# -- Django's own transactions


def test_a_statement_by_itself_is_told_of_at_once(told: Told) -> None:
    execute(RENAME)
    assert told == [GROUPS]


def test_a_row_that_is_made_is_told_of_once(told: Told) -> None:
    """SQLite commits INSERT … RETURNING when its row is read, which is after the statement."""
    Group.objects.create(name="a")
    assert told == [GROUPS]


def test_nothing_is_told_before_the_commit_and_everything_once_after_it(told: Told) -> None:
    with transaction.atomic():
        Group.objects.create(name="a")
        User.objects.create(username="b")
        execute(RENAME)
        Group.objects.count()
        assert told == []
    assert told == [GROUPS | USERS]


def test_what_only_reads_tells_nothing(told: Told) -> None:
    with transaction.atomic():
        Group.objects.count()
    assert told == []


def test_a_rollback_tells_nothing(told: Told) -> None:
    with taken_back():
        Group.objects.create(name="a")
    with transaction.atomic():
        Group.objects.create(name="a")
        transaction.set_rollback(True)
    User.objects.count()
    assert told == []


def test_the_transaction_after_a_rollback_tells_of_its_own_only(told: Told) -> None:
    with taken_back():
        Group.objects.create(name="a")
    User.objects.create(username="b")
    assert told == [USERS]


def test_what_came_before_a_savepoint_outlives_its_rollback(told: Told) -> None:
    with transaction.atomic():
        Group.objects.create(name="a")
        with taken_back():
            User.objects.create(username="b")
        assert told == []
    assert len(told) == 1
    assert told[0] >= GROUPS


def test_a_table_that_was_written_inside_and_outside_a_savepoint_outlives_its_rollback(told: Told) -> None:
    with transaction.atomic():
        Group.objects.create(name="outside")
        savepoint = transaction.savepoint()
        Group.objects.create(name="inside")
        transaction.savepoint_rollback(savepoint)
    assert told == [GROUPS]


def test_a_savepoint_is_told_of_with_the_whole_transaction(told: Told) -> None:
    with transaction.atomic(durable=True):
        with transaction.atomic(), transaction.atomic(savepoint=False):
            Group.objects.create(name="a")
        assert told == []
        savepoint = transaction.savepoint()
        User.objects.create(username="b")
        transaction.savepoint_commit(savepoint)
        assert told == []
    assert told == [GROUPS | USERS]


def test_the_rows_are_there_when_they_are_told_of(told: Told) -> None:
    """Whoever reads on another connection after that gets the new ones."""
    seen: list[list[str]] = []

    def look(_tables: frozenset[str]) -> None:
        seen.append(elsewhere(lambda: list(Group.objects.values_list("name", flat=True))))

    with listening(look), transaction.atomic():
        Group.objects.create(name="a")
    with listening(look):
        Group.objects.create(name="b")
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO auth_group (name) VALUES ('c') RETURNING id, name")
            cursor.fetchall()
    assert [sorted(names) for names in seen] == [["a"], ["a", "b"], ["a", "b", "c"]]


@contextmanager
def listening(receiver: uncommitted.Receiver) -> Iterator[None]:
    uncommitted.receivers.append(receiver)
    try:
        yield
    finally:
        uncommitted.receivers.remove(receiver)


def elsewhere(do: Callable[[], Any]) -> Any:
    """What this gives on a thread with a connection of its own."""
    given: list[Any] = []

    def run() -> None:
        try:
            given.append(do())
        finally:
            connections.close_all()

    thread = Thread(target=run)
    thread.start()
    thread.join(20)
    assert given, "the thread failed"
    return given[0]


# -- hooks of others


def test_it_is_told_before_on_commit_hooks_run(told: Told) -> None:
    heard: list[Told] = []
    with transaction.atomic():
        transaction.on_commit(lambda: heard.append([*told]))
        Group.objects.create(name="a")
    assert heard == [[GROUPS]]


def test_a_hook_that_raises_takes_nothing_away(told: Told) -> None:
    def fail() -> None:
        raise TakenBack

    with suppress(TakenBack), transaction.atomic():
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


# -- manual transactions, and those that only SQL knows of


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


# -- a COMMIT that fails


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


# -- receivers, and where nobody is told


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
    with caching("redis", request) as _:
        pass
    backend = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    settings = caching("redis", request)
    settings.options["CACHES"] = {"default": backend}
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


# -- batches, and their round trips


@pytest.mark.parametrize("is_atomic", [True, False], ids=["ATOMIC_REQUESTS", "autocommit"])
@pytest.mark.urls(__name__)
def test_a_view_tells_as_its_transactions_do(told: Told, is_atomic: bool) -> None:
    connection.settings_dict["ATOMIC_REQUESTS"] = is_atomic
    try:
        write = {"method": "POST", "url": "/api/write/"}
        [record] = ask(write)
        assert record["body"] is is_atomic
        assert told == ([GROUPS | USERS] if is_atomic else [GROUPS, USERS])
        told.clear()
        Group.objects.all().delete()
        User.objects.all().delete()
        told.clear()
        [record] = ask({**write, "body": {"fails": True}})
        assert record["status"] == 500
        assert told == ([] if is_atomic else [GROUPS, USERS])
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False


@pytest.mark.urls(__name__)
def test_an_atomic_group_is_told_of_as_a_whole(told: Told) -> None:
    payload = {"requests": [{"method": "POST", "url": "/api/write/", "atomicityGroup": "g"}]}
    response = Client().post("/api/batch/", payload, content_type="application/json")
    assert response.json()["responses"][0]["status"] == 200, response.content
    assert told == [GROUPS | USERS]


@pytest.fixture
def client_of_redis(request: pytest.FixtureRequest, transactional_db: None) -> Iterator[redis.Redis]:
    """Caching is on, on Redis; the client is for counting."""
    with caching("redis", request), redis.Redis.from_url(request.getfixturevalue("redis_url")) as client:
        store = get_store("default", 100)
        assert store is not None
        store.renew()
        yield client


def trips(client: redis.Redis, do: Callable[[], object]) -> int:
    """How often Redis was sent something that moves generations, meanwhile."""
    client.config_resetstat()
    do()
    found = client.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): stats["calls"] for name, stats in found.items()}
    return int(calls.get("exec", 0) + calls.get("hset", 0))


def two_tables_in_one_transaction() -> None:
    with transaction.atomic():
        Group.objects.create(name="a")
        Group.objects.update(name="b")
        SessionFactory()


def nothing_but_reading() -> None:
    with transaction.atomic():
        assert not Group.objects.exists()


def a_rollback() -> None:
    with transaction.atomic():
        Group.objects.create(name="a")
        transaction.set_rollback(True)


@pytest.mark.parametrize(
    ("do", "expected"),
    [
        (two_tables_in_one_transaction, 1),
        (lambda: Group.objects.create(name="a"), 1),
        (lambda: Group.objects.bulk_create([Group(name="a"), Group(name="b")]), 1),
        (lambda: Group.objects.update(name="c"), 1),
        (lambda: execute("CREATE TEMPORARY TABLE scratch (n int)"), 1),
        (nothing_but_reading, 0),
        (a_rollback, 0),
    ],
)
def test_a_transaction_that_wrote_costs_one_round_trip(
    client_of_redis: redis.Redis, do: Callable[[], object], expected: int
) -> None:
    assert trips(client_of_redis, do) == expected


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


# -- rows that come with a write


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
    import weakref

    cursor = insert_returning("a")
    cursor.fetchall()
    seen = weakref.ref(cursor)
    del cursor
    assert seen() is None
