"""A COMMIT whose answer never comes: it may have come through or not, and on a real PostgreSQL it does either."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from batchapi.execute.kept import ATTEMPTS
from batchapi.execute.retry import budget
from batchapi.signals import subrequest_retried
from chat.models import Session
from tests.cache.relay import Relay, relayed_connection
from tests.execute.lanes import with_settings
from tests.idempotency import views
from tests.idempotency.asking import Item, ask, do, fates, let_time_pass
from tests.idempotency.views import CALLS, kept
from tests.store.server import eventually

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True, databases=["default", "other"])]
before_the_end: list[Callable[[], None]] = []  # what happens when a view has written, once


class Only(APIView):
    """Writes the one row of its name; a second one breaks a rule of the database."""

    def post(self, _request: Request, name: str) -> Response:
        CALLS.append(name)
        Session.objects.create(owner=User.objects.earliest("pk"), key=name, title=name)
        while before_the_end:
            before_the_end.pop()()
        return Response({"name": name}, status=201)


urlpatterns = [path("api/only/<str:name>/", Only.as_view()), *views.urlpatterns]


def only(name: str, **more: Any) -> Item:
    return {"id": name, "method": "POST", "url": f"/api/only/{name}/", **more}


@pytest.fixture
def relayed(client: Client) -> Iterator[Relay]:
    """The connections of batches go through a relay."""
    with relayed_connection() as one:
        yield one
    before_the_end.clear()


def run(*statements: str) -> None:
    with connection.cursor() as cursor:
        for sql in statements:
            cursor.execute(sql)


def set_trap(act: str) -> None:
    """Whoever commits a session has this happen before it is done."""
    run(
        f"CREATE FUNCTION spring() RETURNS trigger AS $$ BEGIN {act}; RETURN NULL; END $$ LANGUAGE plpgsql",
        "CREATE CONSTRAINT TRIGGER trap AFTER INSERT ON chat_session DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION spring()",
    )


def end_trap() -> None:
    run("DROP TRIGGER IF EXISTS trap ON chat_session", "DROP FUNCTION IF EXISTS spring()")


@pytest.fixture
def _deadly_commit(client: Client) -> Iterator[None]:
    """The server ends the connection."""
    set_trap("PERFORM pg_terminate_backend(pg_backend_pid())")
    yield
    end_trap()


CONFLICT = "RAISE EXCEPTION 'made' USING ERRCODE = '40001'"


@pytest.fixture
def _conflict(client: Client) -> Iterator[None]:
    """The database finds out at COMMIT that somebody else was faster."""
    set_trap(CONFLICT)
    yield
    end_trap()


@pytest.fixture
def _three_attempts() -> Iterator[None]:
    budget.asked.clear()
    budget.spent.clear()
    with with_settings(RETRY_ATTEMPTS=3, RETRY_WAIT=0.01):
        yield


@contextmanager
def before_another_attempt(act: Callable[[], Any]) -> Iterator[None]:
    def hear(**_kwargs: object) -> None:
        act()

    subrequest_retried.connect(hear)
    try:
        yield
    finally:
        subrequest_retried.disconnect(hear)


def lose_the_answer(relayed: Relay) -> None:
    """Of the next COMMIT, which is carried out."""
    before_the_end.append(lambda: setattr(relayed, "cut_at", b"COMMIT"))


def hear_again(relayed: Relay) -> None:
    relayed.cut_at = None


def told(record: Item) -> tuple[int, Any, Any]:
    body = record["body"]
    return record["status"], body.get("code"), body.get("outcome")


UNKNOWN = (500, "crashed", "unknown")


def test_it_is_told_to_be_unknown_and_a_resend_learns_that_it_was_done(client: Client, relayed: Relay) -> None:
    lose_the_answer(relayed)
    assert [told(record) for record in ask(client, only("a"))] == [UNKNOWN]
    hear_again(relayed)
    assert fates(ask(client, only("a"))) == [(201, True)]
    assert (kept(), CALLS) == ({"a": 1}, ["a"])


@pytest.mark.usefixtures("_deadly_commit")
def test_it_is_told_to_be_unknown_and_a_resend_runs_as_it_was_not_done(client: Client) -> None:
    assert [told(record) for record in ask(client, only("a"))] == [UNKNOWN]
    assert kept() == {}
    end_trap()
    assert fates(ask(client, only("a"))) == [(201, False)]
    assert (kept(), CALLS) == ({"a": 1}, ["a", "a"])


def test_all_members_of_a_group_say_so(client: Client, relayed: Relay) -> None:
    items = [only(name, atomicityGroup="g") for name in "ab"]
    lose_the_answer(relayed)
    assert [told(record) for record in ask(client, *items)] == [UNKNOWN, UNKNOWN]
    hear_again(relayed)
    assert fates(ask(client, *items)) == [(201, True), (201, True)]
    assert kept() == {"a": 1, "b": 1}


@pytest.mark.usefixtures("_three_attempts")
def test_another_attempt_finds_what_came_through_and_calls_nobody(client: Client, relayed: Relay) -> None:
    """The view would find its own row in its way."""
    lose_the_answer(relayed)
    with before_another_attempt(lambda: hear_again(relayed)):
        [record] = ask(client, only("a"))
    assert (record["headers"][ATTEMPTS], fates([record])) == ("2", [(201, True)])
    assert (kept(), CALLS) == ({"a": 1}, ["a"])


@pytest.mark.usefixtures("_three_attempts", "_deadly_commit")
def test_another_attempt_runs_where_nothing_came_through(client: Client) -> None:
    with before_another_attempt(end_trap):
        [record] = ask(client, only("a"))
    assert (record["headers"][ATTEMPTS], fates([record])) == ("2", [(201, False)])
    assert (kept(), CALLS) == ({"a": 1}, ["a", "a"])


@pytest.mark.usefixtures("_three_attempts", "_deadly_commit")
def test_once_an_attempt_has_looked_its_own_end_counts(client: Client) -> None:
    def become_a_conflict() -> None:
        end_trap()
        set_trap(CONFLICT)

    with before_another_attempt(become_a_conflict):
        [record] = ask(client, only("a"))
    assert (record["headers"][ATTEMPTS], told(record)) == ("3", (500, "crashed", None))
    assert kept() == {}


@pytest.fixture
def _slow_commit(client: Client) -> Iterator[None]:
    set_trap("PERFORM pg_sleep(5)")
    yield
    end_trap()


def cut_amid_commit(relayed: Relay) -> None:
    """End the client's side once the server is at it; the server goes on, as it hears of that only afterwards."""
    settings = connection.settings_dict
    there, port = relayed.there
    with psycopg.connect(
        dbname=settings["NAME"], host=there, port=port, user=settings["USER"], autocommit=True
    ) as other:
        look = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        eventually(lambda: other.execute(look).fetchone() is not None)
        relayed.cut()


