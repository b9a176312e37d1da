"""What several ask for at the same time is computed once, and nobody waits for ever for one who never answers."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import pytest
from django.contrib.auth.models import Group
from django.db import connections
from django.test import Client, override_settings

from batchapi.store import Store
from tests.cache.asking import Record, ask, said
from tests.cache.views import RAN
from tests.cache.views_flight import LONG, Flight
from tests.factories import UserFactory

pytestmark = [pytest.mark.urls("tests.cache.views_flight"), pytest.mark.usefixtures("store")]
MANY = 5
Asking = Callable[..., "Future[list[Record]]"]
in_redis = pytest.mark.parametrize("store", ["redis"], indirect=True)


@pytest.fixture(autouse=True)
def _ready() -> None:
    RAN.clear()
    Flight.start()


@contextmanager
def at_once() -> Iterator[Asking]:
    """Ask from threads; at the end all have answered."""

    def asked(*urls: str | Record, client: Client | None = None) -> list[Record]:
        try:
            return ask(*urls, client=client)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(16) as pool:
        try:
            yield lambda *urls, client=None: pool.submit(asked, *urls, client=client)
        finally:
            Flight.may_end.set()


def hold() -> None:
    """From now on views wait until they may end."""
    Flight.may_end.clear()


def wait_until(is_so: Callable[[], bool]) -> bool:
    end = time.monotonic() + LONG
    while not is_so() and time.monotonic() < end:
        time.sleep(0.01)
    return is_so()


def wait_for_the_others() -> None:
    """Time for others to come to the claim. Were this too short, they would find the answer: a hit as well."""
    time.sleep(0.2)


@pytest.mark.parametrize("kind", ["public", "named"])
def test_many_who_ask_for_the_same_have_it_computed_once(kind: str, store: Store) -> None:
    hold()
    with at_once() as asking:
        answers = [asking(f"/api/{kind}/a/") for _ in range(MANY)]
        assert Flight.begun.wait(LONG)
        wait_for_the_others()
        assert RAN["a"] == 1
        Flight.may_end.set()
        records = [answer.result(LONG)[0] for answer in answers]
    assert [record["body"] for record in records] == [["a", 0]] * MANY
    assert sorted(map(said, records)) == ["fwd=miss; stored", *["hit"] * (MANY - 1)]
    assert RAN["a"] == 1


def test_different_questions_are_computed_side_by_side() -> None:
    Flight.meeting = Barrier(3)
    with at_once() as asking:
        answers = [asking(f"/api/public/{name}/") for name in "abc"]
        assert [answer.result(LONG)[0]["status"] for answer in answers] == [200] * 3


def test_a_name_does_not_make_an_answer_public() -> None:
    """Two users do not wait for each other either."""
    clients = [Client(), Client()]
    for client in clients:
        client.force_login(UserFactory())
    Flight.meeting = Barrier(2)
    with at_once() as asking:
        answers = [asking("/api/named/a/", client=client) for client in clients]
        assert [answer.result(LONG)[0]["status"] for answer in answers] == [200, 200]
    assert RAN["a"] == 2


@pytest.mark.parametrize(
    ("url", "status"),
    [("/api/public/a/", 599), ("/api/public/a/", 503), ("/api/public/a/", 403), ("/api/public/a/", 302)],
)
@in_redis
def test_who_waited_for_one_that_failed_asks_the_view(url: str, status: int) -> None:
    """One after the other, as each may be the one that succeeds."""
    hold()
    Flight.status = status
    with at_once() as asking:
        first = asking(url)
        assert Flight.begun.wait(LONG)
        second = asking(url)
        wait_for_the_others()
        Flight.may_end.set()
        expected = 500 if status == 599 else status
        assert [first.result(LONG)[0]["status"], second.result(LONG)[0]["status"]] == [expected, expected]
    Flight.status = 200
    assert ask(url)[0]["status"] == 200
    assert RAN["a"] == 3


@in_redis
def test_those_who_waited_in_vain_do_not_wait_for_each_other() -> None:
    """A view whose answers can never be kept would run one at a time, in all processes."""
    hold()
    Flight.pause = 1.0
    with at_once() as asking:
        answers = [asking("/api/public/a/?private")]
        assert Flight.begun.wait(LONG)
        answers += [asking("/api/public/a/?private") for _ in range(4)]
        wait_for_the_others()
        Flight.may_end.set()
        assert [answer.result(LONG)[0]["status"] for answer in answers] == [200] * 5
    assert RAN["a"] == 5
    assert Flight.most > 1


@in_redis
def test_who_waited_for_an_answer_that_is_not_kept_asks_the_view() -> None:
    hold()
    with at_once() as asking:
        answers = [asking("/api/public/a/?private") for _ in range(3)]
        assert Flight.begun.wait(LONG)
        wait_for_the_others()
        Flight.may_end.set()
        assert [said(answer.result(LONG)[0]) for answer in answers] == ["fwd=miss; detail=cache-control"] * 3
    assert RAN["a"] == 3


def test_nobody_waits_for_longer_than_their_time(store: Store) -> None:
    hold()
    begun = time.monotonic()
    with at_once() as asking:
        first = asking("/api/public/a/")
        assert Flight.begun.wait(LONG)
        [record] = asking({"url": "/api/public/a/", "timeout": 0.3}).result(LONG)
        assert record["status"] == 504
        assert "0.3 seconds" in str(record["body"])
        assert time.monotonic() - begun < 20, "it waited as long as the whole batch may take"
        Flight.may_end.set()
        assert first.result(LONG)[0]["status"] == 200
    assert RAN["a"] == 1


def test_who_would_wait_too_long_gets_an_old_answer_where_there_is_one() -> None:
    ask("/api/named/a/")
    hold()
    Flight.begun.clear()
    old = {"url": "/api/named/a/", "headers": {"Cache-Control": "max-age=0"}}
    with at_once() as asking:
        first = asking(old)
        assert Flight.begun.wait(LONG)
        [record] = asking({**old, "timeout": 0.3}).result(LONG)
        assert (record["status"], said(record)) == (200, "fwd=stale; fwd-status=504; detail=stale-if-error")
        Flight.may_end.set()
        assert first.result(LONG)[0]["status"] == 200


def test_who_wants_no_kept_answer_waits_for_nobody() -> None:
    Flight.meeting = Barrier(2)
    asked = {"url": "/api/public/a/", "headers": {"Cache-Control": "no-cache"}}
    with at_once() as asking:
        answers = [asking(asked), asking(asked)]
        assert [answer.result(LONG)[0]["status"] for answer in answers] == [200, 200]


@pytest.mark.parametrize("kind", ["public", "named", "async"])
def test_batches_that_ask_in_opposite_order_do_not_wait_for_each_other(kind: str) -> None:
    """Each has claimed what the other one asks for next."""
    Flight.pause = 0.2
    one, other = [[f"/api/{kind}/{name}/" for name in names] for names in ("ab", "ba")]
    begun = time.monotonic()
    with at_once() as asking:
        answers = [asking(*one), asking(*other), asking(*one), asking(*other)]
        statuses = [[record["status"] for record in answer.result(LONG)] for answer in answers]
    assert statuses == [[200, 200]] * 4
    assert max(RAN["a"], RAN["b"]) <= 2, "those who come just as it is done may compute it once more"
    assert time.monotonic() - begun < 9, "they went on only when their time was over"


def test_nor_where_they_wait_for_their_turn_at_a_throttle_as_well() -> None:
    """Who has claimed the second question must not wait behind one who waits for the first."""
    hold()
    Flight.status = 503
    begun = time.monotonic()
    urls = [f"/api/throttled/{name}/" for name in "abcd"]
    with at_once() as asking:
        holders = [asking(url) for url in urls]
        assert wait_until(lambda: all(RAN[name] for name in "abcd"))
        others = [asking(*order) for order in (urls, urls[::-1], urls, urls[::-1])]
        time.sleep(0.6)  # More lanes of theirs have opened.
        Flight.may_end.set()
        statuses = [[record["status"] for record in answer.result(LONG)] for answer in (*holders, *others)]
    assert statuses == [[503]] * 4 + [[503] * 4] * 4
    assert time.monotonic() - begun < 9, "they went on only when their time was over"


def test_async_views_are_computed_once_too() -> None:
    with at_once() as asking:
        answers = [asking("/api/async/a/") for _ in range(MANY)]
        assert [answer.result(LONG)[0]["body"][0] for answer in answers] == ["a"] * MANY
    assert RAN["a"] == 1


@in_redis
def test_without_redis_everybody_asks_the_view() -> None:
    nowhere = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://127.0.0.1:1"}}
    Flight.meeting = Barrier(3)
    with override_settings(CACHES=nowhere), at_once() as asking:
        answers = [asking("/api/public/a/") for _ in range(3)]
        assert [answer.result(LONG)[0]["status"] for answer in answers] == [200] * 3


def test_what_was_written_while_others_waited_is_seen_by_them() -> None:
    """Their answer is of the time before, the next one is not."""
    hold()
    with at_once() as asking:
        first = asking("/api/public/a/")
        assert Flight.begun.wait(LONG)
        second = asking("/api/public/a/")
        wait_for_the_others()
        Group.objects.create(name="new")
        Flight.may_end.set()
        first.result(LONG)
        assert second.result(LONG)[0]["body"] == ["a", 1]
    assert ask("/api/public/a/")[0]["body"] == ["a", 1]


def test_a_sub_request_that_may_not_run_gives_its_claim_back() -> None:
    """It had claimed its question before it was found that what it depends on has failed."""
    fails = {"method": "POST", "url": "/api/public/a/", "id": "fails"}
    records = ask(fails, {"url": "/api/public/b/", "dependsOn": ["fails"]})
    assert [record["status"] for record in records] == [405, 424]
    begun = time.monotonic()
    assert ask({"url": "/api/public/b/", "timeout": 5})[0]["status"] == 200
    assert time.monotonic() - begun < 5
