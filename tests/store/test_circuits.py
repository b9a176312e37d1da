"""Circuits that all processes share: what one of them sees the others know, also of one that was killed."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from batchapi.store.circuit import Terms
from batchapi.store.circuits import Call
from batchapi.store.local_circuits import LocalCircuits
from batchapi.store.shared import RedisStore
from batchapi.store.shared_circuits import FRESH, SharedCircuits
from tests.store.server import Server, eventually
from tests.store.test_processes import run

ROOT = Path(__file__).resolve().parent.parent.parent
TERMS = Terms(threshold=0.5, window=30, min_calls=4, reset=0.2, probes=3)
PROCESSES = 8
CODE = """
import sys, time
from batchapi.store.circuit import Terms
from batchapi.store.circuits import Call
from batchapi.store.shared_circuits import SharedCircuits
from tests.store.server import store_at
store = store_at(sys.argv[1])
circuits = SharedCircuits(store.link, store.cache.make_key, Terms(0.5, 30, 4, 0.2, 3))
print("ready", flush=True)
for order in sys.stdin:
    match order.split():
        case ["begin"]:
            call = circuits.begin("session-list", 30.0)
            print("probe" if isinstance(call, Call) and call.token else "call" if isinstance(call, Call) else "wait")
        case ["end", how]:
            call.end({"well": True, "badly": False}[how])
            circuits.tell()
            print("told")
    sys.stdout.flush()
