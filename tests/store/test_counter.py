"""What one caller had in a span of time, counted by real Redis servers, and what is done while there is none."""

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import inf, isclose
from threading import Barrier
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from limits import RateLimitItemPerDay, RateLimitItemPerSecond

from batchapi.store.chosen import pool_of
from batchapi.store.counter import Counter, seconds_until
from tests.store.server import Server, cache_at, eventually
from tests.store.test_processes import run

TEN = RateLimitItemPerDay(10)
DAY = 86_400
PATIENT, SHORT = 5.0, 0.2  # Seconds of a timeout: a machine under load is no outage; a hung server is one.

Open = Callable[..., Counter]


def counter_at(url: str, *, timeout: float = PATIENT, window: float = 0.3) -> Counter:
    return Counter(pool_of(cache_at(url)), "project:1:{batchapi}:rate", timeout=timeout, window=window)


@pytest.fixture
def open_counter() -> Iterator[Open]:
    """As one more process would have it."""
    opened: list[Counter] = []

    def open_one(url: str, **options: Any) -> Counter:
        opened.append(counter_at(url, **options))
        return opened[-1]

    yield open_one
    for counter in opened:
        counter.close()


@pytest.fixture(params=["redis", "memory"])
def counter(request: pytest.FixtureRequest, open_counter: Open) -> Counter:
    """One that nothing was taken from."""
    if request.param == "memory":
        return Counter(None, "rate", timeout=PATIENT, window=0.3)
    url = request.getfixturevalue("redis_url")
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return open_counter(url)


def test_as_much_as_the_rate_says_is_had_and_no_more(counter: Counter) -> None:
    assert [counter.take(TEN, "a", cost=1) for _ in range(10)] == [0.0] * 10
    assert counter.take(TEN, "a", cost=1) > 0


def test_what_is_refused_is_not_counted(counter: Counter) -> None:
    assert counter.take(TEN, "a", cost=6) == 0.0
    assert counter.take(TEN, "a", cost=5) > 0
    assert counter.take(TEN, "a", cost=4) == 0.0


def test_callers_and_rates_are_counted_apart(counter: Counter) -> None:
    assert counter.take(TEN, "a", cost=10) == counter.take(TEN, "b", cost=10) == 0.0
    assert counter.take(RateLimitItemPerDay(11), "a", cost=10) == 0.0
    assert counter.take(RateLimitItemPerDay(10, namespace="other"), "a", cost=10) == 0.0


def test_more_than_the_whole_rate_is_never_had(counter: Counter) -> None:
    assert counter.take(TEN, "a", cost=11) == inf
    assert counter.take(TEN, "a", cost=10) == 0.0


def test_any_text_may_name_a_caller(counter: Counter) -> None:
    """An address comes from a header that clients may write into, where no proxy is trusted."""
    for name in ("address é/1/day", "x" * 100_000, "{}", "\n"):
        assert counter.take(TEN, name, cost=10) == 0.0
        assert counter.take(TEN, name, cost=1) > 0


def test_sixteen_threads_take_no_more_than_there_is(counter: Counter) -> None:
    hundred = RateLimitItemPerDay(100)
    with ThreadPoolExecutor(16) as pool:
        waits = list(pool.map(lambda _: counter.take(hundred, "a", cost=3), range(160)))
    assert waits.count(0.0) == 33


def test_after_the_time_that_is_told_it_is_had(counter: Counter) -> None:
    """And it is no longer than it has to be: two spans at most."""
    item = RateLimitItemPerSecond(5)
    while not (wait := counter.take(item, "a", cost=3)):
        pass
    assert wait <= 2
    time.sleep(wait + 0.01)
    assert counter.take(item, "a", cost=3) == 0.0


def test_processes_count_together_on_one_server(redis_url: str, open_counter: Open) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    one, other = open_counter(redis_url), open_counter(redis_url)
    assert (one.take(TEN, "a", cost=6), other.take(TEN, "a", cost=4)) == (0.0, 0.0)
    assert one.take(TEN, "a", cost=1) > 0


def test_all_keys_are_in_our_room_and_end_by_themselves(redis_url: str, open_counter: Open) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        open_counter(redis_url).take(TEN, "address 203.0.113.7", cost=1)
        keys = client.keys("*")
        assert len(keys) == 1
        assert keys[0].startswith(b"project:1:{batchapi}:rate:")
        assert b"203.0.113.7" not in keys[0]
        assert 0 < client.ttl(keys[0]) <= 2 * DAY


# -- while Redis is away


def test_while_redis_is_killed_this_process_counts_for_itself(lone_server: Server, open_counter: Open) -> None:
    counter = open_counter(lone_server.url)
    assert counter.take(TEN, "a", cost=10) == 0.0
    lone_server.kill()
    assert counter.take(TEN, "a", cost=10) == 0.0
    assert counter.take(TEN, "a", cost=1) > 0
    lone_server.start()
    eventually(lambda: not counter.take(TEN, "b", cost=1) and not counter.is_away)
    assert counter.take(TEN, "a", cost=10) == 0.0  # The new server has not heard of anybody.


