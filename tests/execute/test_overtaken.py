"""Reads that run side by side and turn out to be noisy: what was begun too early leaves no trace, and nobody hangs."""

import asyncio
from collections.abc import Iterator
from time import monotonic, sleep
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.http import HttpRequest, JsonResponse
from django.test import Client, override_settings
from django.urls import path
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import SimpleRateThrottle

from batchapi import batchable
from chat.models import Session
from tests.execute import lanes
from tests.execute.lanes import RAN, Open, Slow, answers, get, names, pause, post, runs, statuses, with_settings
from tests.factories import UserFactory


class ByAddress(SimpleRateThrottle):
    rate = "2/hour"
    scope = "address"

    def get_cache_key(self, request: Request, view: Any) -> str:
        return "throttled"


class Limited(Slow):
    throttle_classes = (ByAddress,)


class Roomy(ByAddress):
    rate = "100/hour"


class NotesUse(BaseAuthentication):
    """Writes down, of some, when it was last used, as authenticators of tokens do."""

    def authenticate(self, request: Request) -> None:
        if "touch" not in request.query_params:
            return
        pause(request)
        try:
            Session.objects.create(owner=User.objects.get(), key="used")
        finally:
            sleep(int(request.query_params["touch"]) / 1000)


class Noted(Slow):
    authentication_classes = (NotesUse,)
    throttle_classes = (Roomy,)

    def get(self, request: Request, name: str) -> Response:
        RAN.append((name, 0))
        return Response(name)


class Bakes(Open):
    """Tells the cookies that it was sent, and sets one more."""

    def get(self, request: Request, name: str) -> Response:
        found = dict(request.COOKIES)
        pause(request)
        response = Response(found, status=int(request.query_params.get("status", 200)))
        response.set_cookie(name, "baked")
        return response

    post = get


class Writes(Open):
    """A read that is none."""

    def get(self, request: Request, name: str) -> Response:
        RAN.append((name, 0))
        pause(request)
        Session.objects.create(owner=User.objects.get(), key=name)
        return Response(name)

    post = get


class Visits(Open):
    """Counts in the session, which is saved when the view is done."""

    def get(self, request: Request, name: str) -> Response:
        RAN.append((name, 0))
        visits = request.session.get("visits", 0) + 1
        pause(request)
        request.session["visits"] = visits
        return Response(visits)


@batchable
async def async_visits(request: HttpRequest, name: str) -> JsonResponse:
    RAN.append((name, 0))
    visits = await request.session.aget("visits", 0) + 1
    await asyncio.sleep(int(request.GET["ms"]) / 1000)
    await request.session.aset("visits", visits)
    return JsonResponse(visits, safe=False)


urlpatterns = [
    path("api/async-visits/<str:name>/", async_visits),
    path("api/limited/<str:name>/", Limited.as_view()),
    path("api/noted/<str:name>/", Noted.as_view()),
    path("api/bakes/<str:name>/", Bakes.as_view()),
    path("api/writes/<str:name>/", Writes.as_view()),
    path("api/visits/<str:name>/", Visits.as_view()),
    *lanes.urlpatterns,
]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True, databases=["default", "other"])]


@pytest.fixture(autouse=True)
def _nothing_ran(transactional_db: None) -> Iterator[None]:
    RAN.clear()
    cache.clear()
    UserFactory(username="owner")
    with with_settings(TIMEOUT=2.0):  # Who hangs is seen soon.
        yield


@pytest.fixture(autouse=True)
def _nobody_hangs(_nothing_ran: None) -> Iterator[None]:
    """An answer that comes after a timeout of somebody who was not wanted any more is a right answer, too."""
    began = monotonic()
    yield
    assert monotonic() - began < 1.5


def test_nobody_waits_for_the_answer_of_one_who_waits_in_the_same_line():
    """The later of two equal ones began first and waits for the earlier one's throttles; that one must not wait too."""
    first = get("slow/first/?ms=20", "first")
    assert statuses(first, get("limited/same/", dependsOn=["first"]), get("limited/same/")) == [200, 200, 200]


def test_one_that_is_overtaken_does_not_wait_for_one_that_cannot_begin():
    """The third waits for the second's throttles; the second for the first, whose noise sends the third back."""
    requests = [
        get("writes/noise/?ms=20", "noise"),
        get("limited/second/", dependsOn=["noise"]),
        get("limited/third/"),
        get("limited/fourth/"),
    ]
    assert [record["status"] for record in answers(*requests)] == [200, 200, 200, 429]
    assert runs() == {"noise": 1, "second": 1, "third": 1}


