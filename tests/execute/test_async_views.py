"""Async views: those that may run at the same time share an event loop, and each is answered as if it were alone."""

import asyncio
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import Client, override_settings
from django.urls import include, path
from django.utils import translation

from batchapi import batch_policy, batchable
from tests.factories import UserFactory

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True, databases=["default", "other"])]

happened: list[str] = []
running = 0
mark: ContextVar[str] = ContextVar("mark", default="")


@pytest.fixture(autouse=True)
def _nothing_happened() -> Iterator[None]:
    global running
    running = 0
    happened.clear()
    return


@batchable
async def waits(request: HttpRequest, seconds: str) -> HttpResponse:
    await asyncio.sleep(float(seconds))
    happened.append(request.path)
    return JsonResponse({"thread": threading.get_ident()})


@batchable
async def meets(_request: HttpRequest, others: int) -> HttpResponse:
    """Waits until it has company: as many of its kind, itself among them. On its own it would wait for ever."""
    global running
    running += 1
    async with asyncio.timeout(30):
        while running < others:
            await asyncio.sleep(0.01)
    return JsonResponse({"thread": threading.get_ident()})


@batchable
async def asks(request: HttpRequest) -> HttpResponse:
    """The database, the user, the session, and the language, with waiting in between."""
    user = await request.auser()
    translation.activate(request.GET["language"])
    mark.set(request.GET["language"])
    await asyncio.sleep(0.01)
    count = await User.objects.acount()
    visits = await request.session.aget("visits", 0)
    told = [user.get_username(), count, visits, translation.get_language(), mark.get()]
    return JsonResponse({"told": told})


@batchable
async def crashes(_request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    raise RuntimeError("boom")


@batchable
async def sets(request: HttpRequest, value: str) -> HttpResponse:
    """A cookie, late or early."""
    await asyncio.sleep(0.02 if value == "late" else 0)
    response = JsonResponse({"found": request.COOKIES.get("mood")})
    response.set_cookie("mood", value)
    return response


@batchable
async def streams(_request: HttpRequest) -> StreamingHttpResponse:
    async def lines() -> Any:
        for line in ("one ", "two"):
            await asyncio.sleep(0)
            yield line

    return StreamingHttpResponse(lines(), content_type="text/plain")


@batchable
async def writes(_request: HttpRequest, name: str) -> HttpResponse:
    await User.objects.acreate(username=name)
    return HttpResponse(status=201)


@batchable
@batch_policy(timeout=0.1)
async def stubborn(_request: HttpRequest, key: str) -> HttpResponse:
    """Does not end when it is told to."""
    try:
        await asyncio.sleep(5)
    except asyncio.CancelledError:
        await cache.aset(key, "went on")
        await User.objects.acreate(username="too late")
    return HttpResponse()


urlpatterns = [
    path("api/waits/<str:seconds>/", waits),
    path("api/meets/<int:others>/", meets),
    path("api/asks/", asks),
    path("api/crashes/", crashes),
    path("api/sets/<str:value>/", sets),
    path("api/streams/", streams),
    path("api/writes/<str:name>/", writes),
    path("api/stubborn/<str:key>/", stubborn),
    path("api/batch/", include("batchapi.urls")),
]


def answers(*requests: dict[str, Any], client: Client | None = None) -> list[dict[str, Any]]:
    client = client or Client(raise_request_exception=False)
    response = client.post("/api/batch/", {"requests": list(requests)}, content_type="application/json")
    assert response.status_code == 200, response.content
    found: list[dict[str, Any]] = response.json()["responses"]
    return found


def test_they_wait_together_on_one_thread() -> None:
    with override_settings(BATCHAPI={"TIMEOUT": None, "DEADLINE": None}):
        records = answers(*({"url": f"/api/meets/20/?n={n}"} for n in range(20)))
    assert [record["status"] for record in records] == [200] * 20
    assert len({record["body"]["thread"] for record in records}) == 1


def test_each_has_its_own_language_context_and_user() -> None:
    client = Client()
    client.force_login(UserFactory(username="alice"))
    records = answers(*({"url": f"/api/asks/?language={code}"} for code in ("de", "fr", "es")), client=client)
    assert [record["body"]["told"] for record in records] == [
        ["alice", 1, 0, code, code] for code in ("de", "fr", "es")
    ]
    assert translation.get_language() == "en"


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
def test_a_crash_a_stream_and_a_plain_answer_side_by_side() -> None:
    crash, stream, plain = answers(*({"url": f"/api/{name}/"} for name in ("crashes", "streams", "waits/0")))
    assert (crash["status"], crash["body"]["code"]) == (500, "crashed")
    assert (stream["status"], stream["body"]) == (200, "one two")
    assert plain["status"] == 200


def test_one_that_waits_too_long_is_cancelled_and_the_others_are_not() -> None:
    late, well = answers({"url": "/api/waits/5/", "timeout": 0.1}, {"url": "/api/waits/0.3/"})
    assert (late["status"], late["body"]["code"], late["body"]["outcome"]) == (504, "timed_out", "none")
    assert well["status"] == 200
    assert happened == ["/api/waits/0.3/"]


def test_one_that_does_not_let_itself_be_cancelled_writes_nothing_more() -> None:
    [record] = answers({"url": "/api/stubborn/sign/"})
    assert (record["status"], record["body"]["outcome"]) == (504, "none")
    assert not User.objects.filter(username="too late").exists()


def test_a_cookie_that_one_sets_is_seen_by_those_after_it() -> None:
    """They ran side by side, and then once more in turn."""
    client = Client()
    records = answers(*({"url": f"/api/sets/{value}/"} for value in ("late", "b", "c")), client=client)
    assert [record["body"]["found"] for record in records] == [None, "late", "b"]
    assert client.cookies["mood"].value == "c"


def test_equal_ones_are_answered_once() -> None:
    records = answers(*({"url": "/api/waits/0.05/"} for _ in range(5)))
    assert len(happened) == 1
    marks = [record["headers"].get("Cache-Status", "") for record in records]
    assert marks == ["", *["batchapi; fwd=miss; collapsed"] * 4]


def test_writes_run_alone_and_in_order() -> None:
    write = [{"method": "POST", "url": f"/api/writes/{name}/"} for name in ("a", "b")]
    read = {"url": "/api/asks/?language=de"}
    client = Client()
    client.force_login(UserFactory())
    records = answers(write[0], read, write[1], {**read, "id": "again"}, client=client)
    assert [record["status"] for record in records] == [201, 200, 201, 200]
    assert [record["body"]["told"][1] for record in (records[1], records[3])] == [2, 3]


def test_with_middleware_around_each_they_run_one_by_one() -> None:
    given = {"SUBREQUEST_MIDDLEWARE": ["django.middleware.common.CommonMiddleware"]}
    with override_settings(BATCHAPI=given):
        records = answers(*({"url": f"/api/waits/0.01/?n={n}"} for n in range(3)))
    assert [record["status"] for record in records] == [200] * 3
