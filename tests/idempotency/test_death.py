"""A process dies in the middle of a batch, wherever that may be; another one is sent the same batch."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.idempotency.asking import Item, do
from tests.idempotency.stage import Outcome, Stage


def group(*names: str) -> list[Item]:
    return [do(name, atomicityGroup="g") for name in names]


BATCH = [do("a"), *group("b", "c"), do("d")]
TOUCH = 'after UPDATE "batchapi_idempotencyrecord"'
POINTS = {  # where the first process dies: what is kept of it
    'before INSERT INTO "batchapi_idempotencyrecord"': {},
    'after INSERT INTO "batchapi_idempotencyrecord"': {},
    TOUCH: {},
    "called a": {},
    "wrote a": {},
    "committed a": {"a": 1},
    "finished a": {"a": 1},
    "called b": {"a": 1},
    "wrote c": {"a": 1},
    "committed c": {"a": 1, "b": 1, "c": 1},
    "called d": {"a": 1, "b": 1, "c": 1},
    "finished d": {"a": 1, "b": 1, "c": 1, "d": 1},
    "answered": {"a": 1, "b": 1, "c": 1, "d": 1},
}


@pytest.mark.parametrize("point", POINTS)
def test_whatever_a_process_did_before_it_died_is_done_once(stage: Stage, point: str):
    """What it had committed is answered again, and nothing else of it is there."""
    assert stage.send(*BATCH, at=point).ended == "killed"
    assert stage.kept() == POINTS[point]
    stage.let_time_pass()
    second = stage.send(*BATCH)
    assert {name: record["status"] for name, record in second.records.items()} == dict.fromkeys("abcd", 201)
    replayed = {name for name, record in second.records.items() if "Idempotent-Replayed" in record["headers"]}
    assert replayed == set(POINTS[point])
    assert stage.kept() == dict.fromkeys("abcd", 1)


def test_between_its_answer_and_the_commit_nothing_is_kept(stage: Stage):
    """The answer is written already, in the transaction that never ends."""
    events = stage.send(*BATCH, at="nowhere").events
    stored = events.index("wrote a") + 2
    assert events[stored - 1].startswith('before INSERT INTO "batchapi_idempotencyrecord"')
    assert events[stored + 1] == "committed a"
    stage.reset()
    assert stage.send(*BATCH, at=stored + 1).ended == "killed"
    assert stage.kept() == {}
    stage.let_time_pass()
    assert stage.send(*BATCH).records["a"]["status"] == 201
    assert stage.kept() == dict.fromkeys("abcd", 1)


def test_until_the_time_of_the_dead_is_over_nobody_takes_its_place(stage: Stage):
    stage.send(*BATCH, at="called d")
    again = stage.send(*BATCH)
    assert (again.status, again.code) == (409, "key_in_use")
    assert stage.kept() == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize(("point", "count"), [("called l", 0), ("wrote l", 1)])
def test_a_view_without_a_transaction_is_not_called_twice(stage: Stage, point: str, count: int):
    """Nobody knows whether it wrote, so the client is told just that; what comes after it is done."""
    batch = [do("l", view="loose"), do("after")]
    stage.send(*batch, at=point)
    stage.let_time_pass()
    for _ in range(2):
        records = stage.send(*batch).records
        assert (records["l"]["status"], records["l"]["body"]["outcome"]) == (409, "unknown")
        assert records["after"]["status"] == 201
    assert stage.kept() == {"l": 1, "after": 1} if count else {"after": 1}


def test_of_several_at_once_one_runs(stage: Stage):
    """The others are told that it is at work, or what it answered."""
    outcomes = stage.race(*BATCH, count=4)
    assert {(outcome.status, outcome.code) for outcome in outcomes} <= {(200, ""), (409, "key_in_use")}
    fresh = [
        outcome
        for outcome in outcomes
        if outcome.status == 200 and "Idempotent-Replayed" not in outcome.records["a"]["headers"]
    ]
    assert len(fresh) == 1
    assert stage.kept() == dict.fromkeys("abcd", 1)


def test_of_several_who_take_the_place_of_the_dead_one_runs(stage: Stage):
    stage.send(*BATCH, at="called b")
    stage.let_time_pass()
    outcomes = stage.race(*BATCH, count=4)
    assert {(outcome.status, outcome.code) for outcome in outcomes} <= {(200, ""), (409, "key_in_use")}
    assert any(outcome.status == 200 for outcome in outcomes)
    assert stage.kept() == dict.fromkeys("abcd", 1)


# -- any batch, cut anywhere, as often as you like

ENDS = st.sampled_from(["201", "201", "400", "409", "crash"])


@st.composite
def batches(draw: st.DrawFn) -> list[Item]:
    """Writes that end well or not, groups, views without a transaction, reads, references, dependencies."""
    items: list[Item] = []
    for place in range(draw(st.integers(1, 5))):
        name = f"n{place}"
        kind = draw(st.sampled_from(["write", "write", "group", "loose", "read", "refers", "own"]))
        if kind == "group":
            ends = draw(st.lists(st.sampled_from(["201", "201", "crash"]), min_size=1, max_size=3))
            items += [do(f"{name}-{index}", end, atomicityGroup=name) for index, end in enumerate(ends)]
        elif kind == "read":
            items.append({"id": name, "url": "/api/read/n0/"})
        elif kind == "refers" and items and "atomicityGroup" not in items[-1]:
            before = items[-1]["id"]
            items.append(do(name, body={"said": None}, bind={"/said": f"${before}.body#/name"}))
        else:
            item = do(name, draw(ENDS) if kind != "loose" else "201", view="loose" if kind == "loose" else "write")
            items.append(item | ({"headers": {"Idempotency-Key": name}} if kind == "own" else {}))
    return items


def check(outcome: Outcome, items: list[Item], kept: dict[str, int]) -> None:
    """What was told is what is there: once what was answered, nothing of what failed."""
    for item in items:
        record, count = outcome.records[item["id"]], kept.get(item["id"], 0)
        if item.get("method") != "POST":
            assert count == 0
        elif code_of(record) == "no_stored_answer":
            assert "/loose/" in item["url"]
            assert record["body"]["outcome"] == "unknown"
            assert count <= 1
        else:
            is_done = record["status"] < 500 and code_of(record) not in FAILED
            assert count == is_done, (item, record)


FAILED = {"rolled_back", "dependency_failed", "unresolved_reference"}


def code_of(record: Item) -> str:
    """Of an answer that is a problem of ours."""
    return record["body"].get("code", "") if isinstance(record["body"], dict) else ""


# Each example is a dozen processes.
@settings(max_examples=settings().max_examples // 5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=batches(), cuts=st.lists(st.integers(1, 45), max_size=3))
@example(items=BATCH, cuts=[12, 12, 12])
@example(items=[do("n0", view="loose"), do("n1")], cuts=[14, 8])
def test_any_batch_cut_anywhere_is_done_once(stage: Stage, items: list[Item], cuts: list[int]):
    """Sent again until it is answered."""
    stage.reset()
    for at in cuts:
        if stage.send(*items, at=at).ended == "exit":
            break
        stage.let_time_pass()
    outcome = stage.send(*items)
    assert outcome.status == 200, outcome
    check(outcome, items, stage.kept())
    again = stage.send(*items)
    check(again, items, stage.kept())
