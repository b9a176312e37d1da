"""PostgreSQL gives as many connections as it likes: lanes that get none close, and every lane gives its own back."""

import json
import os
import sys
from collections.abc import Iterator
from subprocess import run
from time import monotonic, sleep
from typing import Any

import pytest
from django.db import connection, connections

from batchapi import signals
from tests.execute.lanes import RAN, get, hearing, statuses, threads
from tests.factories import SessionFactory
from tests.rerun import ROOT

pytestmark = [
    pytest.mark.urls("tests.execute.lanes"),
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]
READS = [get(f"slow/{n}/?ms=15") for n in range(12)]
FEW = 3

# A process of the project with a pool of few connections, and what one batch in it came to.
IN_A_POOL = """
import json, django
django.setup()
from django.test import Client, override_settings
from django.db import connection
from tests.execute.lanes import get, statuses, threads
with override_settings(ROOT_URLCONF="tests.execute.lanes", ALLOWED_HOSTS=["testserver"]):
    found = [statuses(*(get(f"slow/{n}/?ms=15") for n in range(12))) for _ in range(3)]
print(json.dumps([found, len(threads()), connection.pool.get_stats()["pool_size"]]))
"""


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    RAN.clear()


def clients() -> int:
    """Connections to our database, besides this one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid != pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


def clients_in_the_end() -> int:
    """A server process takes its time to end."""
    until = monotonic() + 5
    while clients() and monotonic() < until:
        sleep(0.02)
    return clients()


@pytest.fixture
def few_connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever connects from now on is somebody who may do so a few times only."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE few LOGIN CONNECTION LIMIT {FEW}")
        cursor.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO few")
    with monkeypatch.context() as patch:
        patch.setitem(connections.settings["default"], "USER", "few")
        yield
        connection.close()
    with connection.cursor() as cursor:
        cursor.execute("DROP OWNED BY few")
        cursor.execute("DROP ROLE few")


def test_where_there_are_few_connections_those_that_have_one_do_all_the_work(few_connections: None):
    connection.close()
    connection.ensure_connection()
    assert statuses(*READS) == [200] * 12
    assert 1 < len(threads()) <= FEW


def test_where_a_pool_is_exhausted_too():
    database = connection.settings_dict
    url = f"postgresql://{database['USER']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    environment = {**os.environ, "DATABASE_URL": url, "DATABASE_POOL_SIZE": str(FEW)}
    process = run(
        [sys.executable, "-W", "error", "-c", IN_A_POOL], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr[-2000:]
    found, lanes, size = json.loads(process.stdout.splitlines()[-1])
    assert found == [[200] * 12] * 3
    assert lanes > 1
    assert size <= FEW


def test_each_lane_gives_back_what_it_opened_once():
    SessionFactory(key="row")
    opened: list[Any] = []

    def hear(*, connection: Any, **_: Any) -> None:
        opened.append(connection.connection.info.backend_pid)

    with hearing(signals.lane_opened, hear):
        assert statuses(*READS) == [200] * 12
    assert len(opened) == len(set(opened)) >= len(threads()) - 1 > 0
    assert clients_in_the_end() == 0


def test_a_batch_that_ends_by_an_exception_gives_back_too():
    def exit_at_last(*, request: Any, **_: Any) -> None:
        if request.key == "11":
            raise SystemExit

    with hearing(signals.subrequest_started, exit_at_last), pytest.raises(SystemExit):
        statuses(*READS)
    assert clients_in_the_end() == 0


def test_the_first_lane_has_its_connection_before_others_take_the_last(few_connections: None):
    """What the views ask is known from the batch before."""
    connection.ensure_connection()
    statuses(*READS)
    connection.close()
    assert statuses(*READS) == [200] * 12
