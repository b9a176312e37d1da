"""A view that hangs outside of the database: it is answered without, writes nothing more, and costs only its caller."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import local
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, connections
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import path

from batchapi import batch_policy, batchable, handle_batch_request
from batchapi.execute.abandoned import abandoned
from tests.execute import slow
from tests.execute.slow import (
    HAPPENED,
    HOLDS,
    LATE,
    LIMIT,
    NO_LANE,
    Told,
    ask,
    do,
    hooks,
    in_background,
    kept,
    late,
    let_go,
    logged_in,
    wait_until,
)

ROLLED_BACK = Told(504, "timed_out", "rolled_back")
NEVER = Told(503, "deadline_before_start", False)

seen = local()


@batchable
@batch_policy(timeout=LIMIT)
async def blocking(_request: HttpRequest) -> HttpResponse:
    """An async view that lets nobody else run, nor itself be cancelled."""
    HOLDS["async"].wait()
    return JsonResponse({})


@batchable
@batch_policy(timeout=LIMIT)
async def stubborn(_request: HttpRequest) -> HttpResponse:
    """An async view that lets others run, but not itself be cancelled."""
    while not HOLDS["async"].is_released.is_set():
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0.01)
    return JsonResponse({})


@batchable
async def gentle(_request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(4 * LIMIT)
    return JsonResponse({})


@batchable
def what_middleware_left(_request: HttpRequest) -> HttpResponse:
    return JsonResponse({"mark": getattr(seen, "mark", None)})


urlpatterns = [
    path("api/blocking/", blocking),
    path("api/stubborn/", stubborn),
    path("api/gentle/", gentle),
    path("api/seen/", what_middleware_left),
    *slow.urlpatterns,
]
pytestmark = [
    pytest.mark.urls(__name__),
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.usefixtures("late_views"),
]


# -- it writes nothing more


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        ("hold,write:a", "none"),
        ("hold,raw:a", "none"),
        ("hold,atomic,write:a", "none"),
        ("read,hold,read", "none"),
        ("write:a,hold,write:b", "committed"),
        ("raw:a,hold,raw:b", "committed"),
        ("stubborn,write:a,hold,write:b,atomic,write:c", "committed"),
        ("atomic,write:a,hold", "rolled_back"),
        ("atomic,write:a,hook:a,hold,write:b", "rolled_back"),
        ("durable,raw:a,hold", "rolled_back"),
        ("atomic,atomic,write:a,hold", "rolled_back"),
        ("stubborn,atomic,write:a,hold,write:b", "rolled_back"),
        ("stubborn,atomic,twice,hold", "rolled_back"),
        ("manual,write:a,hold,commit", "rolled_back"),
        ("stubborn,manual,write:a,hold,commit,auto", "rolled_back"),
        ("stubborn,manual,write:a,hold,auto,write:b", "rolled_back"),
        ("stubborn,atomic,write:a,hold,close,write:b", "rolled_back"),
    ],
)
def test_what_is_not_committed_when_time_is_over_never_is(steps: str, outcome: str):
    answers = ask(late(steps))
    assert answers == [Told(504, "timed_out", outcome)]
    assert answers.seconds < LIMIT + 2
    assert abandoned
    let_go()
    assert kept() == ({"a"} if outcome == "committed" else set())
    assert hooks() == []


def test_a_view_that_goes_on_is_stopped_at_its_next_statement():
    ask(late("hold,read"))
    assert "done hold,read" not in HAPPENED
    let_go()
    assert "read raised AttemptOver" in HAPPENED


@pytest.mark.parametrize("engine", ["db", "cache", "signed_cookies"])
def test_what_it_leaves_behind_later_reaches_nobody(engine: str):
    client = Client(raise_request_exception=False)
    with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}"):
        assert ask(late("cookie:a,session:a,hold"), client=client) == [LATE]
        let_go()
        [record] = ask({"url": "/api/marks/"}, client=client).records
    assert record["body"] == {"cookie": None, "session": None}
    assert not client.cookies


@pytest.mark.parametrize("index", range(3))
def test_a_group_is_answered_for_as_a_whole(index: int):
    members = [
        do(f"write:{n},hook:{n}" + ",hold" * (n == index), id=str(n), atomicityGroup="g")
        | ({"timeout": LIMIT} if n == index else {})
        for n in range(3)
    ]
    expected = [Told(424, "rolled_back", n < index) for n in range(3)]
    expected[index] = ROLLED_BACK
    assert ask(*members) == expected
    let_go()
    assert kept() == set()
    assert hooks() == []
    assert [line for line in HAPPENED if line.startswith("called")] == [
        f"called write:{n},hook:{n}" + ",hold" * (n == index) for n in range(index + 1)
    ]


def test_a_hook_that_hangs_takes_nothing_back():
    members = [do(steps, id=steps, atomicityGroup="g") for steps in ("atomic,write:a", "hold-hook")]
    assert ask(*members, DEADLINE=0.4) == [Told(504, "timed_out", "committed")] * 2
    let_go()
    assert kept() == {"a"}


# -- who waits for it


def test_nothing_later_begins_while_a_write_may_still_run():
    """What it does besides the database, nobody can stop."""
    answers = ask(late("hold"), do("read", "GET"), do("read", id="write"), DEADLINE=0.6)
    assert answers == [LATE, NEVER, NEVER]
    assert [line for line in HAPPENED if line.startswith("called")] == ["called hold"]
    assert answers.records[1]["headers"]["Retry-After"] == "1"
    assert answers.seconds < 0.6 + 2


def test_nothing_later_begins_while_a_read_that_wrote_may_still_run():
    """It is no read, whatever its method."""
    answers = ask(late("write:a,hold", "GET"), do("read", "GET"), do("write:b"), DEADLINE=0.8)
    assert answers == [Told(504, "timed_out", "committed"), NEVER, NEVER]
    assert kept() == {"a"}


def test_the_rest_runs_once_its_thread_has_come_back():
    def release() -> None:
        wait_until(lambda: bool(abandoned))
        HOLDS[""].is_released.set()

    thread = in_background(release)
    answers = ask(late("atomic,write:a,hold"), do("read", "GET"), do("write:b"), do("pid"))
    thread.join()
    assert answers == [ROLLED_BACK, Told(200), Told(200), Told(200)]
    assert kept() == {"b"}
    wait_until(lambda: not abandoned)


def test_the_caller_goes_on_with_other_connections():
    ours = connection.connection
    before = ask(do("pid")).records[0]["body"]
    assert ask(late("read,hold")) == [LATE]
    assert connections["default"].connection is not ours or ours is None
    assert ask(do("pid")).records[0]["body"] != before
    assert ask(do("write:a"))[0].status == 200
    assert kept() == {"a"}


# -- how many there may be

BOUNDS = {"MAX_ABANDONED_PER_CALLER": 2, "MAX_ABANDONED_LANES": 3}


def hang(client: Client, *more: dict[str, Any]) -> list[Told]:
    return ask(late("hold", "GET"), *more, client=client, **BOUNDS)


def test_a_caller_whose_threads_do_not_come_back_gets_no_more():
    alice, bob = logged_in("alice"), logged_in("bob")
    assert hang(alice) == [LATE]
    assert hang(alice, do("read")) == [LATE, NO_LANE]
    refused = ask(do("write:a"), do("read", "GET"), client=alice, **BOUNDS)
    assert refused == [NO_LANE, NO_LANE]
    assert refused.records[0]["headers"]["Retry-After"] == "1"
    assert ask(do("read"), client=bob, **BOUNDS) == [Told(200)]
    assert ask(do("read"), client=Client(), **BOUNDS) == [Told(200)]
    assert hang(bob) == [LATE]
    assert ask(do("read"), client=Client(), **BOUNDS) == [NO_LANE], "the process has too many"
    let_go()
    for client in (alice, bob, Client()):
        assert ask(do("read"), client=client, **BOUNDS) == [Told(200)]
    assert kept() == set()
    assert not abandoned.by_caller


def test_who_sends_no_credentials_is_known_by_address():
    strangers = [Client(REMOTE_ADDR=f"192.0.2.{n}") for n in range(2)]
    assert [hang(strangers[0]) for _ in range(2)] == [[LATE]] * 2
    assert ask(do("read"), client=strangers[0], **BOUNDS) == [NO_LANE]
    assert ask(do("read"), client=strangers[1], **BOUNDS) == [Told(200)]


def test_strangers_behind_one_proxy_are_told_apart_as_throttles_do():
    """By as many hops as the project says it has proxies; what a client writes in front of them is its own word."""
    strangers = [{"HTTP_X_FORWARDED_FOR": f"198.51.100.9, 192.0.2.{n}"} for n in range(2)]
    clients = [Client(REMOTE_ADDR="10.0.0.1", **stranger) for stranger in strangers]
    with override_settings(REST_FRAMEWORK={**settings.REST_FRAMEWORK, "NUM_PROXIES": 1}):
        assert [hang(clients[0]) for _ in range(2)] == [[LATE]] * 2
        assert [ask(do("read"), client=client, **BOUNDS)[0] for client in clients] == [NO_LANE, Told(200)]
        assert [status_in_process(**stranger) for stranger in strangers] == [503, 200]
        assert abandoned.by_caller == {"address 192.0.2.0": 2}


def status_in_process(**environ: str) -> int:
    """The same question by code of the project's own."""
    request = RequestFactory(REMOTE_ADDR="10.0.0.1", **environ).get("/")
    with override_settings(BATCHAPI={**settings.BATCHAPI, **BOUNDS}):
        [record] = handle_batch_request(request, {"requests": [do("read")]})["responses"]
    return int(record["status"])


