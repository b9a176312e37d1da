"""Lanes: the first has the caller's connections, further ones their own; all look alike to a view, and all end."""

import json
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from contextvars import Context, ContextVar
from threading import Lock, current_thread, get_ident, main_thread
from time import thread_time
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core import mail
from django.core.cache import BaseCache, cache, caches
from django.core.cache.backends.locmem import LocMemCache
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection, connections, transaction
from django.test import Client, RequestFactory, override_settings
from django.urls import clear_script_prefix, get_urlconf, path, reverse
from django.utils import timezone, translation
from rest_framework.authentication import BasicAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from batchapi import handle_batch_request, signals
from chat.models import Session
from tests.execute import lanes
from tests.execute.lanes import (
    RAN,
    Slow,
    answers,
    get,
    hearing,
    post,
    runs,
    send,
    statuses,
    threads,
    with_settings,
)
from tests.factories import PASSWORD, UserFactory
from tests.security.hashers import HASHED

USED: dict[str, int] = {}  # the connection objects that views found, by the name of the sub-request
FOUND: list[tuple[Any, ...]] = []
CACHES: list[tuple[BaseCache, int]] = []  # the cache that each sub-request found, and on which thread
mark: ContextVar[str] = ContextVar("mark", default="nobody's")


class Connected(Slow):
    """Notes the connection that it works with."""

    def get(self, request: Request, name: str) -> Response:
        USED[name] = id(connections["default"])
        return super().get(request, name)

    post = get


class Surrounded(Slow):
    """Notes what it finds around it, and leaves everything in disorder."""

    def get(self, request: Request, name: str) -> Response:
        FOUND.append((mark.get(), translation.get_language(), timezone.get_current_timezone_name(), get_urlconf()))
        mark.set(name)
        translation.activate("fr")
        timezone.activate("Asia/Tokyo")
        return super().get(request, name)


class Reversed(Slow):
    """Tells where it can be found."""

    def get(self, request: Request, name: str) -> Response:
        super().get(request, name)
        url = reverse("reversed", args=[name])
        return Response([url, request.build_absolute_uri(url)], headers={"Location": url})


class Caching(Slow):
    """Notes the cache that it works with."""

    def get(self, request: Request, name: str) -> Response:
        cache.get("nothing")
        CACHES.append((caches["default"], get_ident()))
        return super().get(request, name)


class LosesTouch(LocMemCache):
    """A cache whose server has gone away by the time that a lane closes its connections."""

    def close(self, **kwargs: Any) -> None:
        if current_thread() is not main_thread():
            raise ConnectionResetError("the cache has gone away")


class Burns(Slow):
    """Computes for as many milliseconds as the query says."""

    def get(self, request: Request, name: str) -> Response:
        RAN.append((name, get_ident()))
        ends_at = thread_time() + int(request.query_params["ms"]) / 1000
        while thread_time() < ends_at:
            pass
        return Response()


class AsksOther(Slow):
    """Reads from the other database."""

    def get(self, request: Request, name: str) -> Response:
        with connections["other"].cursor() as cursor:
            cursor.execute("SELECT 1")
        return super().get(request, name)


class Nests(Slow):
    """Sends a batch of its own."""

    def get(self, request: Request, name: str) -> Response:
        super().get(request, name)
        batch = {"requests": [{"url": "/api/slow/inner/"}]}
        answer = Client().post(lanes.BATCH, batch, content_type="application/json")
        return Response([answer.status_code, answer.json()["code"]])


class Exits(Slow):
    def get(self, request: Request, name: str) -> Response:
        super().get(request, name)
        raise SystemExit(name)


class Private(Slow):
    authentication_classes = (BasicAuthentication,)
    permission_classes = (IsAuthenticated,)


class Careful(BasicAuthentication):
    """Looks each credential up itself."""

    def authenticate_credentials(self, *args: Any, **kwargs: Any) -> Any:
        return super().authenticate_credentials(*args, **kwargs)


class Guarded(Private):
    authentication_classes = (Careful,)