"""
Open = Callable[..., RedisStore]


class Process:
    """One more process that has the circuits, and does as it is told."""

    def __init__(self, url: str) -> None:
        command = [sys.executable, "-c", CODE, url]
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "COVERAGE_PROCESS_CONFIG": ""}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        )

    def hear(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def order(self, words: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{words}\n")
        self.process.stdin.flush()

    def do(self, words: str) -> str:
        self.order(words)
        return self.hear()


@pytest.fixture
def processes(request: pytest.FixtureRequest, redis_url: str, store: RedisStore) -> Iterator[list[Process]]:
    """As many as the test wants."""
    found = [Process(redis_url) for _ in range(request.param)]
    assert {one.hear() for one in found} == {"ready"}
    yield found
    for one in found:
        with suppress(ProcessLookupError):
            one.process.kill()
        one.process.communicate()


@pytest.fixture
def open_circuits(redis_url: str, open_store: Open, store: RedisStore) -> Callable[[], SharedCircuits]:
    """Circuits as one more process would have them, on an empty server."""

    def make() -> SharedCircuits:
        other = open_store(redis_url)
        return SharedCircuits(other.link, other.cache.make_key, TERMS)

    return make


def fail(circuits: SharedCircuits, times: int = 4) -> None:
    for _ in range(times):
        call = circuits.begin("session-list", 1.0)
        assert isinstance(call, Call)
        call.end(False)
    circuits.tell()


def word(circuits: SharedCircuits) -> str:
    return next((state.word for state in circuits.states()), "closed")


def together(processes: list[Process], words: str) -> list[str]:
    for one in processes:
        one.order(words)
    return [one.hear() for one in processes]


@pytest.mark.parametrize("processes", [PROCESSES], indirect=True)
def test_eight_processes_open_it_together_and_probe_it_no_more_than_allowed(processes: list[Process]) -> None:
    """None of them has seen enough failures alone; half-open, three of the eight get through, whoever comes first."""
    assert together(processes, "begin") == ["call"] * PROCESSES
    together(processes, "end badly")
    time.sleep(FRESH)  # what a process goes by is that old at most
    assert sorted(together(processes, "begin")) == ["probe"] * 3 + ["wait"] * 5
    assert together(processes, "begin") == ["wait"] * PROCESSES, "a place was given twice"


@pytest.mark.parametrize("processes", [2], indirect=True)
def test_a_killed_process_leaves_no_circuit_half_open(processes: list[Process]) -> None:
    """Its probes are out for as long as a call may take; then their places are free again."""
    doomed, other = processes[:2]
    for _ in range(4):
        assert doomed.do("begin") == "call"
        doomed.do("end badly")
    time.sleep(TERMS.reset)
    assert [doomed.do("begin") for _ in range(3)] == ["probe"] * 3
    doomed.process.send_signal(signal.SIGKILL)
    time.sleep(FRESH)
    assert other.do("begin") == "wait"


def test_what_one_process_sees_the_others_know(open_circuits: Callable[[], SharedCircuits]) -> None:
    here, there = open_circuits(), open_circuits()
    fail(here)
    assert isinstance(there.begin("session-list", 1.0), float)
    assert isinstance(there.begin("session-detail", 1.0), Call)


def test_probes_that_succeed_close_it_for_all(open_circuits: Callable[[], SharedCircuits]) -> None:
    here, there = open_circuits(), open_circuits()
    fail(here)
    time.sleep(TERMS.reset)
    for circuits in (here, there, here):
        call = circuits.begin("session-list", 1.0)
        assert isinstance(call, Call)
        assert call.token
        call.end(True)
        circuits.tell()
    assert word(there) == "closed"


def test_a_probe_that_fails_opens_it_for_all(open_circuits: Callable[[], SharedCircuits]) -> None:
    here, there = open_circuits(), open_circuits()
    fail(here)
    time.sleep(TERMS.reset)
    call = there.begin("session-list", 1.0)
    assert isinstance(call, Call)
    call.end(False)
    there.tell()
    assert isinstance(here.begin("session-list", 1.0), float)


def test_calls_that_go_well_cost_a_trip_in_a_second_at_most(
    open_circuits: Callable[[], SharedCircuits], redis_url: str
) -> None:
    circuits = open_circuits()
    with redis.Redis.from_url(redis_url) as client:
        client.config_resetstat()
        for _ in range(200):
            call = circuits.begin("session-list", 1.0)
            assert isinstance(call, Call)
            call.end(True)
            circuits.tell()
        assert client.info("commandstats")["cmdstat_eval"]["calls"] <= 2


def test_successes_are_not_lost_where_only_failures_are_told_at_once(
    open_circuits: Callable[[], SharedCircuits],
) -> None:
    circuits = open_circuits()
    for _ in range(5):
        call = circuits.begin("session-list", 1.0)
        assert isinstance(call, Call)
        call.end(True)
    fail(circuits, times=4)
    assert word(circuits) == "closed", "four of nine are less than half"


def test_an_operator_isolates_and_resets_for_all(open_circuits: Callable[[], SharedCircuits]) -> None:
    here, there = open_circuits(), open_circuits()
    assert here.isolate("session-list")
    assert there.begin("session-list", 1.0) == TERMS.reset
    assert word(there) == "isolated"
    assert here.reset("session-list")
    assert word(there) == "closed"


def test_what_is_isolated_stays_so_while_redis_is_away(lone_server: Server, open_store: Open) -> None:
    store = open_store(lone_server.url, timeout=0.1)
    circuits = SharedCircuits(store.link, store.cache.make_key, TERMS)
    circuits.isolate("session-list")
    lone_server.kill()
    circuits.trip()
    assert circuits.link.is_away
    assert circuits.begin("session-list", 1.0) == TERMS.reset


def test_while_redis_is_away_a_process_goes_by_what_it_sees_itself(lone_server: Server, open_store: Open) -> None:
    store = open_store(lone_server.url, timeout=0.1)
    circuits = SharedCircuits(store.link, store.cache.make_key, TERMS)
    assert isinstance(circuits.begin("session-list", 1.0), Call)
    lone_server.kill()
    circuits.trip()
    fail(circuits)
    assert isinstance(circuits.begin("session-list", 1.0), float)
    time.sleep(TERMS.reset)
    probes = [circuits.begin("session-list", 1.0) for _ in range(4)]
    assert [isinstance(probe, Call) for probe in probes] == [True, True, True, False]
    lone_server.start()
    eventually(lambda: not circuits.link.is_away)
    circuits.trip()
    assert isinstance(circuits.begin("session-list", 1.0), Call), "all processes together have seen nothing"
    assert circuits.alone.states() == [], "nor does it begin with that when Redis goes away again"


def test_a_call_ends_once() -> None:
    """Where it was given up it comes back all the same, later."""
    circuits = LocalCircuits(TERMS)
    for _ in range(3):
        call = circuits.begin("session-list", 1.0)
        assert isinstance(call, Call)
        call.end(False)
        call.end(False)
    assert circuits.states() == []


def test_a_hung_redis_costs_one_timeout_and_no_error(lone_server: Server, open_store: Open) -> None:
    store = open_store(lone_server.url, timeout=0.1, window=5.0)
    circuits = SharedCircuits(store.link, store.cache.make_key, TERMS)
    with lone_server.hung():
        begun = time.monotonic()
        for number in range(50):
            call = circuits.begin("session-list", 1.0)
            assert isinstance(call, Call)
            call.end(number < 49)
            circuits.tell()
        assert time.monotonic() - begun < 1.0


def test_what_is_not_ours_is_thrown_away(
    open_circuits: Callable[[], SharedCircuits], redis_url: str, store: RedisStore
) -> None:
    circuits = open_circuits()
    key = store.cache.make_key("{batchapi}:circuits")
    with redis.Redis.from_url(redis_url) as client:
        odd = {"since": 1, "ends": "soon", "calls": 0, "failures": 0, "successes": 0, "probes": {}}
        broken = {"session-list": "{broken", "other": "[1]", "third": json.dumps({"since": 1}), "odd": json.dumps(odd)}
        client.hset(key, mapping=broken)
        assert isinstance(circuits.begin("session-list", 1.0), Call)
        assert client.hgetall(key) == {}
    assert not circuits.link.is_away


def test_a_child_process_has_no_lock_of_its_parents(open_circuits: Callable[[], SharedCircuits]) -> None:
    circuits = open_circuits()
    with circuits.lock, circuits.asking, circuits.alone.lock:
        pid = os.fork()
        if not pid:  # The child.
            signal.alarm(10)  # It would wait for ever.
            calls = [those.begin("session-list", 1.0) for those in (circuits, circuits.alone)]
            os._exit(0 if all(isinstance(call, Call) for call in calls) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_process_that_ends_has_told_what_failed(open_circuits: Callable[[], SharedCircuits], redis_url: str) -> None:
    """Also where it does not come to the end of its batch."""
    run(f"""
