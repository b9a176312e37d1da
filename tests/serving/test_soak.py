"""After many batches that time out, crash and are left alone, the server holds what it held, and the rows are true."""

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from tests.serving.prepare import CALLERS
from tests.serving.server import Item, On, Server, body_of, headers_of

HASTE = {"timeout": 0.05}
SLOW = 200  # milliseconds that a slow view or query takes
BORED = 0.1  # seconds after which a client that does not wait for its answer is gone
TOLERANCE = {"threads": 3, "files": 4, "connections": 2}
IDLE_SECONDS = 60.0  # Lanes may wait that long for more to do.

SOAKS = [
    (On("gunicorn", "postgresql"), 1000),
    (On("uvicorn", "sqlite"), 150),
    (On("uvicorn", "postgresql", pool_size=24), 150),  # Under ASGI, Django leaves persistent connections behind.
]

Held = dict[str, int]


# -- what is sent


def get(path: str, **members: Any) -> Item:
    return {"url": f"/api/{path}", **members}


def write(key: str, *, members: Item | None = None, **body: Any) -> Item:
    """A sub-request that writes the row of this key."""
    return {"id": key, "method": "POST", "url": "/api/rows/", "body": {"key": key, **body}, **(members or {})}


RECIPES: list[Callable[[str], list[Item]]] = [
    lambda key: [get(f"rows/{key}/?n={n}") for n in range(6)],
    lambda key: [get(f"rows/{key}/"), write(key), get(f"rows/{key}/")],
    lambda key: [get("crash/"), write(key), get("wait/1/"), get("crash/?again")],
    # Time is up: in a read, in a write before and after its row is there for good, in Python and in the database.
    lambda key: [get(f"query/{SLOW}/", **HASTE), get(f"rows/{key}/"), get(f"wait/{SLOW}/", **HASTE)],
    lambda key: [write(key, members=HASTE, atomic=True, then="query", ms=SLOW), get(f"rows/{key}/")],
    lambda key: [write(key, members=HASTE, atomic=True, then="wait", ms=SLOW), get(f"rows/{key}/")],
    lambda key: [write(key, members=HASTE, then="query", ms=SLOW), get(f"rows/{key}/")],
    lambda key: [write(key, members=HASTE, then="wait", ms=SLOW), get(f"rows/{key}/")],
]


# -- what comes back


@dataclass(slots=True)
class Ledger:
    """What clients were told, and so what the rows have to be."""

    seen: Counter[object] = field(default_factory=Counter)
    kept: dict[str, Item] = field(default_factory=dict)  # by key of the row
    gone: dict[str, Item] = field(default_factory=dict)
    harmed: list[Item] = field(default_factory=list)  # Those that failed though their view does not.

    def note(self, records: list[Item]) -> None:
        """Add the records of one batch."""
        for record in records:
            problem = record["body"] if record["status"] in (503, 504) else {}
            outcome = problem.get("outcome")
            self.seen.update((record["status"], outcome))
            if record["status"] == 201 or outcome == "committed":
                self.kept[record["id"]] = record
            elif outcome in ("none", "rolled_back") or problem.get("executed") is False:
                self.gone[record["id"]] = record
            if record["status"] == 500 and "crash" not in record["request"]["url"]:
                self.harmed.append(record)

    def lies(self, rows: set[str]) -> list[tuple[str, int, object]]:
        """Key, status and outcome where they say something else of a row than what became of it."""
        missing = [record for key, record in self.kept.items() if key not in rows]
        late = [record for key, record in self.gone.items() if key in rows]
        return [(record["id"], record["status"], record["body"].get("outcome")) for record in missing + late]


def run_batch(server: Server, number: int) -> list[Item]:
    """The records of one batch, none where the client does not wait for them."""
    items = RECIPES[number % len(RECIPES)](f"row-{number}")
    token = f"caller-{(number + number // len(RECIPES)) % CALLERS}"  # Each caller sends each of the recipes.
    if number % 10 == 8:
        leave_early(server, body_of((write(f"left-{number}"), get(f"query/{SLOW}/"))), token)
    elif number % 10 == 9:
        hang_up(server, body_of(tuple(items)), token)
    else:
        return server.post(*items, token=token)
    return []


def leave_early(server: Server, body: bytes, token: str) -> None:
    """Send a batch and close the socket while it runs."""
    with closing(server.connect()) as connection:
        connection.request("POST", "/api/batch/", body, headers_of(token))
        assert isinstance(connection.sock, socket.socket)
        connection.sock.settimeout(BORED)
        with suppress(TimeoutError):
            connection.getresponse()


def hang_up(server: Server, body: bytes, token: str) -> None:
    """Close the socket in the middle of a request."""
    with closing(server.connect()) as connection:
        headers = headers_of(token) | {"Content-Length": str(len(body))}
        connection.request("POST", "/api/batch/", body[: len(body) // 2], headers)


def run_batches(server: Server, count: int) -> Ledger:
    """So many batches by all callers at once, and what they were told."""
    ledger = Ledger()
    with ThreadPoolExecutor(CALLERS) as clients:
        for records in clients.map(run_batch, [server] * count, range(count)):
            ledger.note(records)
    return ledger


# -- what the server holds


@pytest.fixture
def held(server: Server, database_url: str) -> Iterator[Callable[[], Held]]:
    """Asks for threads, open files and connections of the server, after it has been warmed up."""
    if not database_url.startswith("postgresql"):
        yield lambda: server.get("/api/counts/")
        return
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield lambda: server.get("/api/counts/") | {"connections": connection.execute(query).fetchone()[0]}


def warm_up(server: Server) -> None:
    """Have each of the server's own threads run a view that asks the database."""
    with ThreadPoolExecutor(CALLERS) as clients:
        for records in clients.map(server.post, [get("wait/100/", id="wait")] * CALLERS, [get("query/1/")] * CALLERS):
            assert [record["status"] for record in records] == [200, 200]


def back_to(baseline: Held, held: Callable[[], Held]) -> Held:
    """What the server holds when it holds no more than before, or in the end."""
    deadline = time.monotonic() + IDLE_SECONDS
    while True:
        now = held()
        if not surplus(now, baseline) or time.monotonic() > deadline:
            return now
        time.sleep(0.25)


def surplus(now: Held, baseline: Held) -> Held:
    """What is held beyond the tolerance."""
    return {name: now[name] for name in baseline if now[name] > baseline[name] + TOLERANCE.get(name, 0)}


@pytest.mark.parametrize(("running_on", "count"), SOAKS, ids=str, scope="module")
def test_a_server_forgets_what_went_wrong(server: Server, held: Callable[[], Held], running_on: On, count: int) -> None:
    """No thread, file or connection stays behind, no write comes late, and every answer told the truth of its row."""
    warm_up(server)
    baseline = held()
    for name in {"files", "connections"} & baseline.keys() if running_on.pool_size else ():
        baseline[name] += running_on.pool_size  # A pool keeps what it opened, and no more than that.
    ledger = run_batches(server, count)
    after = back_to(baseline, held)
    assert (surplus(after, baseline), after["process"]) == ({}, baseline["process"])
    assert ledger.harmed == []
    assert ledger.lies(set(server.get("/api/rows/"))) == []
    assert {200, 201, 404, 500, 504, "none", "rolled_back", "committed"} <= ledger.seen.keys(), ledger.seen