urlpatterns = [
    path("api/connected/<str:name>/", Connected.as_view()),
    path("api/surrounded/<str:name>/", Surrounded.as_view()),
    path("api/reversed/<str:name>/", Reversed.as_view(), name="reversed"),
    path("api/caching/<str:name>/", Caching.as_view()),
    path("api/burns/<str:name>/", Burns.as_view()),
    path("api/asks-other/<str:name>/", AsksOther.as_view()),
    path("api/nests/<str:name>/", Nests.as_view()),
    path("api/exits/<str:name>/", Exits.as_view()),
    path("api/private/<str:name>/", Private.as_view()),
    path("api/guarded/<str:name>/", Guarded.as_view()),
    *lanes.urlpatterns,
]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True, databases=["default", "other"])]


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    RAN.clear()
    USED.clear()
    FOUND.clear()
    CACHES.clear()


def many(view: str, number: int = 12, ms: int = 10) -> list[dict[str, Any]]:
    """Different reads that keep lanes busy."""
    return [get(f"{view}/{n}/?ms={ms}") for n in range(number)]


def test_reads_that_take_their_time_run_on_several_lanes():
    assert statuses(*many("slow")) == [200] * 12
    assert len(threads()) > 3


def test_the_first_lane_has_the_callers_connection_and_the_others_their_own():
    connection.ensure_connection()
    assert statuses(*many("connected")) == [200] * 12
    assert id(connections["default"]) in USED.values()
    assert len(set(USED.values())) == len(threads())


def test_the_callers_connections_belong_to_its_thread_again_afterwards():
    for alias in ("default", "other"):
        assert connections[alias].allow_thread_sharing is False
    statuses(*many("connected"))
    for alias in ("default", "other"):
        assert connections[alias].allow_thread_sharing is False
    connection.inc_thread_sharing()
    statuses(*many("connected"))
    assert connection.allow_thread_sharing is True
    connection.dec_thread_sharing()


def test_writes_and_groups_run_on_the_first_lane():
    UserFactory()
    group = [post(f"connected/g{n}/", atomicityGroup="g") for n in range(2)]
    requests = [*many("connected", 6), post("connected/post/"), *many("connected", 6), *group, *many("connected", 6)]
    assert set(statuses(*requests)) == {200}
    assert {USED["post"], USED["g0"], USED["g1"]} == {id(connections["default"])}
    assert len(threads()) > 1


def test_each_lane_announces_its_connections():
    """All but those that the caller had opened."""
    connection.ensure_connection()
    opened: list[int] = []

    def hear(*, connection: Any, **_: Any) -> None:
        opened.append(id(connection))

    connection.ensure_connection()
    with hearing(signals.lane_opened, hear):
        statuses(*many("connected"))
    mine = id(connections["default"])
    assert set(USED.values()) - {mine} <= set(opened)
    assert mine not in opened


def test_a_connection_that_was_kept_from_the_last_batch_is_announced_again(monkeypatch: pytest.MonkeyPatch):
    """The last batch may have left its own settings on it."""
    opened: list[Any] = []
    raw: list[int] = []
    lock = Lock()

    def hear(*, connection: Any, **_: Any) -> None:
        with lock:
            opened.append(connection)
            raw.append(id(connection.connection))

    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", None)
    outbox = vars(mail).pop("outbox")  # Where tests run, no lane keeps a connection.
    try:
        with hearing(signals.lane_opened, hear):
            statuses(*many("connected"))
            first = set(raw)
            raw.clear()
            statuses(*many("connected"))
        assert first & set(raw)
    finally:
        mail.outbox = outbox
        for kept in opened:
            kept.inc_thread_sharing()
            kept.close()
            kept.dec_thread_sharing()


def test_every_lane_finds_what_is_around_the_caller_and_leaks_nothing():
    """Not to the next sub-request on that lane, and not to the caller."""
    token = mark.set("the caller's")
    middleware = [name for name in settings.MIDDLEWARE if "Locale" not in name]  # It would choose the language anew.
    with override_settings(MIDDLEWARE=middleware), translation.override("de"), timezone.override("Asia/Kolkata"):
        assert statuses(*many("surrounded", 24, ms=5)) == [200] * 24
        after = mark.get(), translation.get_language(), timezone.get_current_timezone_name()
    mark.reset(token)
    assert len(threads()) > 1
    assert set(FOUND) == {("the caller's", "de", "Asia/Kolkata", __name__)}
    assert after == ("the caller's", "de", "Asia/Kolkata")