def test_nobody_hides_behind_views_that_ask_for_no_credentials():
    """Such a view tells nobody's name while it runs; whoever sent the batch is asked for at the next one."""
    alice = logged_in("alice")
    bounds = {"MAX_ABANDONED_PER_CALLER": 2, "MAX_ABANDONED_LANES": 100}
    hung = [ask({"url": "/api/blocking/"}, client=alice, **bounds)[0] for _ in range(4)]
    assert hung == [LATE, LATE, LATE, NO_LANE]


def test_whoever_comes_back_is_counted_no_more():
    alice = logged_in("alice")
    for _ in range(3):
        assert hang(alice) == [LATE]
        let_go()
        assert abandoned.by_caller == {}


# -- async views


def test_an_async_view_that_is_not_cancelled_is_answered_without():
    """Those beside it go on in its event loop, and what comes after them on another thread."""
    answers = ask({"url": "/api/stubborn/"}, {"url": "/api/gentle/"}, do("write:a"))
    assert answers == [LATE, Told(200), Told(200)]
    assert abandoned.by_caller.total() == 1
    assert kept() == {"a"}


def test_an_async_view_that_blocks_takes_its_event_loop_with_it():
    answers = ask({"url": "/api/blocking/"}, {"url": "/api/gentle/", "timeout": LIMIT}, do("write:a"))
    assert answers == [LATE, LATE, Told(200)]
    assert abandoned.by_caller.total() == 1


