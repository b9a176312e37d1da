"""What the store on Redis keeps, for how long, what outdates it, and that each step is one round trip."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis
import time_machine as machine
from django.core.cache.backends.base import BaseCache

from batchapi.store import EVERYTHING, Snapshot
from batchapi.store.chosen import pool_of
from batchapi.store.entry import SKEW
from batchapi.store.shared import CHUNK, HEAD_BYTES, RedisStore
from tests.store.conftest import Open
from tests.store.entries import KEY, is_fresh, keep, look, make_entry, snapshot_of
from tests.store.server import cache_at, eventually


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, protocol=2) as one:
        yield one


def put(client: redis.Redis, store: RedisStore, value: bytes) -> None:
    client.set(store.entry_key(KEY[0]), value)


def test_what_was_kept_comes_back_as_it_was(store: RedisStore) -> None:
    body = b"\x00\n\xff not JSON\n"
    headers = (("Content-Type", "image/png"), ("X-Name", "J\u00fcrgen"))
    entry = keep(store, ("t:chat_session", "u:7"), body=body, headers=headers, is_json=False, status=200, stale=5.0)

    found = look(store)
    assert found is not None
    assert found.entry == entry
    assert found.is_fresh
    assert 0 <= found.age < 10


def test_an_empty_body_comes_back_empty(store: RedisStore) -> None:
    keep(store, body=b"")
    found = look(store)
    assert found is not None
    assert found.entry.body == b""


def test_several_keys_come_back_in_their_order(store: RedisStore) -> None:
    keep(store, key="a", body=b"1")
    keep(store, key="b", body=b"2")
    _, found = store.read([("b", KEY[1]), ("none", KEY[1]), ("a", KEY[1])])
    assert [one and one.entry.body for one in found] == [b"2", None, b"1"]


def test_all_processes_share_it(store: RedisStore, redis_url: str, open_store: Open) -> None:
    keep(store)
    assert is_fresh(open_store(redis_url))
    assert store.is_shared


# -- what outdates


def test_a_move_of_one_of_its_tags_outdates_it(store: RedisStore, redis_url: str, open_store: Open) -> None:
    keep(store, ("t:chat_session", "t:auth_user"))
    assert open_store(redis_url).move(["t:auth_user"])
    found = look(store)
    assert found is not None
    assert found.is_outdated


def test_a_move_of_another_tag_does_not(store: RedisStore) -> None:
    keep(store)
    assert store.move(["t:chat_message"])
    assert is_fresh(store)


def test_a_move_while_the_view_ran_outdates_it_too(store: RedisStore) -> None:
    before = snapshot_of(store)
    store.move(["t:chat_session"])
    store.write({KEY[0]: make_entry(before)})
    assert not is_fresh(store)


def test_what_ran_after_the_move_is_current(store: RedisStore) -> None:
    store.move(["t:chat_session"])
    keep(store)
    assert is_fresh(store)


@pytest.mark.parametrize("outdate", [RedisStore.renew, lambda store: store.move([EVERYTHING, "t:x"])])
def test_everything_can_be_outdated_at_once(store: RedisStore, outdate: Callable[[RedisStore], bool]) -> None:
    keep(store, ())
    assert outdate(store)
    assert not is_fresh(store)


def test_to_move_nothing_is_done_at_once(store: RedisStore) -> None:
    keep(store)
    assert store.move([])
    assert is_fresh(store)


def test_generations_do_not_begin_again_when_they_are_evicted(store: RedisStore, client: redis.Redis) -> None:
    keep(store)
    client.delete(store.generations)
    assert not is_fresh(store)
    keep(store)
    assert is_fresh(store)


def test_a_move_before_the_next_read_finds_no_epoch_and_makes_none(store: RedisStore, client: redis.Redis) -> None:
    keep(store, ("t:auth_user",))
    client.delete(store.generations)
    assert store.move(["t:chat_session"])
    assert not is_fresh(store)
    assert snapshot_of(store).generations == {"t:chat_session": 1}


def test_after_flushall_nothing_kept_before_is_fresh(store: RedisStore, client: redis.Redis) -> None:
    entry = keep(store)
    client.flushall()
    store.write({KEY[0]: entry})
    assert not is_fresh(store)


def test_what_stands_in_place_of_a_number_outdates(store: RedisStore, client: redis.Redis) -> None:
    client.hset(store.generations, "t:chat_session", "many")
    keep(store)
    assert not is_fresh(store)
    assert not store.is_away


# -- for how long


def test_it_is_gone_when_nobody_may_use_it_any_more(store: RedisStore, client: redis.Redis) -> None:
    keep(store, ttl=100.0, stale=50.0)
    assert 140_000 < client.pttl(store.entry_key(KEY[0])) <= 150_000
    keep(store, key="never", ttl=0.0)
    assert not client.exists(store.entry_key("never"))


def test_past_its_time_it_may_still_stand_in(store: RedisStore) -> None:
    now = snapshot_of(store).now
    keep(store, stored=now - 30, ttl=20.0, stale=1000.0)
    found = look(store)
    assert found is not None
    assert not found.is_outdated
    assert not found.is_fresh
    assert 30 <= found.age < 40


def test_past_both_it_is_a_miss_whatever_redis_still_has(store: RedisStore) -> None:
    keep(store, stored=snapshot_of(store).now - 100, ttl=60.0, stale=30.0)
    assert look(store) is None


def test_what_comes_from_the_future_is_a_miss(store: RedisStore) -> None:
    """The server's clock was set back: nobody knows how old it is."""
    now = snapshot_of(store).now
    keep(store, stored=now + 3600)
    assert look(store) is None
    keep(store, stored=now + SKEW / 2)
    assert is_fresh(store)