@pytest.fixture
def _prefix_of_the_thread() -> Iterator[None]:
    """Django's own handler leaves it behind."""
    yield
    clear_script_prefix()


@pytest.mark.usefixtures("_prefix_of_the_thread")
def test_below_a_prefix_urls_are_made_as_they_are_alone():
    """A server hands the prefix to Django's handler, which keeps it for the thread."""
    handler, factory = WSGIHandler(), RequestFactory(SCRIPT_NAME="/pre")

    def call(request: Any) -> Any:
        with closing(handler(request.environ, lambda *_: None)) as response:
            return response, json.loads(response.content)

    alone, body = call(factory.get("/api/reversed/alone/"))
    assert alone["Location"] == body[0] == "/pre/api/reversed/alone/"
    requests = [get(f"reversed/{n}/?ms=10") for n in range(12)]
    batch = {"requests": [{**request, "url": f"/pre{request['url']}"} for request in requests]}
    _, answer = call(factory.post(lanes.BATCH, batch, content_type="application/json"))
    for n, record in enumerate(answer["responses"]):
        assert record["headers"]["Location"] == body[0].replace("alone", str(n))
        assert record["body"] == [url.replace("alone", str(n)) for url in body]
    assert len(threads()) > 1


def caches_by_thread() -> dict[int, set[int]]:
    """The cache objects that sub-requests found on each thread."""
    found = defaultdict(set)
    for each, thread in CACHES:
        found[thread].add(id(each))
    return found


@pytest.mark.parametrize("is_touched", [True, False])
def test_each_lane_has_a_cache_of_its_own_for_all_that_it_runs(is_touched: bool):
    """Django's caches are not made for several threads, and a new one for each sub-request would connect anew."""

    def run() -> list[BaseCache]:
        mine = [caches["default"]] if is_touched else []
        for _ in range(2):
            assert statuses(*many("caching", 24, ms=5)) == [200] * 24
        return mine

    mine = Context().run(run)  # Nobody has used a cache there yet.
    found = caches_by_thread()
    assert len(found) > 1
    assert {len(each) for each in found.values()} == {1}
    assert len(set().union(*found.values(), map(id, mine))) == len(found) + len(mine)


def test_on_the_callers_thread_all_sub_requests_share_its_cache():
    def run() -> BaseCache:
        with transaction.atomic():
            assert statuses(*many("caching", 6, ms=0)) == [200] * 6
        return caches["default"]

    mine = Context().run(run)
    assert caches_by_thread() == {get_ident(): {id(mine)}}


def test_a_cache_that_cannot_be_closed_harms_no_answer(caplog: pytest.LogCaptureFixture):
    """Further lanes leave while the first one still works."""
    with override_settings(CACHES={"default": {"BACKEND": f"{__name__}.LosesTouch"}}):
        assert statuses(get("caching/long/?ms=150"), *many("caching", 8)) == [200] * 9
    assert "A cache could not be closed" in caplog.text
    assert "the cache has gone away" in caplog.text


def test_views_that_compute_get_no_more_lanes():
    """They would only stand in each other's way. A busy machine may keep us from seeing that, so not every time."""
    counts = []
    while not counts or (min(counts) > 2 and len(counts) < 8):
        RAN.clear()
        assert statuses(*many("burns", 20)) == [200] * 20
        counts.append(len(threads()))
    assert min(counts) <= 2, counts
    RAN.clear()
    assert statuses(*many("slow", 20)) == [200] * 20
    assert len(threads()) > 2