from batchapi.store.circuit import Terms
from batchapi.store.shared_circuits import SharedCircuits
store = store_at("{redis_url}")
circuits = SharedCircuits(store.link, store.cache.make_key, Terms(0.5, 30, 4, 10.0, 3))
for _ in range(4):
    circuits.begin("session-list", 1.0).end(False)
""")
    assert word(open_circuits()) == "open"


def test_it_is_logged_once_when_it_opens_and_once_when_it_closes(
    open_circuits: Callable[[], SharedCircuits], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "batchapi.circuit")
    circuits = open_circuits()
    fail(circuits)
    for _ in range(10):
        circuits.begin("session-list", 1.0)
    circuits.states()
    circuits.reset("session-list")
    told = [(record.levelname, vars(record)["route"], vars(record)["circuit"]) for record in caplog.records]
    assert told == [("WARNING", "session-list", "open"), ("INFO", "session-list", "closed")]


def test_what_a_later_release_adds_does_no_harm(
    open_circuits: Callable[[], SharedCircuits], redis_url: str, store: RedisStore
) -> None:
    told = {"since": 1, "ends": 1, "calls": 4, "failures": 4, "successes": 0, "probes": {}, "later": True}
    with redis.Redis.from_url(redis_url) as client:
        client.hset(store.cache.make_key("{batchapi}:circuits"), "session-list", json.dumps(told))
    circuits = open_circuits()
    assert isinstance(circuits.begin("session-detail", 1.0), Call)
    assert word(circuits) == "half-open"


def test_a_redis_that_runs_no_scripts_leaves_each_process_its_own_and_the_store_in_peace(
    lone_server: Server, open_store: Open, caplog: pytest.LogCaptureFixture
) -> None:
    lone_server.ask("ACL", "SETUSER", "app", "on", ">word", "~*", "&*", "+@all", "-eval")
    store = open_store(lone_server.url.replace("redis://", "redis://app:word@"))
    circuits = SharedCircuits(store.link, store.cache.make_key, TERMS)
    circuits.trip()
    epoch = store.read([])[0]
    for _ in range(2):
        fail(circuits, times=2)
        circuits.trip()
    assert isinstance(circuits.begin("session-list", 1.0), float)
    assert not store.is_away
    now = store.read([])[0]
    assert epoch is not None
    assert now is not None
    assert epoch.epoch == now.epoch, "kept answers of all processes were outdated"
    assert ["runs no script" in record.getMessage() for record in caplog.records].count(True) == 1


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_call_that_the_client_shortens_is_no_probe(
    open_circuits: Callable[[], SharedCircuits], is_shared: bool
) -> None:
    """It may tell nothing of its view, and whoever sends many would keep all others from closing it."""
    circuits = open_circuits() if is_shared else LocalCircuits(TERMS)
    for _ in range(4):
        call = circuits.begin("session-list", 1.0)
        assert isinstance(call, Call)
        call.end(False)
    circuits.tell()
    time.sleep(TERMS.reset)
    assert isinstance(circuits.begin("session-list", None), float)
    probe = circuits.begin("session-list", 1.0)
    assert isinstance(probe, Call)
    assert probe.token