def test_a_hung_redis_costs_one_timeout_in_a_window(lone_server: Server, open_counter: Open) -> None:
    counter = open_counter(lone_server.url, timeout=SHORT, window=60.0)
    counter.take(TEN, "warm", cost=1)
    with lone_server.hung():
        started = time.monotonic()
        assert [counter.take(TEN, "a", cost=1) for _ in range(10)] == [0.0] * 10
        assert SHORT <= time.monotonic() - started < 2 * SHORT
        assert counter.take(TEN, "a", cost=1) > 0


def test_one_thread_at_a_time_looks_for_a_hung_redis(lone_server: Server, open_counter: Open) -> None:
    """The others do not wait for it."""
    counter = open_counter(lone_server.url, timeout=SHORT, window=0.05)
    with lone_server.hung():
        counter.take(TEN, "a", cost=1)
        time.sleep(0.06)
        with ThreadPoolExecutor(16) as pool:
            asked = list(pool.map(lambda _: counter.may_ask(), range(16)))
    assert asked.count(True) == 1


def test_an_outage_is_one_line_in_a_window(
    lone_server: Server, open_counter: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where many threads find out at the same time."""
    counter, together = open_counter(lone_server.url, timeout=SHORT, window=60.0), Barrier(8)

    def take(number: int) -> float:
        together.wait()
        return counter.take(TEN, str(number), cost=1)

    with caplog.at_level(logging.WARNING, "batchapi.store"), lone_server.hung(), ThreadPoolExecutor(8) as pool:
        assert list(pool.map(take, range(8))) == [0.0] * 8
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "Rates are counted by this process alone until Redis is back"
    ]


def test_a_foreign_value_under_our_key_refuses_nobody(lone_server: Server, open_counter: Open) -> None:
    counter = open_counter(lone_server.url)
    counter.take(TEN, "a", cost=1)
    with lone_server.admin() as admin:
        for key in admin.keys("*"):
            admin.delete(key)
            admin.lpush(key, "x")
    assert counter.take(TEN, "a", cost=10) == 0.0


def test_a_server_that_lost_our_scripts_is_given_them_again(lone_server: Server, open_counter: Open) -> None:
    counter = open_counter(lone_server.url)
    counter.take(TEN, "a", cost=6)
    lone_server.ask("SCRIPT", "FLUSH")
    assert (counter.take(TEN, "a", cost=4), counter.is_away) == (0.0, False)
    assert counter.take(TEN, "a", cost=1) > 0


def test_a_child_has_connections_and_a_lock_of_its_own(lone_server: Server) -> None:
    """Also where the parent forks while others of its threads count."""
    told = run(f"""
from limits import RateLimitItemPerDay
from tests.store.test_counter import counter_at
counter, much = counter_at("{lone_server.url}"), RateLimitItemPerDay(10**9)
stop = threading.Event()
def go_on():
    while not stop.is_set():
        counter.take(much, "parent", cost=1)
threads = [threading.Thread(target=go_on) for _ in range(4)]
for thread in threads: thread.start()
ten = RateLimitItemPerDay(10)
def take_one():
    return counter.take(ten, "child", cost=1) == 0.0 and not counter.is_away
told["children"] = [in_child(take_one) for _ in range(10)]
told["eleventh"] = in_child(take_one)
stop.set()
for thread in threads: thread.join()
told["away"] = counter.is_away
""")
    assert told == {"children": [0] * 10, "eleventh": 3, "away": False}


# -- how long to wait


@given(
    limit=st.integers(1, 200),
    span=st.sampled_from([1, 60, 3600]),
    at=st.floats(0, 1, exclude_max=True),
    before=st.integers(0, 200),
    taken=st.integers(0, 200),
    cost=st.integers(1, 200),
)
def test_the_time_to_wait_is_the_first_moment_that_fits(
    limit: int, span: int, at: float, before: int, taken: int, cost: int
) -> None:
    """A model of two counters, one of which fades out: at that moment the cost fits in, and just before it does not."""
    before, taken, cost = min(before, limit), min(taken, limit), min(cost, limit)
    fades = (1 - at) * span

    def fits(after: float) -> bool:
        if after < fades:
            return int(before * (fades - after) / span + 1e-9) + taken + cost <= limit
        return int(taken * max(0.0, span - (after - fades)) / span + 1e-9) + cost <= limit

    wait = seconds_until((before, fades if before else 0.0, taken, fades + span), limit=limit, span=span, cost=cost)
    if not before and taken + cost <= limit:
        assert wait == 0.0
        return
    assert fits(wait + 1e-6 * span)
    assert wait == 0.0 or not fits(wait - 1e-6 * span) or isclose(wait, fades, abs_tol=1e-5 * span)
