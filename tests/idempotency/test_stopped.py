"""A process is stopped in the middle of a batch, for longer than its time, and wakes up when another has taken over."""

import pytest

from tests.idempotency.asking import do
from tests.idempotency.stage import Outcome, Stage
from tests.idempotency.test_death import BATCH, TOUCH

NAMES = "abcd"


def stop(stage: Stage, point: str, **command: object) -> Outcome:
    stopped = stage.send(*BATCH, at=point, how="SIGSTOP", **command)
    assert stopped.ended == "stopped"
    return stopped


def test_whoever_oversleeps_between_two_writes_does_no_more(stage: Stage):
    """What it would still have done is done by the other; it is told what that answered, or that it was taken over."""
    stopped = stop(stage, "finished a")
    stage.let_time_pass()
    second = stage.send(*BATCH)
    assert {record["status"] for record in second.records.values()} == {201}
    assert stage.kept() == dict.fromkeys(NAMES, 1)
    woken = stage.resume(stopped.pid)
    assert stage.kept() == dict.fromkeys(NAMES, 1)
    assert [woken.records[name]["status"] for name in NAMES] == [201, 409, 424, 201]
    assert woken.records["b"]["body"]["outcome"] == "unknown"
    assert woken.records["d"]["body"] == second.records["d"]["body"]


@pytest.mark.parametrize("the_stage", ["postgresql"], indirect=True)  # On SQLite it would be the only writer already.
@pytest.mark.parametrize("point", [TOUCH.replace("after", "before"), 'before INSERT INTO "batchapi_idempotencyrecord"'])
def test_whoever_oversleeps_before_its_first_write_does_none(stage: Stage, point: str):
    """At the door of a transaction; and before it has the key at all, where the other answers are given to it."""
    stopped = stop(stage, point)
    stage.let_time_pass()
    assert stage.send(*BATCH).status == 200
    woken = stage.resume(stopped.pid)
    assert stage.kept() == dict.fromkeys(NAMES, 1)
    assert "Idempotent-Replayed" in woken.records["a"]["headers"]


@pytest.mark.parametrize(
    ("the_stage", "point"),
    [("postgresql", "wrote a"), ("postgresql", "wrote b"), ("postgresql", "called d"), ("sqlite", "wrote b")],
    indirect=["the_stage"],
)
def test_while_it_sleeps_in_a_transaction_nobody_takes_over(stage: Stage, point: str):
    """Nobody could tell whether it will commit. Its time is over when it wakes up, so it does not.

    On SQLite others wait for it as long as their connections wait for any writer.
    """
    stopped = stop(stage, point, settings={"DEADLINE": 0.5})
    stage.wait_until_nobody_is_at_work()
    second = stage.send(*BATCH)
    assert (second.status, second.code) == (409, "key_in_use")
    stage.resume(stopped.pid)
    assert {record["status"] for record in stage.send(*BATCH).records.values()} == {201}
    assert stage.kept() == dict.fromkeys(NAMES, 1)


def test_a_view_without_a_transaction_may_still_come_to_its_end(stage: Stage):
    """Until then nobody knows; afterwards its answer is there."""
    batch = [do("l", view="loose"), do("after")]
    stopped = stage.send(*batch, at="wrote l", how="SIGSTOP")
    stage.let_time_pass()
    assert stage.send(*batch).records["l"]["body"]["outcome"] == "unknown"
    stage.resume(stopped.pid)
    assert stage.send(*batch).records["l"]["status"] == 201
    assert stage.kept() == {"l": 1, "after": 1}
