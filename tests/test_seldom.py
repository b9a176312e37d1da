"""What would be said with every request is said once in a while, and what went unsaid is counted."""

import logging
import time

import pytest

from batchapi.seldom import Seldom

logger = logging.getLogger("tests.seldom")


def test_one_line_in_a_window_tells_how_many_there_were(caplog: pytest.LogCaptureFixture) -> None:
    seldom = Seldom(logger, window=0.2)
    for name in ("a", "b", "c"):
        seldom.warn("%s is away.", name, route=name)
    time.sleep(0.2)
    seldom.warn("%s is away.", "d", route="d")
    assert [record.getMessage() for record in caplog.records] == ["a is away.", "d is away. (2 more before that)"]
    assert [vars(record)["route"] for record in caplog.records] == ["a", "d"]
