"""When an answer is kept, and for whom."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from batchapi.store import Store
from batchapi.store.shared import RedisStore
from tests.cache.asking import ask, fate, fates
from tests.cache.views import RAN, Fails, Switch, Twice
from tests.factories import UserFactory

pytestmark = [pytest.mark.urls("tests.cache.views"), pytest.mark.usefixtures("store")]


@pytest.fixture(autouse=True)
def _nothing_ran() -> Iterator[None]:
    RAN.clear()
    Twice.counted.clear()
    Fails.is_broken, Switch.is_on = False, True
    return


def test_what_was_read_from_a_table_is_kept_until_the_table_is_written() -> None:
    assert fates("/api/names/", "/api/names/") == ["fwd=miss; stored", "fwd=miss; collapsed"]
    assert fates("/api/names/", "/api/names/") == ["hit", "hit"]
    Group.objects.create(name="a")
    [record] = ask("/api/names/")
    assert (record["body"], RAN["Names"]) == (["a"], 2)


def test_a_write_of_the_batch_is_seen_by_the_reads_behind_it() -> None:
    ask("/api/names/")
    write = {"method": "POST", "url": "/api/names/", "body": {"name": "b"}}
    before, _, after = ask("/api/names/", write, {"url": "/api/names/", "id": "after"})
    assert (before["body"], after["body"]) == ([], ["b"])
    assert "hit" in before["headers"]["Cache-Status"]
    assert fate("/api/names/") == "hit"


def test_nobody_is_shown_what_another_asked_for() -> None:
    alice, bob = Client(), Client()
    alice.force_login(UserFactory(username="alice"))
    bob.force_login(UserFactory(username="bob"))
    for client, name in ((alice, "alice"), (bob, "bob"), (alice, "alice"), (bob, "bob")):
        [record] = ask("/api/mine/", client=client)
        assert record["body"][0] == name
    assert RAN["Mine"] == 2


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("/api/nothing/", "fwd=miss; detail=no-query"),
        ("/api/clock/", "fwd=miss; detail=time"),
        ("/api/visits/", "fwd=miss; detail=session"),
        ("/api/visits/?count", "fwd=miss; detail=wrote"),
        ("/api/cookie/", "fwd=miss; detail=wrote"),
        ("/api/stream/", "fwd=miss; detail=stream"),
        ("/api/status/404/", "fwd=miss"),
        ("/api/status/201/", "fwd=miss"),
        ("/api/not-kept/", ""),
        ("/api/headers/?Cache_Control=no-store", "fwd=miss; detail=cache-control"),
        ("/api/headers/?Cache_Control=private", "fwd=miss; detail=cache-control"),
        ("/api/headers/?Cache_Control=max-age%3D0", "fwd=miss; detail=expired"),
        ("/api/headers/?Vary=*", "fwd=miss; detail=vary"),
        ("/api/headers/?Vary=User-Agent", "fwd=miss; detail=vary"),
    ],
)
def test_not_kept(url: str, word: str) -> None:
    assert [fate(url), fate(url)] == [word, word]
    assert sum(RAN.values()) == 2


@pytest.mark.parametrize(
    "url",
    [
        "/api/plain/",
        "/api/waiting/",
        "/api/headers/?Vary=Accept,%20Cookie",
        "/api/headers/?Cache_Control=max-age%3D60",
    ],
)
def test_kept(url: str) -> None:
    assert [fate(url), fate(url)] == ["fwd=miss; stored", "hit"]
    assert sum(RAN.values()) == 1


def test_what_a_view_says_is_kept_is_kept_for_its_time(store: Store) -> None:
    """In memory nobody would hear of other processes."""
    expected = ["fwd=miss; stored", "hit"] if store.is_shared else ["fwd=miss; detail=database"] * 2
    assert [fate("/api/kept/"), fate("/api/kept/")] == expected


def test_a_throttle_counts_hits_too() -> None:
    statuses = [record["status"] for _ in range(3) for record in ask("/api/throttled/")]
    assert statuses == [200, 200, 429]
    assert RAN["Throttled"] == 1


def test_a_permission_that_no_table_tells_of_runs_on_every_hit() -> None:
    assert [fate("/api/switched/"), fate("/api/switched/")] == ["fwd=miss; stored", "hit"]
    Switch.is_on = False
    [record] = ask("/api/switched/")
    assert record["status"] == 401


def test_what_is_public_is_kept_for_everybody_whom_its_permissions_let_in() -> None:
    alice, bob = Client(), Client(REMOTE_ADDR="10.0.0.9")
    alice.force_login(UserFactory())
    bob.force_login(UserFactory())
    urls = "/api/public/", "/api/public-switched/"
    assert fates(*urls, client=alice) == ["fwd=miss; stored"] * 2
    assert fates(*urls, client=bob) == ["hit"] * 2
    assert fates(*urls) == ["hit"] * 2
    Switch.is_on = False
    assert [record["status"] for record in ask(*urls, client=bob)] == [200, 403]


def test_an_old_answer_stands_in_for_a_failure_but_never_an_outdated_one(store: Store) -> None:
    client = Client(raise_request_exception=False)
    ask("/api/fails/?a", client=client)
    Fails.is_broken = True
    wish = {"url": "/api/fails/?a", "headers": {"Cache-Control": "max-age=0"}}
    import time

    time.sleep(1.1)
    [record] = ask(wish, client=client)
    assert record["status"] == 200
    assert "fwd=stale; fwd-status=500" in record["headers"]["Cache-Status"]
    Group.objects.create(name="new")
    [record] = ask(wish, client=client)
    assert record["status"] == 500


@pytest.mark.parametrize("milliseconds", [20, 60])
def test_all_lanes_wait_until_the_wave_is_looked_up(store: Store, milliseconds: int) -> None:
    """While the first one waits for Redis, more lanes open."""
    urls = [f"/api/public-switched/?{n}" for n in range(5)]
    assert fates(*urls) == ["fwd=miss; stored"] * 5
    if isinstance(store, RedisStore):
        store.link.client.client_pause(milliseconds)
    assert fates(*urls) == ["hit"] * 5


def test_a_kept_answer_does_not_help_one_whose_dependency_failed() -> None:
    assert fate("/api/names/") == "fwd=miss; stored"
    fails = {"method": "POST", "url": "/api/nothing/", "id": "fails"}
    _, record = ask(fails, {"url": "/api/names/", "dependsOn": ["fails"]})
    assert record["status"] == 424


def test_what_is_public_is_told_apart_by_headers_that_do_not_say_who_asks() -> None:
    for tenant in ("a", "b", "a"):
        [record] = ask("/api/tenant/", **{"X-Tenant": tenant})
        assert record["body"][0] == tenant
    assert RAN["Tenant"] == 2


@pytest.mark.parametrize(("url", "refusal"), [("/api/set-up/", 403), ("/api/decorated/", 302)])
def test_what_refuses_before_the_handler_refuses_hits_too(url: str, refusal: int) -> None:
    assert [record["status"] for _ in range(2) for record in ask(url)] == [200, 200]
    Switch.is_on = False
    assert ask(url)[0]["status"] == refusal