def test_steps_of_our_own_clock_do_no_harm(store: RedisStore, time_machine: machine.TimeMachineFixture) -> None:
    keep(store)
    for year in ("1999", "2099"):
        time_machine.move_to(f"{year}-01-01")
        found = look(store)
        assert found is not None
        assert found.age < 30


def test_the_time_of_the_store_goes_on_between_two_reads(store: RedisStore) -> None:
    early = snapshot_of(store)
    estimates = [early.clock() <= snapshot_of(store).now for _ in range(20)]
    assert all(estimates), "an estimate that is late makes an answer younger than it is"
    assert Snapshot("e", {}, 100.0, early.taken_at).clock() >= 100.0


# -- what is no entry


def bad_values(good: bytes) -> dict[str, bytes]:
    head, _, body = good.partition(b"\n")
    return {
        "empty": b"",
        "other JSON": b'{"user": 7}\n{}',
        "no JSON": b"\x80\x04\x95 pickle",
        "a list": b"[1]\n" + body,
        "cut in the body": good[:-1],
        "cut in the head": head[: len(head) // 2],
        "without a body": head,
        "another version": good.replace(b'"v":1', b'"v":2'),
        "another type": good.replace(b'"status":200', b'"status":"200"'),
        "half a header": good.replace(b',"application/json"]', b"]"),
        "another question": good.replace(b"as alice", b"as mally"),
        "no number": good.replace(b'{"t:chat_session":0}', b'{"t:chat_session":null}'),
    }


@pytest.mark.parametrize("name", bad_values(b"x"))
def test_what_is_no_entry_is_a_miss(store: RedisStore, client: redis.Redis, name: str) -> None:
    keep(store)
    good = client.get(store.entry_key(KEY[0]))
    bad = bad_values(good)[name]
    assert bad != good
    put(client, store, bad)
    assert look(store) is None
    put(client, store, good)
    assert is_fresh(store)


def test_a_key_of_another_type_is_a_miss(store: RedisStore, client: redis.Redis) -> None:
    client.lpush(store.entry_key(KEY[0]), "x")
    assert look(store) is None
    assert not store.is_away


def test_it_is_told_once_in_a_window(
    redis_url: str, open_store: Open, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(redis_url, window=600.0)
    put(client, store, b"{}\n")
    with caplog.at_level(logging.WARNING, logger="batchapi.store"):
        for _ in range(3):
            assert look(store) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert KEY[1] not in caplog.text, "an identity has what a person asked"


def test_text_that_no_json_can_hold_is_not_kept(store: RedisStore) -> None:
    snapshot = snapshot_of(store)
    store.write({"bad": make_entry(snapshot, identity="\ud800"), KEY[0]: make_entry(snapshot)})
    assert is_fresh(store)
    assert not store.is_away


# -- what it costs


@contextmanager
def trips(client: redis.Redis) -> Iterator[list[int]]:
    """How often the server had to read from a socket."""
    told: list[int] = []
    before = client.info("stats")["total_reads_processed"]
    yield told
    told.append(client.info("stats")["total_reads_processed"] - before - 1)  # without the last INFO


def test_each_step_is_one_round_trip(store: RedisStore, client: redis.Redis) -> None:
    snapshot = snapshot_of(store)
    keys = [(f"k{number}", KEY[1]) for number in range(8)]  # more would not fit into what redis-py sends at once
    entries = {key: make_entry(snapshot) for key, _ in keys}
    steps: list[tuple[str, Callable[[], object]]] = [
        ("write", lambda: store.write(entries)),
        ("read", lambda: store.read(keys)),
        ("move", lambda: store.move(["t:a", "t:b", "u:7"])),
        ("renew", store.renew),
        ("claim", lambda: store.claim("k", 30)),
        ("release", lambda: store.release("k", "token")),
    ]
    counted = {}
    for name, step in steps:
        with trips(client) as told:
            step()
        counted[name] = told[0]
    assert counted == dict.fromkeys(counted, 1)


def test_the_tags_of_a_move_move_at_one_moment(store: RedisStore, client: redis.Redis) -> None:
    """No snapshot lies between them: the answers of one wave stand on one side of a commit."""
    client.config_resetstat()
    store.move(["t:a", "t:b"])
    calls = {name: told["calls"] for name, told in client.info("commandstats").items()}
    assert calls["cmdstat_multi"] == calls["cmdstat_exec"] == 1
    assert calls["cmdstat_hincrby"] == 2


def test_a_read_that_finds_no_epoch_is_one_trip_too(store: RedisStore, client: redis.Redis) -> None:
    keep(store)  # connects
    client.delete(store.generations)
    with trips(client) as told:
        assert store.read([KEY])[0] is not None
    assert told == [1]


# -- claims


def test_one_at_a_time_has_the_claim(store: RedisStore, redis_url: str, open_store: Open) -> None:
    other = open_store(redis_url)
    token = store.claim("k", 30)
    assert token
    assert other.claim("k", 30) is None
    assert other.claim("another", 30)
    other.release("k", "not the token")
    assert other.claim("k", 30) is None
    store.release("k", token)
    assert other.claim("k", 30)


def test_a_claim_ends_by_itself(store: RedisStore, redis_url: str, open_store: Open) -> None:
    late = store.claim("k", 0.02)
    other = open_store(redis_url)
    eventually(lambda: other.claim("k", 30))
    assert late
    store.release("k", late)
    assert store.claim("k", 30) is None, "somebody else has it by now"


# -- counting


def test_a_scan_tells_of_all_entries_and_of_nothing_else(store: RedisStore, client: redis.Redis) -> None:
    snapshot = snapshot_of(store)
    count = CHUNK * 2 + 10
    entries = {str(n): make_entry(snapshot, user=str(n), body=b"x" * 5000) for n in range(count)}
    entries["long"] = make_entry(snapshot, user="long", identity="i" * 2 * HEAD_BYTES)
    store.write(entries)
    store.claim("k", 30)
    client.set("project:1:{batchapi}xentry:1", "another's")
    client.set(store.entry_key("foreign"), "{}")
    client.lpush(store.entry_key("list"), "x")
    store.move(["t:chat_session"])
    keep(store, ("t:chat_session",), user="fresh")

    told = list(store.scan())
    assert {found.entry.user for found in told} == {*map(str, range(count)), "long", "fresh"}
    assert [found.entry.user for found in told if found.is_fresh] == ["fresh"]
    assert {found.entry.body for found in told} == {b""}
    assert not store.is_away


def test_signs_in_the_prefix_are_no_pattern(redis_url: str, open_store: Open) -> None:
    one, other = open_store(redis_url, KEY_PREFIX="a[b]*"), open_store(redis_url, KEY_PREFIX="a[b]*c")
    keep(one, user="1")
    keep(other, user="2")
    assert [found.entry.user for found in one.scan()] == ["1"]


# -- whose keys, whose connections


def test_the_prefix_and_version_of_the_project_are_kept(redis_url: str, open_store: Open, client: redis.Redis) -> None:
    client.flushall()
    store = open_store(redis_url, KEY_PREFIX="shop", VERSION=3)
    keep(store)
    store.claim("k", 30)
    keys = {key.decode() for key in client.keys("*")}
    assert keys == {f"shop:3:{{batchapi}}:{rest}" for rest in ("generations", "entry:k", "lock:k")}
    assert not is_fresh(open_store(redis_url, KEY_PREFIX="shop", VERSION=4))


def test_the_pool_of_the_project_stays_as_it_is(redis_url: str) -> None:
    cache: BaseCache = cache_at(redis_url)
    pool = pool_of(cache)
    assert pool is not None
    cache.set("theirs", 1)
    before = (dict(pool.connection_kwargs), list(pool._available_connections), pool.pid)
    store = RedisStore(cache, pool)
    keep(store)
    store.close()
    assert (dict(pool.connection_kwargs), list(pool._available_connections), pool.pid) == before
    assert cache.get("theirs") == 1
    pool.disconnect()
