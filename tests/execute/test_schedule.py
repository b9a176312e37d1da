"""The schedule alone, without threads: whatever lanes do in whatever order, all are answered, once and in order."""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from batchapi.batch import Node, Plan, SubResponse
from batchapi.execute.schedule import Schedule
from tests.plan.builders import make


def make_plan(*waves: list[list[int]], is_relaxed: bool = False) -> Plan:
    """A plan whose nodes are numbered in effective order; each is a list of those that it waits for."""
    numbers = count()
    return Plan(
        waves=tuple(tuple(make_node(next(numbers), waits_for) for waits_for in wave) for wave in waves),
        is_relaxed=is_relaxed,
    )


def make_node(number: int, waits_for: list[int]) -> Node:
    request = make(str(number), index=number)
    return Node(key=request.key, members=(request,), depends_on=frozenset(map(str, waits_for)), is_group=False)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """A few waves; each node may wait for any of those before it."""
    waves, total = [], 0
    for size in draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)):
        numbers = range(total, total + size)
        waves.append(
            [draw(st.lists(st.sampled_from(range(number)), max_size=2)) if number else [] for number in numbers]
        )
        total += size
    return make_plan(*waves, is_relaxed=draw(st.booleans()))


class Lanes:
    """What lanes do to a schedule, each thing at a time of its own; and what must hold of it then."""

    def __init__(self, plan: Plan, bound: frozenset[int] = frozenset()) -> None:
        self.plan = plan
        self.bound = {str(number) for number in bound} if plan.is_relaxed else set()
        self.schedule = Schedule(plan, is_bound=lambda node: node.key in self.bound, is_strict=not plan.is_relaxed)
        self.clock = count(1)
        self.running: dict[int, int] = {}  # since when, by place in the present wave
        self.finals: dict[str, SubResponse] = {}
        self.noisy: dict[str, int] = {}  # when those were done that others could notice
        self.is_refused = False

    def may_do(self) -> list[str]:
        """What can happen next: never nothing, until all is over."""
        has_work = self.schedule.has_work
        found = ["first takes"] * has_work(is_first=True) + ["other takes"] * has_work(is_first=False)
        found += ["parks"] * (len(self.running) > 1) + ["ends"] * bool(self.running) * 2
        assert found, "nobody runs, and nobody may begin"
        return found + ["refuse"] * (not self.is_refused)

    def take(self, *, is_first: bool) -> None:
        wave = self.schedule.wave
        place = wave.take(is_first=is_first)
        node = wave.nodes[place]
        places = {other.key: n for n, other in enumerate(wave.nodes)}
        assert not self.is_refused
        assert place not in self.running
        assert node.key not in self.finals
        assert is_first or node.key not in self.bound
        assert all(key in self.finals or places[key] in wave.done for key in node.depends_on)
        assert not wave.is_serial or (is_first and not self.running)
        self.running[place] = next(self.clock)

    def park(self, place: int, leader: int) -> None:
        """One finds that another asks the same; nobody waits for a later one, or for one whose answer is void."""
        wave = self.schedule.wave
        if leader < place and not wave.is_serial and leader not in wave.void:
            del self.running[place]
            wave.park(place, leader)

    def end(self, place: int, kind: str) -> None:
        """One is done, and was noisy or quiet; or came to a write before its turn."""
        wave = self.schedule.wave
        request = wave.nodes[place].members[0]
        since = self.running.pop(place)
        if kind == "early":
            assert wave.given < place or not wave.is_strict
            self.schedule.put_back(place)
            return self.collect()
        if kind == "noisy" and place not in wave.void:
            self.noisy[request.key] = next(self.clock)
        told = SubResponse(request=request, status=200, headers=(("since", str(since)),))
        self.schedule.finish(place, [told], is_noisy=kind == "noisy")
        return self.collect()

    def refuse(self) -> None:
        """Nothing more begins."""
        self.is_refused = True
        self.schedule.refuse_rest(lambda node: [SubResponse(request=node.members[0], status=503, headers=())])
        self.collect()

    def collect(self) -> None:
        """Answers are final once, and in effective order."""
        while self.schedule.final:
            _, [answer] = self.schedule.final.popleft()
            assert answer.request.key == str(len(self.finals))
            self.finals[answer.request.key] = answer
        assert self.schedule.is_over == (len(self.finals) == len(self.plan.order))

    def check_serial_order(self) -> None:
        """An answer was begun after all in front that could be noticed."""
        for wave in self.plan.waves:
            for place, node in enumerate(wave):
                if since := dict(self.finals[node.key].headers).get("since"):
                    assert all(int(since) > self.noisy.get(other.key, 0) for other in wave[:place])


@given(plans(), st.frozensets(st.integers(0, 14)), st.data())
def test_whatever_lanes_do_all_are_answered_once_and_in_order(plan: Plan, bound: frozenset[int], data: st.DataObject):
    lanes = Lanes(plan, bound)
    while not lanes.schedule.is_over:
        match data.draw(st.sampled_from(lanes.may_do())):
            case "first takes":
                lanes.take(is_first=True)
            case "other takes":
                lanes.take(is_first=False)
            case "parks":
                place, leader = data.draw(st.permutations(sorted(lanes.running)))[:2]
                lanes.park(place, leader)
            case "ends":
                place = data.draw(st.sampled_from(sorted(lanes.running)))
                is_early = not plan.is_relaxed and lanes.schedule.wave.given < place
                kinds = ["quiet", "quiet", "noisy", *["early"] * is_early]
                lanes.end(place, data.draw(st.sampled_from(kinds)))
            case "refuse":
                if data.draw(st.integers(0, 9)) == 0:
                    lanes.refuse()
    if not plan.is_relaxed:
        lanes.check_serial_order()


def test_a_duplicate_that_was_refused_does_not_run_when_its_leader_is_done():
    lanes = Lanes(make_plan([[], [], []]))
    for _ in range(3):
        lanes.take(is_first=False)
    lanes.park(1, leader=0)
    lanes.refuse()
    lanes.end(0, "quiet")
    assert not lanes.schedule.has_work(is_first=True)
    lanes.end(2, "quiet")
    assert [lanes.finals[key].status for key in "012"] == [200, 503, 200]


def test_a_refusal_holds_for_later_waves_too():
    lanes = Lanes(make_plan([[]], [[]]))
    lanes.take(is_first=True)
    lanes.refuse()
    lanes.end(0, "quiet")
    assert [lanes.finals[key].status for key in "01"] == [200, 503]


def test_one_that_would_have_to_run_again_is_refused_too():
    lanes = Lanes(make_plan([[], []]))
    lanes.take(is_first=True)
    lanes.take(is_first=False)
    lanes.end(0, "noisy")
    lanes.refuse()
    lanes.end(1, "quiet")
    assert [lanes.finals[key].status for key in "01"] == [200, 503]


def test_one_that_is_noisy_later_takes_back_what_an_earlier_noise_had_left():
    lanes = Lanes(make_plan([[], [], []]))
    for _ in range(3):
        lanes.take(is_first=False)
    lanes.end(1, "quiet")
    lanes.end(2, "noisy")
    lanes.end(0, "noisy")
    for place in (1, 2):
        lanes.take(is_first=True)
        lanes.end(place, "quiet")
    lanes.check_serial_order()
