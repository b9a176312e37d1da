"""A server on a database, both of a module's choice: its tests are parametrized with `running_on`."""

import sys
from collections.abc import Iterator

import pytest

from tests.serving.server import On, Server, postgres_database, serving, sqlite_file


@pytest.fixture(scope="module")
def database_url(running_on: On, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of that kind."""
    if running_on.database == "sqlite":
        with sqlite_file() as url:
            yield url
    else:
        with postgres_database(request.getfixturevalue("postgres_url")) as url:
            yield url


@pytest.fixture(scope="module")
def running_server(running_on: On, database_url: str) -> Iterator[Server]:
    with serving(running_on.kind, database_url, pool_size=running_on.pool_size) as server:
        yield server


@pytest.fixture
def server(running_server: Server) -> Iterator[Server]:
    """The server; what it logged in the meantime is shown if the test fails."""
    before = running_server.log.stat().st_size
    yield running_server
    with running_server.log.open("rb") as log:
        log.seek(before)
        sys.stdout.write(log.read().decode(errors="replace")[-5000:])
