"""Effective order: what a plan promises of any batch, and the sequences that people worry about."""

import gc
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchapi.batch import Batch, Priority, PriorityRule, SubRequest
from batchapi.exceptions import CyclicDependency
from batchapi.plan import plan_batch
from batchapi.policy import Policy
from tests.plan.builders import make, make_batch

RULES = (
    PriorityRule(method="*", pattern="urgent", priority=Priority.CRITICAL),
    PriorityRule(method="GET", pattern="/api/slow/*", priority=Priority.BACKGROUND),
)
LOGIN = Policy(changes_identity=True)


def keys(batch: Batch, rules: tuple[PriorityRule, ...] | None = RULES) -> list[str]:
    return [request.key for request in plan_batch(batch, rules=rules).order]


@st.composite
def batches(draw: st.DrawFn, *, methods: str = "GET POST DELETE HEAD", fences: bool = True) -> Batch:
    """Up to ten sub-requests that may depend on any other that comes before them in a hidden order."""
    count = draw(st.integers(1, 10))
    hidden = draw(st.permutations(range(count)))
    place = {index: position for position, index in enumerate(hidden)}
    requests = []
    for index in range(count):
        earlier = [str(other) for other in range(count) if place[other] < place[index]]
        requests.append(
            make(
                str(index),
                index=index,
                method=draw(st.sampled_from(methods.split())),
                name=draw(st.sampled_from(["thing-list", "urgent"])),
                path=draw(st.sampled_from(["/api/things/", "/api/slow/1/"])),
                depends_on=draw(st.lists(st.sampled_from(earlier), max_size=2, unique=True)) if earlier else (),
                priority=draw(st.none() | st.sampled_from(Priority)),
                policy=draw(st.sampled_from([Policy(), Policy(priority="low"), *[LOGIN] * fences])),
            )
        )
    return Batch(requests=tuple(requests))


def own(request: SubRequest) -> Priority:
    """The priority of one sub-request, spelled out."""
    if request.priority is not None:
        return request.priority
    if request.policy.priority:
        return Priority[request.policy.priority.upper()]
    if request.route and request.route.match.view_name == "urgent":
        return Priority.CRITICAL
    if request.method == "GET" and request.url.startswith("/api/slow/"):
        return Priority.BACKGROUND
    return Priority.NORMAL


def naive_order(batch: Batch) -> list[str]:
    """The definition, word by word: take the most urgent of those that may go, then the lowest index."""
    dependants = {r.key: [d for d in batch.requests if r.key in d.depends_on] for r in batch.requests}

    def urgency(request: SubRequest) -> int:
        return min([own(request), *(urgency(dependant) for dependant in dependants[request.key])])

    left, taken = list(batch.requests), []
    while left:
        free = [request for request in left if set(request.depends_on) <= set(taken)]
        chosen = min(free, key=lambda request: (urgency(request), request.index))
        left.remove(chosen)
        taken.append(chosen.key)
    return taken


@given(batches(methods="GET HEAD", fences=False))
def test_safe_sub_requests_go_exactly_as_the_definition_says(batch: Batch) -> None:
    assert keys(batch) == naive_order(batch)


@given(batches())
def test_each_runs_once_and_after_all_that_it_depends_on(batch: Batch) -> None:
    order = keys(batch)
    assert sorted(order) == sorted(request.key for request in batch.requests)
    for request in batch.requests:
        assert all(order.index(key) < order.index(request.key) for key in request.depends_on)


@given(batches())
def test_nothing_passes_a_login(batch: Batch) -> None:
    """Each side of it holds what it held before anybody was moved."""
    before, after = keys(batch, rules=None), keys(batch)
    for request in batch.requests:
        if request.policy.changes_identity:
            fence = request.key
            assert set(before[: before.index(fence)]) == set(after[: after.index(fence)])


