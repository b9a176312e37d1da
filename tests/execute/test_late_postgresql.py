"""What is late, as a server sees it: its connections, and a COMMIT that takes long."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.db import connection

from batchapi.execute.abandoned import abandoned
from tests.cache.relay import Relay, relayed_connection
from tests.execute.slow import LIMIT, Told, ask, do, group, hooks, kept, late, let_go, run_query, wait_until

pytestmark = [
    pytest.mark.urls("tests.execute.slow"),
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.usefixtures("late_views"),
]

POOLED = """
import django
django.setup()
from django.db import connection, connections
from django.test import override_settings
from tests.execute.slow import ask, do, late
with override_settings(ROOT_URLCONF="tests.execute.slow"):
    for steps in ("slow", "stubborn,slow,close", "stubborn,atomic,slow", "stubborn,manual,slow,close"):
        answers = ask(do("pid"), late(steps), do("pid", id="after"))
        pids = [record["body"]["told"] for record in (answers.records[0], answers.records[2])]
        assert [answer.status for answer in answers] == [200, 504, 200], answers
        assert pids[0] != pids[1], (steps, pids)
    connections.close_all()
    connection.close_pool()
"""


def test_no_pool_hands_out_a_connection_that_was_sent_a_cancel():
    ask(do("read"))  # There is an owner.
    of_test = connection.settings_dict
    url = f"postgresql://{of_test['USER']}@{of_test['HOST']}:{of_test['PORT']}/{of_test['NAME']}"
    environment = {"DATABASE_URL": url, "DATABASE_POOL_SIZE": "1", "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, "-c", POOLED]
    ran = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_the_thread_closes_the_connections_that_it_kept():
    [pid] = ask(do("pid")).records[0]["body"]["told"]
    ask(late("read,hold"))
    query = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}"
    assert run_query(query) == 1
    let_go()
    wait_until(lambda: run_query(query) == 0)


@pytest.fixture
def relayed() -> Iterator[Relay]:
    """The connections of batches go through a relay."""
    with relayed_connection() as one:
        yield one


@pytest.mark.parametrize("steps", ["raw:a", "atomic,write:a"])
def test_a_write_that_nobody_heard_of_again_is_not_said_to_be_rolled_back(steps: str, relayed: Relay):
    """Its time is over, it is cancelled too late, and then its connection is lost: it may be there, and here it is."""
    ask(do("read"))  # There is an owner.
    relayed.cut_at, relayed.cut_after = b"COMMIT" if "atomic" in steps else b"INSERT", LIMIT + 0.1
    [answer] = ask(late(steps))
    assert answer == Told(504, "timed_out", "unknown")
    relayed.cut_at = None
    wait_until(lambda: not abandoned)
    assert kept() == {"a"}


def run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.fixture
def slow_commit() -> Iterator[None]:
    """Rows of the chat are checked for half a minute when they are committed."""
    run("CREATE FUNCTION dawdle() RETURNS trigger AS 'BEGIN PERFORM pg_sleep(30); RETURN NULL; END' LANGUAGE plpgsql")
    run(
        "CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON chat_session DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION dawdle()"
    )
    yield
    let_go()
    run("DROP TRIGGER dawdle ON chat_session")
    run("DROP FUNCTION dawdle")


@pytest.mark.parametrize("steps", ["atomic,write:a,hook:a", "write:a", "stubborn,atomic,write:a,hook:a", "raw:a"])
def test_a_commit_that_is_cancelled_is_told_as_it_ended(
    steps: str, slow_commit: None, caplog: pytest.LogCaptureFixture
):
    [answer] = ask(late(steps))
    assert answer == Told(504, "timed_out", "rolled_back")
    assert kept() == set()
    assert hooks() == []
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    wait_until(lambda: not abandoned)


def test_a_group_whose_commit_takes_too_long_is_rolled_back(slow_commit: None):
    answers = ask(*group("write:a,hook:a", "read"), do("read", id="later"), DEADLINE=0.5)
    assert answers == [
        Told(424, "rolled_back", True),
        Told(504, "timed_out", "rolled_back"),
        Told(503, "deadline_before_start", False),
    ]
    assert kept() == set()
    assert hooks() == []