@pytest.mark.usefixtures("_slow_commit")
def test_an_attempt_that_waits_for_a_lost_commit_in_vain_does_not_know_either(client: Client, relayed: Relay) -> None:
    cutter = Thread(target=cut_amid_commit, args=(relayed,))
    before_the_end.append(cutter.start)
    with with_settings(RETRY_ATTEMPTS=3, RETRY_WAIT=0.01, TIMEOUT=2):
        [record] = ask(client, only("a"))
    cutter.join()
    assert told(record) == (504, "timed_out", "unknown")
    let_time_pass()  # The key was not given back in time: its row was still part of what nobody knows of.
    assert fates(ask(client, only("a"))) == [(201, True)]
    assert (kept(), CALLS) == ({"a": 1}, ["a"])


@pytest.mark.usefixtures("_three_attempts", "_conflict")
def test_a_commit_that_the_database_gives_up_is_tried_again(client: Client) -> None:
    with before_another_attempt(end_trap):
        [record] = ask(client, only("a"))
    assert (record["headers"][ATTEMPTS], fates([record])) == ("2", [(201, False)])
    assert kept() == {"a": 1}


@pytest.mark.usefixtures("_conflict")
def test_it_is_certain_not_to_be_done(client: Client) -> None:
    assert [told(record) for record in ask(client, only("a"))] == [(500, "crashed", None)]
    assert kept() == {}


@pytest.mark.usefixtures("_three_attempts")
def test_it_stays_unknown_while_no_attempt_can_look(client: Client, relayed: Relay) -> None:
    lose_the_answer(relayed)
    with before_another_attempt(lambda: setattr(relayed, "is_cut", True)):
        [record] = ask(client, only("a"))
    assert (record["headers"][ATTEMPTS], told(record)) == ("3", UNKNOWN)
    hear_again(relayed)
    relayed.is_cut = False
    let_time_pass()
    assert fates(ask(client, only("a"))) == [(201, True)]
    assert kept() == {"a": 1}


@pytest.mark.usefixtures("_three_attempts", "_deadly_commit")
def test_without_a_key_nobody_tries_again(client: Client) -> None:
    """Nobody could tell whether it was done."""
    assert [record["status"] for record in ask(client, do("a"), key=None)] == [500]
    assert CALLS == ["a"]
