"""After many batches that ended badly: as many threads, open files and connections as before."""

import os
from random import Random
from threading import active_count
from time import monotonic
from typing import Any

import pytest
from django.db import connection

from batchapi.execute.abandoned import abandoned
from batchapi.execute.threads import pool
from tests.execute.slow import IS_POSTGRESQL, ask, do, run_query, wait_until

BATCHES, SECONDS = 1000, 10.0  # whichever comes first
pytestmark = [
    pytest.mark.urls("tests.execute.slow"),
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.usefixtures("late_views"),
]


def any_request(random: Random, place: int) -> dict[str, Any]:
    steps = random.choice(["read", "atomic,read", "slow", "fetch", "atomic,slow", "crash", "atomic,crash", "nap:0.01"])
    hurry = {"timeout": random.choice([0.001, 0.003, 0.01])} if steps in ("slow", "fetch", "atomic,slow") else {}
    tight = {"timeout": random.choice([0.001, 0.005, 0.009, 0.011])} if steps == "nap:0.01" else {}
    group = {"atomicityGroup": "g"} if random.random() < 0.2 else {}
    return do(steps, random.choice(["GET", "POST"]), id=str(place), **hurry, **tight, **group)


def count_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def count_connections() -> int:
    """To this test's database, this one included."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    return int(run_query(query)) if IS_POSTGRESQL else 0


def are_back() -> bool:
    return not abandoned and pool.working == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_after_many_bad_batches_nothing_is_left(caplog: pytest.LogCaptureFixture):
    caplog.set_level("CRITICAL")
    random = Random(0)
    ask(do("read"))
    wait_until(are_back)
    connection.close()
    threads, files, ends_at = active_count(), count_files(), monotonic() + SECONDS
    expected = {200, 500, 504, 424}
    for _ in range(BATCHES):
        answers = ask(*(any_request(random, place) for place in range(random.randint(1, 6))))
        assert {answer.status for answer in answers} <= expected, answers
        if monotonic() > ends_at:
            break
    wait_until(are_back)
    lanes = active_count() - threads
    assert lanes <= len(pool.resting), "what is there waits for work"
    assert count_connections() <= 1
    connection.close()
    assert count_files() <= files + 2
