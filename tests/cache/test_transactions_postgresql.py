"""Transactions that end as only PostgreSQL's do: cut off, several statements in one, in a pool."""

from collections.abc import Iterator
from threading import Thread
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group, User
from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import OperationalError
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tests.cache.asking import ask
from tests.cache.relay import Relay, relayed_connection
from tests.cache.telling import GROUPS, RENAME, USERS, Told
from tests.cache.world import execute


class Rename(APIView):
    """Writes in a transaction of its own."""

    authentication_classes = permission_classes = ()

    def post(self, request: Request) -> Response:
        with transaction.atomic():
            Group.objects.update(name="renamed")
        return Response()


urlpatterns = [path("api/rename/", Rename.as_view()), path("api/batch/", include("batchapi.urls"))]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]


@pytest.fixture
def a_group(transactional_db: None) -> Group:
    return Group.objects.create(name="old")


@pytest.fixture
def relayed(a_group: Group) -> Iterator[Relay]:
    """The default connection, and those that are opened meanwhile, go through a relay."""
    with relayed_connection() as one:
        yield one


def backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def terminate(pid: int) -> None:
    """From a connection of somebody else's."""
    settings = connection.settings_dict
    options = {"host": settings["HOST"], "port": settings["PORT"], "user": settings["USER"]}
    with psycopg.connect(dbname=settings["NAME"], **options) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])


# -- nobody knows whether it came through


def test_a_commit_whose_answer_is_lost_has_come_through_and_is_told_of(relayed: Relay, told: Told) -> None:
    with pytest.raises(OperationalError), transaction.atomic():  # noqa: PT012 - the COMMIT at the end raises
        execute(RENAME)
        relayed.cut_at = b"COMMIT"
    relayed.cut_at = None
    assert told == [GROUPS]
    connection.close()
    assert Group.objects.get().name == "renamed"


def test_in_a_batch_it_is_told_of_too(relayed: Relay, told: Told) -> None:
    relayed.cut_at = b"COMMIT"
    [record] = ask({"method": "POST", "url": "/api/rename/"})
    relayed.cut_at = None
    assert record["status"] == 500
    assert told == [GROUPS]
    connection.close()
    assert Group.objects.get().name == "renamed"


def test_a_statement_by_itself_whose_answer_is_lost_is_told_of(relayed: Relay, told: Told) -> None:
    connection.ensure_connection()
    relayed.cut_at = b"UPDATE"
    with pytest.raises(OperationalError):
        execute(RENAME)
    relayed.cut_at = None
    assert told == [GROUPS]
    connection.close()
    assert Group.objects.get().name == "renamed"


def test_a_raw_commit_whose_answer_is_lost_is_told_of(relayed: Relay, told: Told) -> None:
    execute("BEGIN", RENAME)
    relayed.cut_at = b"COMMIT"
    with pytest.raises(OperationalError):
        execute("COMMIT")
    relayed.cut_at = None
    assert told == [GROUPS]


@pytest.fixture
def _slow_commit(a_group: Group) -> Iterator[None]:
    """A COMMIT that wrote a group takes until somebody ends it."""
    execute(
        "CREATE FUNCTION pg_temp_wait() RETURNS trigger AS"
        " $$ BEGIN PERFORM pg_sleep(20); RETURN NULL; END $$ LANGUAGE plpgsql",
        "CREATE CONSTRAINT TRIGGER wait AFTER UPDATE ON auth_group DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION pg_temp_wait()",
    )
    yield
    connection.close()
    execute("DROP TRIGGER wait ON auth_group", "DROP FUNCTION pg_temp_wait()")


@pytest.mark.usefixtures("_slow_commit")
def test_a_backend_that_is_ended_during_the_commit_is_told_of(told: Told) -> None:
    pid = backend()
    killer = Thread(target=wait_for_commit_and_terminate, args=(pid,))
    with pytest.raises(OperationalError), transaction.atomic():  # noqa: PT012 - the COMMIT at the end raises
        execute(RENAME)
        killer.start()
    killer.join()
    assert told == [GROUPS]


