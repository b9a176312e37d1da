"""Batches on an SQLite file that another process locks."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from tests.faults.again import again_and_again
from tests.faults.conftest import LONGEST
from tests.faults.harness import Figures, measure
from tests.faults.ledger import Row
from tests.faults.stage import ROWS
from tests.serving.server import Server, environment_of, prepare, sqlite_file, started

TIMEOUT = 0.5  # seconds that a connection of the server waits for a lock
LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=10, isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


@pytest.fixture(scope="module")
def file() -> Iterator[str]:
    with sqlite_file() as url:
        yield url.removeprefix("sqlite:///")


@pytest.fixture(scope="module")
def server(file: str) -> Iterator[Server]:
    settings = {"DJANGO_SETTINGS_MODULE": "tests.faults.settings", "SQLITE_TIMEOUT": str(TIMEOUT)}
    environment = environment_of(f"sqlite:///{file}", **settings)
    prepare(environment)
    with started("gunicorn", environment) as one:
        yield one


@contextmanager
def locked(file: str) -> Iterator[None]:
    """Another process has a write transaction open."""
    command = [sys.executable, "-c", LOCK, file]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield
        process.communicate("\n")


def lock_briefly(file: str) -> None:
    with locked(file):
        time.sleep(TIMEOUT / 5)


@pytest.fixture
def rows(file: str) -> Callable[[], list[Row]]:
    def read() -> list[Row]:
        with closing(sqlite3.connect(file)) as connection:
            return connection.execute(ROWS).fetchall()

    return read


def look_at(figures: Figures) -> None:
    sys.stdout.write(f"{figures}\n")
    assert figures.faults == {}
    assert figures.slowest < LONGEST


def test_writes_fail_where_the_lock_stays_longer_than_a_connection_waits(
    server: Server, file: str, rows: Callable[[], list[Row]]
) -> None:
    """And reads go on."""
    figures = measure("SQLite locked for longer", server, locked(file), rows, window=2 * TIMEOUT, is_kept=False)
    look_at(figures)
    assert figures.seen["500 crashed"]


def test_nobody_hears_of_a_lock_that_ends_before(server: Server, file: str, rows: Callable[[], list[Row]]) -> None:
    now_and_then = again_and_again(lambda: lock_briefly(file), every=TIMEOUT / 2)
    figures = measure("SQLite locked for shorter", server, now_and_then, rows, window=3 * TIMEOUT, is_kept=False)
    look_at(figures)
    assert not figures.seen
