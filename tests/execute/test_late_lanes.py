"""What is late costs nobody else anything, where a batch may have several lanes."""

import asyncio
import sqlite3
from collections.abc import Iterator
from time import sleep
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections
from django.http import HttpRequest, JsonResponse
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response

from batchapi import batch_policy, batchable, signals
from batchapi.execute.abandoned import abandoned
from tests.execute import slow
from tests.execute.groups import Open
from tests.execute.lanes import hearing
from tests.execute.slow import (
    HOLDS,
    IS_POSTGRESQL,
    LATE,
    LIMIT,
    NO_LANE,
    Told,
    ask,
    do,
    kept,
    late,
    logged_in,
    run_query,
)


class Tenant(Open):
    """Tells what was put on its connection."""

    def get(self, request: Request) -> Response:
        return Response(run_query("SELECT name FROM tenant"))

    post = get


def put_tenant(*, connection: Any, **_: Any) -> None:
    """What middleware does for a request, and a receiver for the connections of lanes."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE IF NOT EXISTS tenant AS SELECT 'acme' AS name")


def nap_in_database() -> Any:
    """A query that takes a second, and can be cancelled."""
    if IS_POSTGRESQL:
        return run_query("SELECT 20 FROM pg_sleep(1)")
    connection.ensure_connection()
    connection.connection.create_function("nap", 1, lambda _: sleep(0.05))
    return run_query(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)"
        " SELECT count(*) FROM n WHERE nap(i) IS NULL"
    )


@batchable
@batch_policy(timeout=LIMIT)
async def asks_and_waits(_request: HttpRequest) -> JsonResponse:
    await sync_to_async(run_query)("SELECT 1")
    await asyncio.sleep(60)
    return JsonResponse({})


@batchable
async def asks_for_long(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"rows": await sync_to_async(nap_in_database)()})


class Unreachable(sqlite3.Connection):
    """Takes as long to hear of a cancel as a server beyond a broken network."""

    def interrupt(self) -> None:
        sleep(0.4)


class Away(Open):
    """Has asked the other database, and hangs."""

    def get(self, request: Request, name: str) -> Response:
        with connections["other"].cursor() as cursor:
            cursor.execute("SELECT 1")
        HOLDS[name].wait()
        return Response()


urlpatterns = [
    path("api/tenant/", Tenant.as_view()),
    path("api/asks-and-waits/", asks_and_waits),
    path("api/asks-for-long/", asks_for_long),
    path("api/away/<str:name>/", Away.as_view()),
    *slow.urlpatterns,
]
pytestmark = [
    pytest.mark.urls(__name__),
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.usefixtures("late_views"),
]


@pytest.mark.parametrize("steps", ["slow", "stubborn,slow,close", "stubborn,manual,slow"])
def test_a_connection_that_was_sent_a_cancel_is_not_used_again(steps: str):
    """The cancel may arrive late, and would hit somebody else's query."""
    answers = ask(do("pid"), late(steps), do("pid", id="again"), do("pid", id="once more"))
    assert [answer.status for answer in answers] == [200, 504, 200, 200]
    before, _, after, later = answers.records
    assert before["body"] != after["body"] == later["body"]


def test_nobody_waits_for_a_read():
    answers = ask(late("hold", "GET"), do("read", "GET"), do("write:a"))
    assert answers == [LATE, Told(200), Told(200)]
    assert kept() == {"a"}
    assert abandoned


def test_a_bound_that_is_reached_refuses_later_waves_too():
    """Others still run in this wave; what comes after it does not begin when they are done."""
    requests = [late("hold:1", "GET"), late("hold:2", "GET"), do("nap:0.6", "GET"), do("write:a"), do("read", "GET")]
    assert ask(*requests, MAX_ABANDONED_PER_CALLER=2) == [LATE, LATE, Told(200), NO_LANE, NO_LANE]
    assert kept() == set()


def test_nobody_waits_for_the_turn_of_one_that_was_refused():
    """Throttle checks are made in order; the second one's never comes."""
    hangs = late("hold", "GET", id="hangs")
    waits = {"url": "/api/in-turn/read/", "dependsOn": ["hangs"]}
    answers = ask(hangs, waits, {"url": "/api/in-turn/read/?n=2"}, MAX_ABANDONED_PER_CALLER=1)
    assert answers == [LATE, NO_LANE, Told(200)]
    assert answers.seconds < 5


# -- connections that are made anew


@pytest.fixture
def _tenants() -> Iterator[None]:
    """Each connection must have something put on it before a view may use it."""
    put_tenant(connection=connection)  # as middleware would have done for the caller's
    with hearing(signals.lane_opened, put_tenant):
        yield
    connection.close()


@pytest.mark.usefixtures("_tenants")
@pytest.mark.parametrize("first", [late("slow"), late("read,hold", "GET")], ids=["cancelled", "given up"])
def test_a_connection_that_is_made_anew_is_announced_before_a_view_has_it(first: dict[str, Any]):
    post, get = {"url": "/api/tenant/", "method": "POST"}, {"url": "/api/tenant/", "method": "GET"}
    answers = ask({**post, "id": "before"}, first, {**post, "id": "write"}, {**get, "id": "read"})
    assert [answer.status for answer in answers] == [200, 504, 200, 200]
    assert {record["body"] for record in answers.records if record["status"] == 200} == {"acme"}


@pytest.mark.usefixtures("_tenants")
def test_what_a_receiver_does_to_a_new_connection_is_not_the_views_doing():
    """The second one's connection is new, and all that it does itself is to read."""
    assert ask(late("slow"), late("read,slow"), do("read")) == [LATE, LATE, Told(200)]


# -- who pays for it


def test_twenty_views_of_one_caller_that_hang_keep_no_other_caller_out():
    alice, bob = logged_in("alice"), logged_in("bob")
    hung = [late(f"hold:{n}", "GET") for n in range(20)]
    answers = ask(*hung, client=alice, MAX_CONCURRENT_REQUESTS=20, MAX_ABANDONED_PER_CALLER=2, MAX_ABANDONED_LANES=8)
    assert set(answers) <= {LATE, NO_LANE}
    assert abandoned.by_caller.total() > 8
    bounds = {"MAX_ABANDONED_PER_CALLER": 2, "MAX_ABANDONED_LANES": 8}
    assert ask(do("read"), client=alice, **bounds) == [NO_LANE]
    assert ask(do("read"), client=bob, **bounds) == [Told(200)]


def test_the_end_of_an_async_view_does_not_end_the_query_of_another():
    """They share a connection, and by that time it is the other one's query that runs there."""
    answers = ask({"url": "/api/asks-and-waits/"}, {"url": "/api/asks-for-long/"})
    assert answers == [LATE, Told(200)]
    assert answers.records[1]["body"] == {"rows": 20}


@pytest.fixture
def _unreachable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The other database does not answer any more."""
    connections["other"].close()
    with monkeypatch.context() as patch:
        patch.setitem(connections.settings["other"]["OPTIONS"], "factory", Unreachable)
        yield
        slow.let_go()
        connections["other"].close()


@pytest.mark.usefixtures("_unreachable")
def test_nobody_waits_for_a_cancel_that_takes_long():
    """Nor for those of others that are late at the same time."""
    requests = [{"url": f"/api/away/{n}/", "timeout": LIMIT} for n in range(10)]
    answers = ask(*requests, MAX_ABANDONED_PER_CALLER=100, MAX_ABANDONED_LANES=100)
    assert answers == [LATE] * 10
    assert answers.seconds < 2.5
