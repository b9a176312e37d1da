"""Who sent a batch is found out in time, or a thread stays behind that asks and is counted."""

from threading import current_thread
from time import monotonic

import pytest

from batchapi.execute.abandoned import abandoned
from batchapi.execute.bounded import in_time
from batchapi.execute.lanes import Lane, Surroundings
from tests.execute.slow import Hold, wait_until


def lane() -> Lane:
    one = Lane({})
    one.caller = "unnamed"
    return one


def test_a_name_is_found_out_on_another_thread() -> None:
    name = in_time(lambda: current_thread().name, lane(), Surroundings(), until=monotonic() + 20)
    assert name == "batchapi-lane"
    assert not abandoned


def test_one_that_does_not_come_is_not_waited_for() -> None:
    hold = Hold()

    def identify() -> str:
        hold.wait()
        return "user 1"

    begun, one = monotonic(), lane()
    assert in_time(identify, one, Surroundings(), until=begun + 0.1) is None
    assert one.is_abandoned
    assert monotonic() - begun < 5
    assert dict(abandoned.by_caller) == {"unnamed": 1}
    hold.is_released.set()
    wait_until(lambda: not abandoned)


def test_what_goes_wrong_is_the_callers() -> None:
    def identify() -> str:
        raise LookupError("who?")

    with pytest.raises(LookupError, match="who"):
        in_time(identify, lane(), Surroundings(), until=monotonic() + 20)
    assert not abandoned
