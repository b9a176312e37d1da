"""Batches while their PostgreSQL fails: honest errors in time, no write lost or twice, and well again soon."""

import pytest

from tests.faults.conftest import Measured
from tests.faults.postgres_faults import DIRECT, RELAYED, exhausting
from tests.serving.server import Server


@pytest.mark.parametrize("name", DIRECT)
def test_clients_are_told_in_time(name: str, measured: Measured) -> None:
    figures = measured(name, DIRECT[name], on="direct")
    assert figures.seen or name == "Deadlocks"  # A group is tried again once.


@pytest.mark.parametrize("name", RELAYED)
def test_clients_are_told_in_time_of_a_bad_way_too(name: str, measured: Measured) -> None:
    figures = measured(name, RELAYED[name], on="relayed")
    assert figures.seen


def test_a_pool_without_a_connection_is_waited_for(pooled: Server, measured: Measured) -> None:
    figures = measured("Pool exhausted", exhausting(pooled), on="pooled")
    assert set(figures.seen) <= {"504 timed_out", "503 deadline_before_start", "424 dependency_failed"}