def wait_for_commit_and_terminate(pid: int) -> None:
    settings = connection.settings_dict
    options = {"host": settings["HOST"], "port": settings["PORT"], "user": settings["USER"]}
    look = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
    with psycopg.connect(dbname=settings["NAME"], autocommit=True, **options) as other:
        while other.execute(look, [pid]).fetchone() is None:
            pass
        other.execute("SELECT pg_terminate_backend(%s)", [pid])


def test_a_backend_that_is_ended_before_the_commit_leaves_nothing_behind(a_group: Group, told: Told) -> None:
    pid = backend()
    with pytest.raises(OperationalError), transaction.atomic():  # noqa: PT012 - whichever comes first raises
        execute(RENAME)
        terminate(pid)
        execute("SELECT 1")
    told.clear()  # It may be told of, though it is certain not to have come through.
    connection.close()
    User.objects.create(username="next")
    assert told == [USERS]


# -- several statements in one, and other roads of an end


def test_a_whole_transaction_in_one_string_is_told_of_after_it(a_group: Group, told: Told) -> None:
    execute(f"BEGIN; {RENAME}; COMMIT")
    assert told == [GROUPS]


def test_a_transaction_that_is_left_open_by_one_string_is_told_of_by_another(a_group: Group, told: Told) -> None:
    execute(f"BEGIN; {RENAME}")
    assert told == []
    execute("SELECT 1; COMMIT")
    assert len(told) == 1
    assert told[0] >= GROUPS


def test_a_commit_in_the_middle_tells_of_what_came_before(a_group: Group, told: Told) -> None:
    execute("BEGIN", RENAME, "COMMIT AND CHAIN")
    execute("ROLLBACK")
    assert told == [GROUPS]


def test_a_failed_transaction_tells_nothing(a_group: Group, told: Told) -> None:
    execute("BEGIN", RENAME)
    with pytest.raises(Exception, match="division by zero"):
        execute("SELECT 1/0")
    assert told == []
    connection.rollback()
    User.objects.create(username="next")
    assert told == [USERS]


def test_a_transaction_that_another_finishes_is_told_of(a_group: Group, told: Told) -> None:
    """PREPARE TRANSACTION, where the server has room for them (`max_prepared_transactions`)."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW max_prepared_transactions")
        has_room = cursor.fetchone()[0] != "0"
    execute("BEGIN", RENAME)
    if has_room:
        execute("PREPARE TRANSACTION 'one'")
        told.clear()
        execute("COMMIT PREPARED 'one'")
        assert told[-1] >= GROUPS
    else:
        with pytest.raises(OperationalError, match="disabled"):
            execute("PREPARE TRANSACTION 'one'")
        assert connection.connection.info.transaction_status == 0, "and it is rolled back"


# -- pools


def pooled() -> BaseDatabaseWrapper:
    """A connection from a pool that has one."""
    settings: dict[str, Any] = {**connection.settings_dict, "CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": False}
    options = {name: value for name, value in settings["OPTIONS"].items() if name != "pool"}
    settings["OPTIONS"] = {**options, "pool": {"min_size": 1, "max_size": 1}}
    return type(connections[DEFAULT_DB_ALIAS])(settings, "pooled")


def test_a_connection_that_goes_back_to_its_pool_takes_nothing_along(a_group: Group, told: Told) -> None:
    first = pooled()
    try:
        for end, expected in (("COMMIT", [GROUPS]), ("SELECT 1", []), ("ROLLBACK", None)):
            told.clear()
            with first.cursor() as cursor:
                for sql in ("BEGIN", RENAME, end):
                    cursor.execute(sql)
            first.close()  # The pool rolls back what is open, and gives the same one again.
            assert expected is None or told == expected
            with first.cursor() as cursor:
                cursor.execute("SELECT 1")
            assert expected is None or told == expected
        told.clear()
        with first.cursor() as cursor:
            cursor.execute("UPDATE auth_user SET first_name = 'x'")
        assert told == [USERS]
    finally:
        first.close()
        first.close_pool()
