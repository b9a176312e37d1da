"""A circuit against a small model of it: in this process, and in the script that all processes share."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import floor
from typing import Any

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from batchapi.store.circuit import BUCKETS, PATIENCE, LocalCircuit, Terms, word_for
from batchapi.store.circuits import Call
from batchapi.store.shared_circuits import SharedCircuits
from tests.store.server import store_at

TERMS = Terms(threshold=0.5, window=30, min_calls=4, reset=10, probes=2)
LEASE = 5.0
ROUTE = "session-list"


@dataclass
class Model:
    """What the documents say, in the plainest words: every call is remembered."""

    calls: list[tuple[float, bool]] = field(default_factory=list)  # when it ended, whether it succeeded
    opened: float | None = None
    isolated: bool = False
    successes: int = 0
    out: dict[str, float] = field(default_factory=dict)  # probes, and until when they have a place

    def word(self, now: float) -> str:
        if self.isolated:
            return "isolated"
        if self.opened is None:
            return "closed"
        return "open" if now < self.opened + TERMS.reset else "half-open"

    def ask(self, token: str, now: float) -> float | None:
        self.out = {token: ends for token, ends in self.out.items() if ends > now}
        match self.word(now):
            case "closed":
                return None
            case "isolated":
                return TERMS.reset
            case "open":
                assert self.opened is not None
                return self.opened + TERMS.reset - now
        if len(self.out) + self.successes == TERMS.probes:
            return PATIENCE
        self.out[token] = now + LEASE
        return None

    def call_ends(self, succeeded: bool, now: float) -> None:
        if self.word(now) != "closed":
            return
        self.calls.append((now, succeeded))
        recent = [ok for ended, ok in self.calls if floor(ended * BUCKETS / 30) > floor(now * BUCKETS / 30) - BUCKETS]
        if not succeeded and len(recent) >= TERMS.min_calls and recent.count(False) / len(recent) >= TERMS.threshold:
            self.open(now)

    def probe_ends(self, token: str, succeeded: bool | None, now: float) -> None:
        if self.out.pop(token, 0) <= now or succeeded is None:
            return
        if not succeeded:
            self.open(now)
        elif self.successes + 1 == TERMS.probes:
            self.close()
        else:
            self.successes += 1

    def open(self, now: float) -> None:
        self.close()
        self.opened = now

    def close(self) -> None:
        self.calls, self.opened, self.isolated, self.successes, self.out = [], None, False, 0, {}


class Alone:
    """The circuit of one process."""

    def __init__(self) -> None:
        self.circuit = LocalCircuit(TERMS)

    def ask(self, token: str, now: float) -> float | None:
        return self.circuit.ask(token, now=now, lease=LEASE)

    def call_ends(self, succeeded: bool, now: float) -> None:
        self.circuit.note(succeeded=int(succeeded), failed=int(not succeeded), now=now)

    def probe_ends(self, token: str, succeeded: bool | None, now: float) -> None:
        self.circuit.end_probe(token, succeeded=succeeded, now=now)

    def word(self, now: float) -> str:
        return word_for(self.circuit.opening, now) if self.circuit.opening else "closed"

    def isolate(self, now: float) -> None:
        self.circuit.isolate(now)

    def close(self, _now: float) -> None:
        self.circuit.reset()


class Shared:
    """The same on a server; two processes take turns with it."""

    def __init__(self, url: str) -> None:
        self.now, self.turn = 0.0, 0
        self.stores = [store_at(url), store_at(url)]
        make_key = self.stores[0].cache.make_key
        self.processes = [SharedCircuits(store.link, make_key, TERMS, clock=lambda: self.now) for store in self.stores]

    def next(self, now: float) -> SharedCircuits:
        self.now, self.turn = now, self.turn + 1
        return self.processes[self.turn % 2]

    def ask(self, token: str, now: float) -> float | None:
        waits = self.next(now).trip(asked=[(ROUTE, token, LEASE)])
        assert waits is not None, "the server is away"
        return float(waits[0]) if waits[0] else None

    def call_ends(self, succeeded: bool, now: float) -> None:
        process = self.next(now)
        process.note(Call(process, ROUTE), succeeded)
        process.trip()

    def probe_ends(self, token: str, succeeded: bool | None, now: float) -> None:
        process = self.next(now)
        process.note(Call(process, ROUTE, token), succeeded)
        process.trip()

    def word(self, now: float) -> str:
        process = self.next(now)
        process.trip()
        known = process.known.get(ROUTE)
        return word_for(known.opening, now) if known else "closed"

    def isolate(self, now: float) -> None:
        assert self.next(now).isolate(ROUTE)

    def close(self, now: float) -> None:
        assert self.next(now).reset(ROUTE)


class Machine(RuleBasedStateMachine):
    """Anything that may happen to a circuit, in any order, at any time."""

    def __init__(self, subject: Any) -> None:
        super().__init__()
        self.subject, self.model = subject, Model()
        self.now, self.count = 1000.0, 0
        self.tokens: list[str] = []

    @rule(seconds=st.sampled_from([0.25, 1.0, 3.0, 5.0, 10.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(succeeded=st.booleans(), times=st.integers(1, 4))
    def calls_end(self, succeeded: bool, times: int) -> None:
        for _ in range(times):
            self.subject.call_ends(succeeded, self.now)
            self.model.call_ends(succeeded, self.now)

    @rule()
    def somebody_asks(self) -> None:
        self.count += 1
        token = f"probe-{self.count}"
        wait, expected = self.subject.ask(token, self.now), self.model.ask(token, self.now)
        assert (wait is None) == (expected is None)
        assert wait == pytest.approx(expected, abs=1e-3)
        if wait is None:
            self.tokens.append(token)

    @rule(data=st.data(), succeeded=st.sampled_from([True, True, False, None]))
    def a_probe_ends(self, data: Any, succeeded: bool | None) -> None:
        token = data.draw(st.sampled_from([*self.tokens[-4:], "probe-of-nobody"]))
        self.subject.probe_ends(token, succeeded, self.now)
        self.model.probe_ends(token, succeeded, self.now)

    @rule()
    def an_operator_isolates(self) -> None:
        self.subject.isolate(self.now)
        self.model.close()
        self.model.isolated = True

    @rule()
    def an_operator_resets(self) -> None:
        self.subject.close(self.now)
        self.model.close()

    @invariant()
    def they_agree(self) -> None:
        assert self.subject.word(self.now) == self.model.word(self.now)


def test_a_process_alone_does_as_the_model() -> None:
    run_state_machine_as_test(lambda: Machine(Alone()), settings=settings(stateful_step_count=60))


def test_processes_together_do_as_the_model(redis_url: str) -> None:
    with started(redis_url) as subjects:
        run_state_machine_as_test(
            lambda: Machine(subjects()), settings=settings(stateful_step_count=40, max_examples=40)
        )


@contextmanager
def started(url: str) -> Iterator[Any]:
    """Makes subjects, each on an empty server; what the last one opened is closed."""
    made: list[Shared] = []

    def make() -> Shared:
        end()
        with redis.Redis.from_url(url) as client:
            client.flushall()
        made.append(Shared(url))
        return made[-1]

    def end() -> None:
        while made:
            for store in made.pop().stores:
                store.close()

    yield make
    end()


def test_half_open_lets_no_more_through_than_it_needs() -> None:
    circuit = LocalCircuit(TERMS)
    circuit.note(succeeded=0, failed=4, now=0.0)
    assert [circuit.ask(str(n), now=10.0, lease=LEASE) for n in range(4)] == [None, None, PATIENCE, PATIENCE]


def test_a_probe_whose_process_died_gives_its_place_back(redis_url: str) -> None:
    with started(redis_url) as shared:
        for subject in (Alone(), shared()):
            for _ in range(4):
                subject.call_ends(False, 0.0)
            waits = [subject.ask(token, now) for token, now in [("a", 10.0), ("b", 10.0), ("c", 14.0), ("d", 15.0)]]
            assert waits == [None, None, PATIENCE, None]


def test_a_call_that_began_before_it_opened_closes_nothing() -> None:
    circuit = LocalCircuit(TERMS)
    circuit.note(succeeded=0, failed=4, now=0.0)
    circuit.note(succeeded=100, failed=0, now=1.0)
    assert circuit.opening is not None


def test_it_remembers_buckets_and_not_calls() -> None:
    """Every call would pay for all that came before it."""
    circuit = LocalCircuit(TERMS)
    for number in range(10_000):
        circuit.note(succeeded=1, failed=0, now=number / 100)
    assert len(circuit.counts) == BUCKETS
