"""Who may start now and who is done, wave by wave. Bookkeeping only: whoever calls it holds the lock.

Within a wave, nodes are known by their places, which count in effective order. Answers become final in that order too,
so that nobody can tell who ran beside whom: see `Wave.finish`.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Callable

from batchapi.batch import Node, Plan, SubResponse


class Wave:
    """The nodes that may run together, each after those of the wave that it depends on."""

    def __init__(self, nodes: tuple[Node, ...], *, is_bound: Callable[[Node], bool], is_strict: bool) -> None:
        self.nodes = nodes
        self.is_strict = is_strict
        self.is_bound = [is_bound(node) for node in nodes]  # to the first lane, which has the caller's connections
        self.ready: list[int] = []  # a heap, of places that any lane may take
        self.ready_bound: list[int] = []  # a heap, of places for the first lane
        self.running: set[int] = set()
        self.done: dict[int, list[SubResponse]] = {}
        self.void: set[int] = set()  # of those that run, the ones that began too early to count
        self.parked: dict[int, list[int]] = defaultdict(list)  # duplicates, by the place whose answer they wait for
        self.is_serial = False
        self.given = 0  # so many places are final
        self.dependants: dict[int, list[int]] = defaultdict(list)
        place_of = {node.key: place for place, node in enumerate(nodes)}
        self.missing = [0] * len(nodes)
        for place, node in enumerate(nodes):
            for key in node.depends_on & place_of.keys():
                self.dependants[place_of[key]].append(place)
                self.missing[place] += 1
            if not self.missing[place]:
                self.free(place)

    @property
    def is_over(self) -> bool:
        """Whether every node is done."""
        return len(self.done) == len(self.nodes)

    def free(self, place: int) -> None:
        """Let a lane take it, if it has not been answered for."""
        if place not in self.done:
            heapq.heappush(self.ready_bound if self.is_bound[place] else self.ready, place)

    def has_work(self, *, is_first: bool) -> bool:
        """Whether a lane would find something to do."""
        if self.is_serial:
            return is_first and not self.running and not self.is_over
        return bool(self.ready or (is_first and self.ready_bound))

    def take(self, *, is_first: bool) -> int:
        """The first place in effective order that may start on this lane; only where `has_work` says so."""
        if self.is_serial:
            place = next(place for place in range(len(self.nodes)) if place not in self.done)
        else:
            heaps = [heap for heap in (self.ready, self.ready_bound if is_first else []) if heap]
            place = heapq.heappop(min(heaps))
        self.running.add(place)
        return place

    def take_all(self, wanted: frozenset[int]) -> list[int]:
        """All that any lane may take now of some places."""
        found = [] if self.is_serial else [place for place in self.ready if place in wanted]
        self.ready = sorted(set(self.ready).difference(found))
        self.running.update(found)
        return sorted(found)

    def park(self, place: int, leader: int) -> None:
        """Have a duplicate wait for the one that asks the same question."""
        self.running.discard(place)
        self.parked[leader].append(place)

    def finish(self, place: int, responses: list[SubResponse], *, is_noisy: bool) -> None:
        """Note the answers of a node.

        One that only read is not to be noticed by those beside it. If it was noisy all the same (it wrote, or set a
        cookie), those after it that have begun would have seen that, had they run one by one: their answers do not
        count, and the rest of the wave runs one by one.
        """
        self.running.discard(place)
        for duplicate in self.parked.pop(place, ()):
            self.free(duplicate)
        if place in self.void:
            self.void.discard(place)
            return
        self.done[place] = responses
        if is_noisy and self.is_strict and len(self.nodes) > 1:
            self.go_serial(place)
        for dependant in self.dependants[place]:
            self.missing[dependant] -= 1
            if not self.missing[dependant]:
                self.free(dependant)

    def go_serial(self, place: int) -> None:
        """Take back what began before somebody in front of it was done."""
        self.is_serial = True
        self.void |= {other for other in self.running if other > place}
        for other in [other for other in self.done if other > place]:
            del self.done[other]

    def put_back(self, place: int) -> None:
        """One that came to what others notice before its turn begins again when all in front are done.

        Those behind it that run do not count: they may be waiting for its turn at the throttles.
        """
        self.is_serial = True
        self.running.discard(place)
        self.void.discard(place)
        self.void |= {other for other in self.running if other > place}

    def refuse_rest(self, refuse: Callable[[Node], list[SubResponse]]) -> None:
        """Answer for every node that has not begun, or has to begin again."""
        self.ready, self.ready_bound = [], []
        for place, node in enumerate(self.nodes):
            if place not in self.done and place not in self.running:
                self.done[place] = refuse(node)


class Schedule:
    """A plan as it is worked off."""

    def __init__(self, plan: Plan, *, is_bound: Callable[[Node], bool], is_strict: bool) -> None:
        self.is_bound = is_bound
        self.is_strict = is_strict
        self.waves = deque(plan.waves)
        self.barrier: object | None = None  # an unsafe attempt that was given up and may still run
        self.refuse: Callable[[Node], list[SubResponse]] | None = None  # answers for what will not begin any more
        self.final: deque[tuple[int, list[SubResponse]]] = deque()  # with their places
        self.wave = self.next_wave()

    def next_wave(self) -> Wave:
        """The next one, or one with nothing in it."""
        nodes = self.waves.popleft() if self.waves else ()
        return Wave(nodes, is_bound=self.is_bound, is_strict=self.is_strict)

    @property
    def is_over(self) -> bool:
        """Whether every answer is final."""
        return not self.wave.nodes

    def has_work(self, *, is_first: bool) -> bool:
        """Whether a lane would find something to do."""
        return self.barrier is None and self.wave.has_work(is_first=is_first)

    def finish(self, place: int, responses: list[SubResponse], *, is_noisy: bool = False) -> None:
        """Note the answers of a node, and move on to the next wave after the last one."""
        self.wave.finish(place, responses, is_noisy=is_noisy)
        self.go_on()

    def put_back(self, place: int) -> None:
        """Have a node begin again in its turn."""
        self.wave.put_back(place)
        self.go_on()

    def refuse_rest(self, refuse: Callable[[Node], list[SubResponse]]) -> None:
        """Let nothing more begin, and note an answer for all of it; what runs is left to run."""
        self.refuse = refuse
        self.go_on()

    def go_on(self) -> None:
        """Hand on the answers that are final by now."""
        while not self.is_over:
            wave = self.wave
            if self.refuse:
                wave.refuse_rest(self.refuse)
            while wave.given in wave.done:
                self.final.append((wave.given, wave.done[wave.given]))
                wave.given += 1
            if wave.running or not wave.is_over:
                return
            self.wave = self.next_wave()