def test_what_an_overtaken_one_was_allowed_or_refused_holds():
    """Its throttles have counted it already: they do not count it again."""
    requests = [get("writes/noise/?ms=40"), *(get(f"limited/{n}/") for n in range(4))]
    assert statuses(*requests) == [200, 200, 200, 429, 429]
    assert cache.get("throttled") is not None
    assert len(cache.get("throttled")) == 2


@pytest.mark.parametrize("engine", ["db", "cache", "signed_cookies"])
@pytest.mark.parametrize("view", ["visits", "async-visits"])
def test_reads_that_change_the_session_do_so_one_after_the_other(engine: str, view: str):
    """Each has loaded it before the one in front saved it; so it starts over, and nothing is lost."""
    requests = [get(f"{view}/{n}/?ms={ms}") for n, ms in enumerate((20, 10, 0, 15))]
    with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}"):
        assert [record["body"] for record in answers(*requests)] == [1, 2, 3, 4]


def test_a_read_that_comes_to_a_write_before_its_turn_starts_over():
    """It has written nothing by then, and writes once."""
    assert statuses(get("writes/one/?ms=20"), get("writes/two/")) == [200, 200]
    assert runs() == {"one": 1, "two": 2}
    assert list(Session.objects.order_by("pk").values_list("key", flat=True)) == ["one", "two"]


@pytest.mark.parametrize("leaving", [0, 150])
def test_one_that_starts_over_before_its_throttles_keeps_nobody_waiting_there(leaving: int):
    """Those behind it have begun and wait for its turn; it cannot begin again before they are gone.

    It may take so long to leave that the one in front of it is done by then.
    """
    noted = [get(f"noted/{n}/{f'?touch={leaving}&ms=20' if n == 1 else ''}") for n in range(1, 5)]
    found = answers(get("slow/first/?ms=100"), *noted)
    assert [record["status"] for record in found] == [200] * 5
    assert [record["body"] for record in found[1:]] == ["1", "2", "3", "4"]
    assert runs() == {"first": 1, "1": 1, "2": 1, "3": 1, "4": 1}
    assert list(Session.objects.values_list("key", flat=True)) == ["used"]


def test_one_that_is_overtaken_stops_at_its_first_statement():
    """It would write beside those that are to run before it."""
    assert statuses(get("writes/one/?ms=10"), get("writes/two/?ms=60"), get("slow/last/")) == [200, 200, 200]
    assert runs()["two"] == 2
    assert list(Session.objects.order_by("pk").values_list("key", flat=True)) == ["one", "two"]


def test_in_a_relaxed_batch_whoever_waits_for_a_write_gets_no_older_answer():
    requests = [
        get("slow/same/", "before"),
        post("writes/new/", "write", dependsOn=["before"]),
        get("slow/same/", "after", dependsOn=["write"]),
    ]
    records = answers(*requests, ordering="relaxed")
    assert [record["body"] for record in records] == [[], "new", ["new"]]


def test_in_a_relaxed_batch_nor_the_answer_of_one_that_began_before_the_write():
    requests = [
        get("slow/same/?ms=40", "slow"),
        post("writes/new/", "write"),
        get("slow/same/?ms=40", "after", dependsOn=["write"]),
    ]
    records = answers(*requests, ordering="relaxed")
    assert records[2]["body"] == ["new"]
    assert names().count("same") == 2


def test_in_a_relaxed_batch_a_group_that_fails_takes_back_its_own_cookies_only():
    """Another one has set its cookie meanwhile; and the client had one by a name that the group used."""
    client = Client()
    client.cookies["a"] = "sent"
    requests = [
        post("bakes/a/", atomicityGroup="g"),
        post("bakes/b/?ms=150&status=409", atomicityGroup="g"),
        get("bakes/c/?ms=30", "c"),
        post("bakes/last/", dependsOn=["c"]),
    ]
    records = answers(*requests, ordering="relaxed", client=client)
    assert [record["status"] for record in records] == [424, 409, 200, 200]
    assert records[1]["body"] == {"a": "baked"}
    assert records[3]["body"] == {"a": "sent", "c": "baked"}
