"""Servers that are told to stop, or killed, in the middle of a batch; clients that go away in the middle of theirs."""

import os
import signal
import socket
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from uuid import uuid4

import pytest

from tests.faults.stage import DATABASE, Stage
from tests.serving.server import Item, Server, body_of, environment_of, headers_of, prepare, sqlite_file, started
from tests.store.server import eventually

DEADLINE = 2.0  # seconds, of the settings
LITTLE = 2.0  # seconds that a machine which is busy may take besides
MOST_THREADS = 8 + 16  # of the server, and lanes (MAX_LANES of the settings): they wait a while for more to do
OPTIONS = {
    "granian": ("--workers-kill-timeout", "3"),  # Now and then its worker does not end by itself (granian issue 875).
}
each_server = pytest.mark.parametrize("kind", ["gunicorn", "granian", "uvicorn"])


def get(path: str) -> Item:
    return {"url": f"/api/{path}"}


def write(key: str, *, ms: int = 0, **members: str) -> Item:
    """Writes a row, and then takes its time."""
    return {"method": "POST", "url": "/api/rows/", "body": {"key": key, "then": "wait", "ms": ms}, **members}


def group(*keys: str) -> list[Item]:
    """Writes these rows together, and the last of them takes its time."""
    *others, last = keys
    members = {"atomicityGroup": "both"}
    return [*(write(key, **members) for key in others), write(last, ms=800, **members)]


def new_keys(count: int) -> list[str]:
    return [uuid4().hex for _ in range(count)]


def keys(stage: Stage) -> set[str]:
    """The rows that are there."""
    return {key for (key,) in stage.postgres.ask("SELECT key FROM chat_session", database=DATABASE)}


def is_in_transaction(stage: Stage, name: str) -> bool:
    sql = "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND state = 'idle in transaction'"
    return bool(stage.postgres.ask(sql, name))


def tell_to_stop(server: Server, sent: signal.Signals = signal.SIGTERM) -> float:
    """Seconds until the server has ended; with SIGKILL, all of its processes at once."""
    assert server.process is not None
    begun = time.monotonic()
    if sent is signal.SIGKILL:
        os.killpg(server.process.pid, sent)  # It began a session of its own.
    else:
        server.process.send_signal(sent)
    server.process.wait(30)
    return time.monotonic() - begun


def statuses(records: list[Item]) -> list[int]:
    return [record["status"] for record in records]


# -- told to stop


@each_server
def test_a_batch_that_runs_is_answered_whole_before_its_server_ends(kind: str, stage: Stage) -> None:
    [first, last] = new_keys(2)
    batch = [write(first), *(get(f"wait/400/?n={n}") for n in range(3)), get("query/400/"), write(last)]
    with started(kind, stage.environment(kind), *OPTIONS.get(kind, ())) as server, ThreadPoolExecutor() as clients:
        answer = clients.submit(server.post, *batch)
        eventually(lambda: first in keys(stage))
        assert tell_to_stop(server) < DEADLINE + LITTLE
        assert statuses(answer.result()) == [201, 200, 200, 200, 200, 201]


@each_server
def test_a_view_that_hangs_does_not_keep_its_server(kind: str, stage: Stage) -> None:
    """It is answered for when its time is over, and the thread that it holds ends with the process."""
    [first] = new_keys(1)
    with started(kind, stage.environment(kind), *OPTIONS.get(kind, ())) as server, ThreadPoolExecutor() as clients:
        answer = clients.submit(server.post, write(first), get("wait/60000/"))
        eventually(lambda: first in keys(stage))
        assert tell_to_stop(server) < DEADLINE + LITTLE
        assert statuses(answer.result()) == [201, 504]


# -- killed


def post_and_lose(server: Server, *batch: Item) -> None:
    """Send a batch whose answer never comes."""
    with suppress(OSError), closing(server.connect()) as connection:
        connection.request("POST", "/api/batch/", body_of(batch), headers_of("caller-0"))
        connection.getresponse()


def kill_amid_group(server: Server, is_amid: Callable[[], bool], *keys: str) -> None:
    with ThreadPoolExecutor() as clients:
        clients.submit(post_and_lose, server, *group(*keys))
        eventually(is_amid)
        tell_to_stop(server, signal.SIGKILL)


def test_a_server_that_is_killed_leaves_nothing_of_a_group_and_no_lock(stage: Stage) -> None:
    both = new_keys(2)
    with started("gunicorn", stage.environment("killed")) as server:
        kill_amid_group(server, lambda: is_in_transaction(stage, "killed"), *both)
    held = "SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE application_name = 'killed'"
    eventually(lambda: not stage.postgres.ask(held))
    assert not keys(stage) & set(both)
    with started("gunicorn", stage.environment("next")) as server:
        assert statuses(server.post(*group(*both))) == [201, 201]


def test_nor_does_one_on_an_sqlite_file() -> None:
    both = new_keys(2)
    with sqlite_file() as url:
        environment = environment_of(url, DJANGO_SETTINGS_MODULE="tests.faults.settings")
        prepare(environment)
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0, isolation_level=None)) as connection:

            def is_locked() -> bool:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError:
                    return True
                connection.execute("ROLLBACK")
                return False

            with started("gunicorn", environment) as server:
                kill_amid_group(server, is_locked, *both)
            assert not is_locked()
            assert connection.execute("SELECT count(*) FROM chat_session").fetchone() == (0,)
        with started("gunicorn", environment) as server:
            assert statuses(server.post(*group(*both))) == [201, 201]


# -- left alone


@each_server
def test_a_batch_whose_client_goes_away_is_done_to_its_end(kind: str, stage: Stage) -> None:
    """No server tells a view that runs; so nothing is half done, and nothing stays behind."""
    [first, one, other, last] = new_keys(4)
    with started(kind, stage.environment(kind), *OPTIONS.get(kind, ())) as server:
        before = server.get("/api/counts/")
        with closing(server.connect()) as connection:
            batch = (write(first), *group(one, other), *(get(f"wait/100/?n={n}") for n in range(5)), write(last))
            connection.request("POST", "/api/batch/", body_of(batch), headers_of("caller-0"))
            eventually(lambda: first in keys(stage))
            assert isinstance(connection.sock, socket.socket)
            connection.sock.shutdown(socket.SHUT_RDWR)
        eventually(lambda: last in keys(stage))
        assert {one, other} <= keys(stage)
        eventually(lambda: not is_in_transaction(stage, kind))
        after = server.get("/api/counts/")
        assert (after["process"], after["abandoned"]) == (before["process"], 0)
        assert after["threads"] <= before["threads"] + MOST_THREADS