@pytest.fixture
def _locked_by_each_request(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The other database, an SQLite one, is locked as each view begins; nobody has connected to it yet."""
    connections["other"].close()
    del connections["other"]
    options = {**connections.settings["other"]["OPTIONS"], "transaction_mode": "immediate"}
    with monkeypatch.context() as patch:
        patch.setitem(connections.settings["other"], "ATOMIC_REQUESTS", True)
        patch.setitem(connections.settings["other"], "OPTIONS", options)
        yield
        connections["other"].close()
    del connections["other"]


@pytest.mark.usefixtures("_locked_by_each_request")
def test_a_database_that_each_request_locks_has_one_lane():
    """Others would only wait for the lock, until they must not wait any longer."""
    answer = handle_batch_request(RequestFactory().get("/"), {"requests": many("asks-other", 8)})
    assert [record["status"] for record in answer["responses"]] == [200] * 8
    assert len(threads()) == 1


@pytest.mark.parametrize(
    ("setting", "most"), [("MAX_CONCURRENT_REQUESTS", 1), ("MAX_CONCURRENT_REQUESTS", 3), ("MAX_LANES", 3)]
)
def test_lanes_are_bounded(setting: str, most: int):
    with with_settings(**{setting: most}):
        assert statuses(*many("slow")) == [200] * 12
    assert len(threads()) <= most


def test_one_lane_of_many_takes_the_reads_in_order():
    with with_settings(MAX_CONCURRENT_REQUESTS=1):
        statuses(*many("slow", ms=3))
    assert lanes.names() == [str(n) for n in range(12)]


def test_in_the_callers_transaction_there_is_no_lane():
    """What it has not committed nobody else could see."""
    with transaction.atomic():
        Session.objects.create(owner=UserFactory(), key="mine")
        assert {str(record["body"]) for record in answers(*many("slow", 4))} == {"['mine']"}
        transaction.set_rollback(True)
    assert len(threads()) == 1


def test_a_batch_in_a_batch_is_refused_on_every_lane():
    assert [record["body"] for record in answers(*many("nests", 8))] == [[400, "nested_batch"]] * 8
    assert len(threads()) > 1
    assert "inner" not in runs()


def test_a_view_that_ends_the_process_ends_the_batch():
    with pytest.raises(SystemExit, match="5"):
        send(*many("slow", 5), get("exits/5/?ms=10"), *many("slow", 5))
    assert statuses(*many("slow")) == [200] * 12


SIGNALS = ["batch_started", "batch_finished", "subrequest_started", "subrequest_finished", "lane_opened"]


@pytest.mark.parametrize("name", SIGNALS)
def test_a_receiver_that_raises_harms_nobody(name: str, caplog: pytest.LogCaptureFixture):
    def receiver(**_: Any) -> None:
        raise RuntimeError("not my day")

    with hearing(getattr(signals, name), receiver):
        assert statuses(*many("slow")) == [200] * 12
    assert "not my day" in caplog.text
    assert len(threads()) > 1


def test_progress_counts_each_answer_once():
    told: list[tuple[int, int, str]] = []

    def hear(*, done: int, total: int, response: Any, **_: Any) -> None:
        told.append((done, total, response.request.key))

    with hearing(signals.subrequest_finished, hear):
        statuses(*many("slow", 20, ms=3))
    assert sorted(done for done, _, _ in told) == list(range(1, 21))
    assert {total for _, total, _ in told} == {20}
    assert [key for _, _, key in sorted(told)] == [str(n) for n in range(20)]


def test_the_batch_has_finished_after_all_of_it_was_told():
    told: list[str] = []

    def hear(**_: Any) -> None:
        told.append("sub-request")

    def hear_end(**_: Any) -> None:
        told.append("batch")

    with hearing(signals.subrequest_finished, hear), hearing(signals.batch_finished, hear_end):
        statuses(*many("slow", 20, ms=3))
    assert told == ["sub-request"] * 20 + ["batch"]


@pytest.fixture
def alice() -> Iterator[User]:
    """Whose password hash is counted."""
    with override_settings(PASSWORD_HASHERS=["tests.security.hashers.CountingHasher"]):
        user = UserFactory(username="alice")
        HASHED.clear()
        yield user


def by_password(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"alice:{password}".encode()).decode()}


def test_twenty_reads_by_password_cost_one_hash(alice: User):
    assert statuses(*many("private", 20), headers=by_password(PASSWORD)) == [200] * 20
    assert [PASSWORD] == HASHED
    assert len(threads()) > 1


def test_twenty_reads_by_a_wrong_password_cost_one_hash(alice: User):
    assert statuses(*many("private", 20), headers=by_password("wrong")) == [401] * 20
    assert HASHED == ["wrong"]


def test_an_authenticator_with_a_look_up_of_its_own_looks_up_each_time(alice: User):
    assert statuses(*many("guarded", 5), headers=by_password(PASSWORD)) == [200] * 5
    assert [PASSWORD] * 5 == HASHED
