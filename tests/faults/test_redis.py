"""Batches while their Redis fails: right answers, in time, and nothing of it left behind."""

import pytest

from tests.faults.conftest import Measured
from tests.faults.redis_faults import DIRECT, RELAYED, Fault

AWAY = {
    **{name: (fault, "direct") for name, fault in DIRECT.items()},
    **{n: (f, "relayed") for n, f in RELAYED.items()},
}
NOW_AND_THEN = {"Redis drops its clients", "Redis connections cut"}  # It is there in between.


@pytest.mark.parametrize(("name", "fault", "on"), [(name, *row) for name, row in AWAY.items()], ids=AWAY)
def test_without_redis_every_answer_is_right(name: str, fault: Fault, on: str, measured: Measured) -> None:
    """Nothing that batches need is there: it costs kept answers, and clients see nothing of it."""
    figures = measured(name, fault, on=on)
    assert not figures.seen
    assert figures.hits == 0 or name in NOW_AND_THEN
