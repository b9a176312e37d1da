"""Two processes on one Redis do anything in any order, and lose their way to it in between.

An answer is fresh only if nothing that it was made from has moved since its snapshot, by a move that was certain or
one that was lost. A process that lost one serves nothing until it is back; the other may go on until then.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from batchapi.store import Entry, Found, Snapshot
from batchapi.store.shared import RedisStore
from tests.store.entries import make_entry
from tests.store.server import Server, eventually, store_at

TAGS = ("t:a", "t:b", "t:c")
KEYS = ("k", "l")
processes = st.sampled_from(["one", "two"])
some_tags = st.sets(st.sampled_from(TAGS), min_size=1)


@dataclass
class Model:
    """What has happened, told by the number of the step."""

    step: int = 0
    moved: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TAGS, 0))  # by tag, the last move
    forgotten: int = 0  # when last everything was outdated
    lost: dict[str, dict[str, int]] = field(default_factory=lambda: {"one": {}, "two": {}})  # by process and tag

    def is_outdated(self, tags: set[str], at: int, reader: str) -> bool:
        """Whether what was made from these tags at a step must not be served to this process."""
        known = [self.forgotten, *(self.moved[tag] for tag in tags)]
        own = [self.lost[reader].get(tag, 0) for tag in tags]
        return max(known + own) > at


class TwoProcesses(RuleBasedStateMachine):
    """Each process is a Redis user of its own, so that one can lose its way while the other does not."""

    server: Server

    @initialize()
    def begin(self) -> None:
        self.admin = redis.Redis(port=self.server.port, protocol=2)
        self.admin.flushall()
        self.stores = {name: self.open(name) for name in ("one", "two")}
        self.model = Model()
        self.away: set[str] = set()
        self.snapshots: list[tuple[Snapshot, int]] = []
        self.kept: dict[bytes, tuple[set[str], int]] = {}  # by body, what it was made from and when

    def open(self, name: str) -> RedisStore:
        self.admin.execute_command("ACL", "SETUSER", name, "on", "nopass", "~*", "+@all")
        return store_at(self.server.url.replace("//", f"//{name}:x@"), window=0.01)

    def teardown(self) -> None:
        for store in self.stores.values():
            store.close()
        self.admin.close()

    def tick(self) -> int:
        self.model.step += 1
        return self.model.step

    @rule(name=processes)
    def take_a_snapshot(self, name: str) -> None:
        """A view is about to run."""
        step = self.tick()
        snapshot, _ = self.stores[name].read([])
        assert (snapshot is None) == (name in self.away)
        if snapshot:
            self.snapshots.append((snapshot, step))

    @rule(name=processes, key=st.sampled_from(KEYS), tags=some_tags, back=st.integers(0, 5))
    def keep(self, name: str, key: str, tags: set[str], back: int) -> None:
        """A view has run, some time after its snapshot."""
        if not self.snapshots:
            return
        snapshot, step = self.snapshots[-1 - back % len(self.snapshots)]
        entry = self.make(snapshot, key, tags, step)
        self.stores[name].write({key: entry})

    def make(self, snapshot: Snapshot, key: str, tags: set[str], step: int) -> Entry:
        body = b"%d" % len(self.kept)
        self.kept[body] = (tags, step)
        return make_entry(snapshot, tags, identity=key, body=body)

    @rule(name=processes, tags=some_tags)
    def move(self, name: str, tags: set[str]) -> None:
        """A commit has written."""
        step = self.tick()
        is_certain = self.stores[name].move(tags)
        assert is_certain == (name not in self.away)
        (self.model.moved if is_certain else self.model.lost[name]).update(dict.fromkeys(tags, step))

    @rule(name=processes)
    def renew(self, name: str) -> None:
        step = self.tick()
        is_certain = self.stores[name].renew()
        assert is_certain == (name not in self.away)
        if is_certain:
            self.model.forgotten = step
        else:
            self.model.lost[name].update(dict.fromkeys(TAGS, step))

    @rule()
    def flush(self) -> None:
        self.admin.flushall()
        self.model.forgotten = self.tick()

    @rule()
    def evict_the_generations(self) -> None:
        self.admin.delete(self.stores["one"].generations)
        self.model.forgotten = self.tick()

    @rule(key=st.sampled_from(KEYS))
    def evict_an_entry(self, key: str) -> None:
        self.admin.delete(self.stores["one"].entry_key(key))

    @rule(name=processes)
    def lose_the_way(self, name: str) -> None:
        """It notices when it next asks."""
        self.admin.execute_command("ACL", "SETUSER", name, "off")
        self.admin.client_kill_filter(skipme=True, user=name)
        if name not in self.away:
            self.away.add(name)
            assert self.stores[name].read([]) == (None, [])

    @rule(name=processes)
    def find_the_way(self, name: str) -> None:
        if name in self.away:
            self.admin.execute_command("ACL", "SETUSER", name, "on")
            eventually(lambda: not self.stores[name].is_away)
            self.away.remove(name)
            self.model.lost[name].clear()
            self.model.forgotten = self.tick()

    @rule(name=processes)
    def be_useful(self, name: str) -> None:
        """What is kept at once and read at once is fresh."""
        snapshot, _ = self.stores[name].read([])
        if snapshot:
            self.stores[name].write({"k": self.make(snapshot, "k", {"t:a"}, self.tick())})
            assert self.look(name, "k")

    @invariant()
    def nothing_outdated_is_served(self) -> None:
        for name in self.stores:
            for key in KEYS:
                self.look(name, key)

    def look(self, name: str, key: str) -> Found | None:
        """What is fresh, which has to be so by the model too."""
        _, [found] = self.stores[name].read([(key, key)])
        if found is None or not found.is_fresh:
            return None
        tags, step = self.kept[found.entry.body]
        assert name not in self.away
        assert not self.model.is_outdated(tags, step, name)
        return found


@pytest.fixture
def _machine_on_a_server(lone_server: Server) -> Iterator[None]:
    TwoProcesses.server = lone_server
    yield
    del TwoProcesses.server


@pytest.mark.usefixtures("_machine_on_a_server")
def test_nothing_outdated_is_ever_served() -> None:
    run_state_machine_as_test(TwoProcesses, settings=settings(stateful_step_count=40))
