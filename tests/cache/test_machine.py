"""Two users read by batch, and two processes write in every way, in any order: nobody is ever shown what is not so.

The model is the database. What a batch answers is what the views answer alone, whether Redis is there or not, whatever
the clock says; and a kept answer is younger than every write to the tables that it was read from.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from batchapi import uncommitted
from batchapi.store import Store
from tests.cache.machine.outages import LOSSES, OUTAGES
from tests.cache.machine.roads import CALLERS, ROADS, WITHOUT_ATOMIC
from tests.cache.machine.schema import cascading
from tests.cache.machine.stage import REQUESTS, Record, Stage
from tests.cache.machine.views import Now
from tests.cache.machine.writer import PLACES
from tests.store.server import Server, server

STEPS = 16  # of one example

readers = st.sampled_from(["nobody", *(f"{name}-{way}" for name in CALLERS for way in ("session", "token"))])
wishes = st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=4, unique_by=str)
processes = st.sampled_from(["here", "process"])
places = st.sampled_from(list(PLACES))
beside = st.sampled_from(["thread", "process"])
roads = st.sampled_from(list(ROADS))
rows = st.integers(0, 7)
kinds = st.sampled_from(["atomic", "manual", "raw"])


def is_free(machine: "Machine") -> bool:
    return not machine.open


def is_open(machine: "Machine") -> bool:
    return bool(machine.open)


def has_server(machine: "Machine") -> bool:
    return machine.stage.server is not None


class Machine(RuleBasedStateMachine):
    """What may happen. While a transaction is open, nobody else writes: SQLite would have him wait."""

    stage: Stage

    @initialize()
    def begin(self) -> None:
        self.open = ""  # where a transaction is open
        self.kind = ""
        self.written: list[str] = []  # roads, in it
        self.clock = ExitStack()
        self.stage.reset()

    def teardown(self) -> None:
        Now.meanwhile = None
        self.clock.close()
        if self.open:
            self.stage.places[self.open].call("end", False)

    # -- reading

    def elsewhere(self, via: str) -> str:
        """Where a batch is not inside the transaction that is open."""
        return "here" if via == self.open else via

    @rule(who=readers, requests=wishes, via=processes)
    def read(self, who: str, requests: list[Record], via: str) -> None:
        """Again and again, so that something is kept of it."""
        self.stage.read(who, requests, via=self.elsewhere(via))
        self.stage.read(who, requests, via=self.elsewhere(via))
        self.stage.read(who, requests)

    @precondition(is_free)
    @rule(name=st.sampled_from(CALLERS), way=st.sampled_from(["session", "token"]))
    def read_write_and_read(self, name: str, way: str) -> None:
        """In one batch; the last one sees the write, and the next batch too."""
        stage, who = self.stage, f"{name}-{way}"
        before = stage.true_answers(who, REQUESTS[:1])
        write = {"method": "POST", "url": "/api/own/", "body": {"key": stage.text()}}
        step = stage.tick()
        records = stage.ask(who, [REQUESTS[0], write, {**REQUESTS[0], "id": "after"}])
        stage.check(REQUESTS[:1], records[:1], [before], via="here")
        if records[1]["status"] == 201:
            stage.note(["create"], step=step)
        stage.check(REQUESTS[:1], records[2:], [stage.true_answers(who, REQUESTS[:1])], via="here")
        stage.read(who, REQUESTS[:1])

    # -- writing

    @precondition(is_free)
    @rule(place=places, road=roads, n=rows, who=readers, requests=wishes, via=processes)
    def write(self, place: str, road: str, n: int, who: str, requests: list[Record], via: str) -> None:
        self.stage.read(who, requests, via=self.elsewhere(via))
        self.stage.write(place, road, n)
        self.stage.read(who, requests)

    @precondition(is_free)
    @rule(place=beside, road=roads, n=rows, who=readers, requests=wishes)
    def write_while_somebody_reads(self, place: str, road: str, n: int, who: str, requests: list[Record]) -> None:
        """Between what a view has read and its answer, which may be the old one or the new one."""
        stage = self.stage
        before = stage.true_answers(who, requests)
        was_written = []

        def meanwhile() -> None:
            was_written.append(road)
            stage.places[place].call("begin", "atomic")
            stage.places[place].call("write", road, n, text)
            stage.places[place].call("end", True)

        text, Now.meanwhile = stage.text(), meanwhile
        records = stage.ask(who, requests)
        Now.meanwhile = None
        stage.check(requests, records, [before, stage.true_answers(who, requests)], via="here")
        stage.note(was_written)
        stage.read(who, requests)

    @precondition(is_free)
    @rule(road=roads, n=rows, who=readers, requests=wishes, is_first=st.booleans())
    def read_when_a_commit_is_told(self, road: str, n: int, who: str, requests: list[Record], is_first: bool) -> None:
        """By somebody who knows of it before the store does, or after."""
        stage = self.stage
        before = stage.true_answers(who, requests)
        told: list[Record] = []
        waiting = [who]

        def hear(tables: frozenset[str]) -> None:
            if waiting:  # Once: to find a login outdated is a write, too.
                waiting.clear()
                told.extend(stage.ask(who, requests, via="beside"))

        uncommitted.receivers.insert(0 if is_first else len(uncommitted.receivers), hear)
        try:
            stage.write_in_one("thread", road, n)
        finally:
            uncommitted.receivers.remove(hear)
        after = stage.true_answers(who, requests)
        for record, was, now in zip(told, before, after, strict=False):  # It may have written nothing.
            assert (record["status"], record.get("body")) in ((was, now) if is_first else (now,))
        stage.read(who, requests)

    # -- transactions

    @precondition(is_free)
    @rule(place=beside, kind=kinds)
    def begin_a_transaction(self, place: str, kind: str) -> None:
        self.open, self.kind, self.written = place, kind, []
        self.stage.places[place].call("begin", kind)

    @precondition(is_open)
    @rule(data=st.data(), n=rows, who=readers, requests=wishes, is_spoiled=st.booleans())
    def write_in_it(self, data: st.DataObject, n: int, who: str, requests: list[Record], is_spoiled: bool) -> None:
        """Nobody sees that; also if it is a savepoint, which is rolled back."""
        road = data.draw(st.sampled_from(WITHOUT_ATOMIC if self.kind == "raw" else list(ROADS)))
        self.stage.read(who, requests)
        if is_spoiled and self.kind != "raw":
            self.stage.places[self.open].call("spoil", road, n, self.stage.text())
        else:
            self.stage.places[self.open].call("write", road, n, self.stage.text())
            self.written.append(road)
        self.stage.read(who, requests)

    @precondition(is_open)
    @rule(is_committed=st.booleans(), who=readers, requests=wishes, via=processes)
    def end_it(self, is_committed: bool, who: str, requests: list[Record], via: str) -> None:
        """From here on all see it, or nobody ever does."""
        self.stage.read(who, requests, via=self.elsewhere(via))
        place, self.open = self.open, ""
        self.stage.places[place].call("end", is_committed)
        self.stage.note(self.written if is_committed else [])
        self.stage.read(who, requests)

    @precondition(is_free)
    @rule(kind=kinds, data=st.data(), n=rows, who=readers, requests=wishes, is_committed=st.booleans())
    def read_in_ones_own(
        self, kind: str, data: st.DataObject, n: int, who: str, requests: list[Record], is_committed: bool
    ) -> None:
        """A batch inside the transaction of whoever calls it sees what is written there, and keeps nothing of it."""
        road = data.draw(st.sampled_from(WITHOUT_ATOMIC if kind == "raw" else list(ROADS)))
        here = self.stage.places["here"]
        self.stage.read(who, requests)
        here.call("begin", kind)
        try:
            here.call("write", road, n, self.stage.text())
            records = self.stage.ask(who, requests)
            said = [(record["status"], record.get("body")) for record in records]
            assert said == self.stage.true_answers(who, requests)
            assert not any("hit" in record["headers"].get("Cache-Status", "") for record in records)
        finally:
            here.call("end", is_committed)
        self.stage.note([road] if is_committed else [])
        self.stage.read(who, requests)

    # -- what is around

    @precondition(is_free)
    @rule(name=st.sampled_from(CALLERS))
    def log_in(self, name: str) -> None:
        self.stage.log_in(name)

    @rule(hours=st.integers(-48, 48), who=readers, requests=wishes)
    def set_the_clock(self, hours: int, who: str, requests: list[Record]) -> None:
        """Of this process only."""
        self.stage.read(who, requests)
        self.clock.close()
        self.clock.enter_context(time_machine.travel(datetime.now(UTC) + timedelta(hours=hours), tick=True))
        self.stage.read(who, requests)

    @precondition(has_server)
    @rule(loss=st.sampled_from(list(LOSSES)), who=readers, requests=wishes, via=processes)
    def lose_what_redis_had(self, loss: str, who: str, requests: list[Record], via: str) -> None:
        assert self.stage.server is not None
        self.stage.read(who, requests, via=self.elsewhere(via))
        LOSSES[loss](self.stage.server)
        self.stage.forget()
        self.stage.read(who, requests)

    @precondition(lambda machine: has_server(machine) and is_free(machine))
    @rule(
        outage=st.sampled_from(list(OUTAGES)),
        place=places,
        road=roads,
        n=rows,
        who=readers,
        requests=wishes,
        is_noticed=st.booleans(),
    )
    def lose_redis(
        self, outage: str, place: str, road: str, n: int, who: str, requests: list[Record], is_noticed: bool
    ) -> None:
        """Somebody writes meanwhile, and perhaps somebody reads."""
        assert self.stage.server is not None
        self.stage.read(who, requests)
        with OUTAGES[outage](self.stage.server):
            if is_noticed:
                self.stage.read(who, requests)
            self.stage.write(place, road, n)
            if is_noticed:
                self.stage.read(who, requests)
        self.stage.wait_until_redis_is_back()
        if ROADS[road].tables or outage == "killed":  # else nobody may have noticed, and nothing was lost
            self.stage.forget()
        self.stage.read(who, requests)
        self.stage.read(who, requests)


@pytest.fixture
def lone_server() -> Iterator[Server]:
    with server() as one:
        yield one


@pytest.fixture
def redis_url(lone_server: Server) -> str:
    """A server that the test may do harm to."""
    return lone_server.url


@pytest.fixture
def stage(store: Store, request: pytest.FixtureRequest) -> Iterator[Stage]:
    with cascading():
        stage = Stage(request.getfixturevalue("lone_server") if store.is_shared else None)
        try:
            yield stage
        finally:
            stage.close()
            stage.clear()


@pytest.mark.urls("tests.cache.machine.views")
def test_nobody_is_ever_shown_what_is_not_so(stage: Stage) -> None:
    class OnThisStage(Machine):
        """One database and one cache for all examples."""

    OnThisStage.stage = stage
    some = settings().max_examples // 2  # Each has many steps, and outages take their time.
    profile = settings(max_examples=some, stateful_step_count=STEPS, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(OnThisStage, settings=profile)
    assert stage.hits["here"] > some, f"next to nothing was kept: {stage.hits}"
    assert stage.hits["process"], "the other process was given nothing that was kept"