# -- what ends more than a sub-request


@pytest.mark.parametrize("steps", ["exit", "atomic,write:a,exit"])
def test_a_view_that_ends_the_process_is_not_kept_from_it(steps: str):
    """Nor is the lane that it ran on lost."""
    with pytest.raises(SystemExit):
        ask(do(steps))
    assert ask(do("read")) == [Told(200)]
    assert kept() == set()


def test_a_view_that_ends_the_process_after_its_time_ends_nothing(caplog: pytest.LogCaptureFixture):
    def release() -> None:
        wait_until(lambda: bool(abandoned))
        HOLDS[""].is_released.set()

    thread = in_background(release)
    answers = ask(late("hold,exit"), do("write:a"))
    thread.join()
    assert answers == [LATE, Told(200)]
    assert "SystemExit" in caplog.text


# -- middleware that nobody knows


def leave_a_mark(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware that keeps something on its thread, as many do."""

    def respond(request: HttpRequest) -> HttpResponse:
        seen.mark = "here"
        try:
            return get_response(request)
        finally:
            seen.mark = None

    return respond


@pytest.fixture
def _unknown_middleware() -> Iterator[None]:
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, f"{__name__}.leave_a_mark"]):
        yield


@pytest.mark.usefixtures("_unknown_middleware")
def test_with_unknown_middleware_views_run_on_its_thread():
    assert ask({"url": "/api/seen/"}, do("write:a")).records[0]["body"] == {"mark": "here"}


@pytest.mark.usefixtures("_unknown_middleware")
@pytest.mark.parametrize("steps", ["slow", "fetch", "atomic,write:a,slow", "stubborn,slow"])
def test_with_unknown_middleware_a_slow_query_is_cancelled_too(steps: str):
    """Its connection had to be closed, and cannot be made as the middleware had left it."""
    answers = ask(do("read"), late(steps), do("write:b"), do("read", "GET"))
    assert [answer.status for answer in answers] == [200, 504, 503, 503]
    assert answers[2:] == [NO_LANE, NO_LANE]
    assert answers.seconds < LIMIT + 2
    assert kept() == set()
    assert ask(do("write:c")) == [Told(200)]
