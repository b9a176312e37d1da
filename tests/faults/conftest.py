"""One stage for all tests of this folder that want one, and servers on it that are looked at in the end."""

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.faults.harness import Figures, measure
from tests.faults.stage import Stage, set_stage
from tests.servers import NoServer
from tests.serving.prepare import CALLERS
from tests.serving.server import Server, started

Held = dict[str, int]
Measured = Callable[..., Figures]
TOLERANCE = {"threads": 3, "files": 6, "postgresql": 3, "redis": 3, "abandoned": 0}
POOL = 4
LONGEST = 2.0 + 1.5  # Seconds: DEADLINE of the settings, and a little for a machine that is busy.
IDLE_SECONDS = 30.0  # Lanes may wait that long for more to do.


@pytest.fixture(scope="package")
def stage() -> Iterator[Stage]:
    try:
        with set_stage() as one:
            yield one
    except NoServer as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="package")
def direct(stage: Stage) -> Iterator[Server]:
    """A server that holds in the end what it held in the beginning, whatever happens in between."""
    with serving(stage, "direct") as server:
        yield server


@pytest.fixture(scope="package")
def relayed(stage: Stage) -> Iterator[Server]:
    """The same, with relays on its ways to PostgreSQL and Redis."""
    with serving(stage, "relayed", is_relayed=True) as server:
        yield server


@pytest.fixture(scope="package")
def pooled(stage: Stage) -> Iterator[Server]:
    """The same, with a pool of four connections."""
    with serving(stage, "pooled", pool_size=POOL) as server:
        yield server


@contextmanager
def serving(stage: Stage, name: str, *, is_relayed: bool = False, pool_size: int = 0) -> Iterator[Server]:
    environment = stage.environment(name, is_relayed=is_relayed, pool_size=pool_size)
    with started("gunicorn", environment) as server:
        warm_up(server)
        baseline = held(server, stage, name)
        yield server
        assert back_to(baseline, lambda: held(server, stage, name)) == {}


def held(server: Server, stage: Stage, name: str) -> Held:
    """What the server's process holds: threads, files, sub-requests that have not come back, connections."""
    counts: Held = server.get("/api/counts/")
    return counts | stage.connections(name)


def warm_up(server: Server) -> None:
    """Have each of the server's own threads run views that ask the database and keep an answer."""
    items = [{"url": "/api/wait/100/"}, {"url": "/api/auth/me/"}, {"url": "/api/sessions/"}]
    with ThreadPoolExecutor(CALLERS) as callers:
        for records in callers.map(lambda n: server.post(*items, token=f"caller-{n}"), range(CALLERS)):
            assert {record["status"] for record in records} == {200}


def back_to(baseline: Held, now: Callable[[], Held]) -> Held:
    """What is held beyond the baseline when it is no more than that, or in the end; {} if all was given back."""
    deadline = time.monotonic() + IDLE_SECONDS
    while True:
        held = now()
        surplus = {name: held[name] for name in TOLERANCE if held[name] > baseline[name] + TOLERANCE[name]}
        if not surplus or time.monotonic() > deadline:
            return surplus | ({} if held["process"] == baseline["process"] else {"process": held["process"]})
        time.sleep(0.25)


@pytest.fixture
def measured(stage: Stage, request: pytest.FixtureRequest) -> Measured:
    """Has clients work on one of these servers before, during and after a fault, and looks at what came of it."""

    def run(name: str, fault: Callable[[Stage], AbstractContextManager[object]], *, on: str) -> Figures:
        figures = measure(name, request.getfixturevalue(on), fault(stage), stage.rows)
        sys.stdout.write(f"{figures}\n")
        assert figures.faults == {}
        assert figures.slowest < LONGEST
        return figures

    return run