@given(batches())
def test_rules_and_policies_never_move_a_write_past_a_write(batch: Batch) -> None:
    """The writes come in the order that the clients' own priorities alone would give."""
    plain = [
        make(r.key, index=r.index, method=r.method, depends_on=r.depends_on, priority=r.priority, policy=fence_only(r))
        for r in batch.requests
    ]
    unsafe = {request.key for request in batch.requests if not request.is_safe}
    asked = keys(Batch(requests=tuple(plain)), rules=())
    assert [key for key in keys(batch) if key in unsafe] == [key for key in asked if key in unsafe]


def fence_only(request: SubRequest) -> Policy:
    return Policy(changes_identity=request.policy.changes_identity)


@given(batches())
def test_without_prioritization_the_list_is_the_order(batch: Batch) -> None:
    """Only dependencies move anything."""
    order, taken = keys(batch, rules=None), []
    left = list(batch.requests)
    while left:
        chosen = next(request for request in left if set(request.depends_on) <= set(taken))
        left.remove(chosen)
        taken.append(chosen.key)
    assert order == taken


def test_a_patch_stays_before_a_logout() -> None:
    """Somebody who logs out last wants the change to be made as themselves."""
    batch = make_batch(
        {"method": "PATCH", "priority": Priority.BACKGROUND}, {"method": "POST", "name": "urgent", "policy": LOGIN}
    )
    assert keys(batch) == ["0", "1"]


def test_a_delete_after_a_login_is_done_by_the_new_user() -> None:
    batch = make_batch({"method": "POST", "policy": LOGIN}, {"method": "DELETE", "priority": Priority.CRITICAL})
    assert keys(batch) == ["0", "1"]


def test_a_rule_does_not_create_before_the_delete_of_the_same_id() -> None:
    batch = make_batch({"method": "DELETE"}, {"method": "POST", "name": "urgent"})
    assert keys(batch) == ["0", "1"]


def test_a_client_may_create_before_the_delete() -> None:
    batch = make_batch({"method": "DELETE"}, {"method": "POST", "priority": Priority.CRITICAL})
    assert keys(batch) == ["1", "0"]


def test_what_an_urgent_one_waits_for_is_as_urgent() -> None:
    batch = make_batch({}, {}, {"depends_on": ["1"], "priority": Priority.CRITICAL})
    assert keys(batch) == ["1", "2", "0"]


def test_a_policy_comes_before_a_rule() -> None:
    batch = make_batch({"name": "urgent", "policy": Policy(priority="low")}, {})
    assert keys(batch) == ["1", "0"]


@pytest.mark.parametrize("edges", [["0"], ["1", "0"], ["1", "2", "0"]])
def test_a_cycle_is_refused_with_a_pointer_to_its_first_member(edges: list[str]) -> None:
    batch = make_batch(*({"depends_on": [key]} for key in edges))
    with pytest.raises(CyclicDependency) as caught:
        plan_batch(batch, rules=())
    assert caught.value.pointer == "#/requests/0"
    told = "It waits for itself." if len(edges) == 1 else f"{len(edges)} sub-requests wait for each other."
    assert caught.value.detail == told


def test_ten_thousand_sub_requests_are_planned_in_linear_time() -> None:
    """Five times the work takes less than twelve times as long, dependencies, groups and priorities included."""

    def seconds(count: int) -> float:
        requests = [
            make(
                str(i),
                index=i,
                method="POST" if i % 3 else "GET",
                depends_on=[str(i // 2)] if i else (),
                priority=Priority(i % 5),
                policy=LOGIN if i % 1000 == 0 else None,
                group=f"g{i // 10}" if i % 100 > 80 else None,
            )
            for i in range(count)
        ]
        gc.collect()
        gc.disable()  # It would go through whatever other tests have left.
        begun = process_time()
        plan_batch(Batch(requests=tuple(requests)), rules=RULES)
        gc.enable()
        return process_time() - begun

    small, large = min(seconds(2_000) for _ in range(3)), min(seconds(10_000) for _ in range(3))
    assert large < 12 * small
    assert large < 2.0  # seconds, with coverage looking on
