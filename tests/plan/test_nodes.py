"""What moves as one, and what may run together."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchapi.batch import Batch, Node, Plan, Priority, PriorityRule
from batchapi.exceptions import CyclicDependency
from batchapi.plan import plan_batch
from batchapi.policy import Policy
from tests.plan.builders import make_batch

LOGIN = Policy(changes_identity=True)
GET, POST = {"method": "GET"}, {"method": "POST"}


def plan(*requests: dict[str, object], rules: tuple[PriorityRule, ...] | None = ()) -> Plan:
    return plan_batch(make_batch(*requests), rules=rules)


def waves(*requests: dict[str, object]) -> list[list[str]]:
    return [[node.key for node in wave] for wave in plan(*requests).waves]


def order(*requests: dict[str, object]) -> list[str]:
    return [request.key for request in plan(*requests).order]


def node_of(key: str, made: Plan) -> Node:
    return next(node for wave in made.waves for node in wave if node.key == key)


G = {"group": "g", "method": "POST"}


def test_a_group_is_one_node_where_its_first_member_stood():
    assert order(GET, G, GET, G, GET) == ["0", "1", "3", "2", "4"]
    group = node_of("g", plan(GET, G, GET, G, GET))
    assert (group.index, group.is_group, group.is_safe) == (1, True, False)


def test_a_group_is_as_urgent_as_its_most_urgent_member():
    urgent = G | {"priority": Priority.CRITICAL}
    assert order(POST, G, urgent, GET) == ["1", "2", "0", "3"]


def test_inside_a_group_priorities_move_nobody():
    assert order(G, G | {"priority": Priority.CRITICAL}, G | {"priority": Priority.HIGH}) == ["0", "1", "2"]


def test_what_a_member_waits_for_the_group_waits_for():
    assert order(G, G | {"depends_on": ["2"]}, POST) == ["2", "0", "1"]
    assert node_of("g", plan(G, G | {"depends_on": ["2", "0"]}, POST)).depends_on == {"2"}


@pytest.mark.parametrize("name", ["g", "1", "2"])
def test_to_wait_for_a_member_is_to_wait_for_the_group(name: str):
    assert order({"depends_on": [name]}, G, G) == ["1", "2", "0"]


def test_members_may_wait_for_earlier_ones():
    assert order(G, G | {"depends_on": ["0"]}) == ["0", "1"]


@pytest.mark.parametrize(
    "requests",
    [
        [G | {"depends_on": ["1"]}, G],
        [G | {"depends_on": ["0"]}, G],
        [G, G | {"depends_on": ["g"]}],
        [G, GET, G | {"depends_on": ["3"]}, G],
    ],
)
def test_a_member_cannot_wait_for_a_later_one(requests: list[dict[str, object]]):
    with pytest.raises(CyclicDependency) as caught:
        plan(*requests)
    waiting = next(index for index, request in enumerate(requests) if "depends_on" in request)
    assert caught.value.pointer == f"#/requests/{waiting}"


@pytest.mark.parametrize(
    "requests",
    [
        [G, {"depends_on": ["0"]}, G | {"depends_on": ["1"]}],
        [G | {"depends_on": ["h"]}, POST | {"group": "h", "depends_on": ["g"]}],
        [{"depends_on": ["g"]}, G | {"depends_on": ["0"]}],
    ],
)
def test_a_circle_through_a_group_is_refused(requests: list[dict[str, object]]):
    with pytest.raises(CyclicDependency, match="2 sub-requests wait for each other"):
        plan(*requests)


def test_reads_between_two_writes_may_run_together():
    assert waves(GET, GET, POST, GET, {"method": "HEAD"}, {"method": "DELETE"}, POST, {"method": "OPTIONS"}) == [
        ["0", "1"],
        ["2"],
        ["3", "4"],
        ["5"],
        ["6"],
        ["7"],
    ]


def test_a_group_stands_alone_even_if_it_only_reads():
    assert waves(GET, GET | {"group": "g"}, GET | {"group": "g"}, GET) == [["0"], ["g"], ["3"]]


def test_a_read_that_changes_who_is_asking_stands_alone():
    assert waves(GET, GET | {"policy": LOGIN}, GET) == [["0"], ["1"], ["2"]]


def test_reads_that_wait_for_each_other_may_be_of_one_wave_in_their_order():
    assert waves(GET | {"depends_on": ["1"]}, GET) == [["1", "0"]]


def test_a_write_that_is_not_known_yet_may_be_a_login():
    """Nothing moves past it; a read is never one."""
    urgent = {"priority": Priority.CRITICAL}
    assert order(POST | {"is_known": False}, GET | urgent, GET) == ["0", "1", "2"]
    assert order(POST, GET | urgent, GET) == ["1", "0", "2"]
    assert order(GET | {"is_known": False}, GET | urgent, GET) == ["1", "0", "2"]


@pytest.mark.parametrize(
    ("requests", "lengths"), [([GET, POST, G, G, GET], [4]), ([GET, POST | {"policy": LOGIN}, G, G, GET], [1, 1, 2])]
)
def test_relaxed_is_one_wave_but_for_a_change_of_who_is_asking(requests: list[dict[str, object]], lengths: list[int]):
    batch = Batch(requests=make_batch(*requests).requests, is_relaxed=True)
    assert [len(wave) for wave in plan_batch(batch, rules=()).waves] == lengths


kinds = st.sampled_from([GET, POST, G, GET | {"policy": LOGIN}, {"method": "POST", "group": "h"}])


@given(st.lists(kinds, max_size=12), st.data())
def test_waves_are_what_the_definition_says(requests: list[dict[str, object]], data: st.DataObject):
    """Neighbours share a wave if and only if both only read and change nobody; each node stands in one."""
    priorities = [data.draw(st.none() | st.sampled_from(Priority)) for _ in requests]
    made = plan(*(request | {"priority": p} for request, p in zip(requests, priorities, strict=True)))
    nodes = [(number, node) for number, wave in enumerate(made.waves) for node in wave]
    for (here, one), (there, next_one) in pairwise(nodes):
        both = all(not node.is_group and node.is_safe and not node.changes_identity for node in (one, next_one))
        assert (here == there) == both
    assert sorted(request.index for request in made.order) == list(range(len(requests)))
