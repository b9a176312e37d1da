"""The project under a real HTTP server for the length of a `with` block: a process, a port and rows of its own."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import psycopg

from tests.project.processes import OURS, ROOT
from tests.servers import free_port, running

BIN = Path(sys.executable).parent
THREADS = "8"
ANSWER_SECONDS = 60.0  # Longer than any batch may take.

Item = dict[str, Any]


def gunicorn(port: int) -> list[str]:
    options = ["--worker-class", "gthread", "--threads", THREADS, "--bind", f"127.0.0.1:{port}", "--no-control-socket"]
    return ["gunicorn", "project.wsgi:application", *options]


def granian(port: int) -> list[str]:
    options = ["--interface", "wsgi", "--blocking-threads", THREADS, "--host", "127.0.0.1", "--port", str(port)]
    return ["granian", "project.wsgi:application", *options]


def uvicorn(port: int) -> list[str]:
    options = ["--lifespan", "off", "--no-access-log", "--host", "127.0.0.1", "--port", str(port)]
    return ["uvicorn", "project.asgi:application", *options]


SERVERS: dict[str, Callable[[int], list[str]]] = {"gunicorn": gunicorn, "granian": granian, "uvicorn": uvicorn}


class On(NamedTuple):
    """Which server runs on which database."""

    kind: str
    database: str = "sqlite"
    pool_size: int = 0

    def __str__(self) -> str:
        return f"{self.kind}-{self.database}" + (f"-pool-{self.pool_size}" if self.pool_size else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One that runs, and how to ask it."""

    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None  # the one that is told to stop

    def get(self, path: str) -> Any:
        with closing(self.connect()) as connection:
            connection.request("GET", path)
            return answer_of(connection)

    def post(self, *items: Item, token: str = "caller-0", **members: Any) -> list[Item]:
        """The records of one batch."""
        with closing(self.connect()) as connection:
            connection.request("POST", "/api/batch/", body_of(items, members), headers_of(token))
            return answer_of(connection)["responses"]

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)

    def is_ready(self) -> bool:
        try:
            return "process" in self.get("/api/counts/")
        except OSError:
            return False


def body_of(items: tuple[Item, ...], members: Item | None = None) -> bytes:
    return json.dumps({"requests": items, **(members or {})}).encode()


def headers_of(token: str) -> dict[str, str]:
    return {"Content-Type": "application/json", "Authorization": f"Token {token}", "Connection": "close"}


def answer_of(connection: HTTPConnection) -> Any:
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, (answer.status, body[:2000])
    return json.loads(body)


@contextmanager
def serving(kind: str, database_url: str, *, pool_size: int = 0) -> Iterator[Server]:
    """The project under one of SERVERS, on this database, which gets its tables first."""
    environment = environment_of(database_url, DATABASE_POOL_SIZE=str(pool_size))
    prepare(environment)
    with started(kind, environment) as server:
        yield server


def prepare(environment: dict[str, str]) -> None:
    """Make tables and callers in the database of an environment."""
    command = [sys.executable, "-m", "tests.serving.prepare"]
    prepared = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert prepared.returncode == 0, prepared.stderr


@contextmanager
def started(kind: str, environment: dict[str, str], *options: str) -> Iterator[Server]:
    """The project under one of SERVERS, with more of that server's own options."""
    with tempfile.TemporaryDirectory(prefix=f"batchapi-{kind}-") as name:
        folder, port = Path(name), free_port()
        server = Server(port=port, log=folder / "log")
        program, *usual = SERVERS[kind](port)
        command = [str(BIN / program), *usual, *options]
        with running(command, is_ready=server.is_ready, folder=folder, environment=environment) as process:
            yield replace(server, process=process)


def environment_of(database_url: str, **more: str) -> dict[str, str]:
    """Ours and no others."""
    clean = {name: value for name, value in os.environ.items() if name not in OURS}
    ours = {
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "tests.serving.settings",
        "DATABASE_URL": database_url,
        "LOG_LEVEL": "WARNING",
    }
    return {**clean, **ours, **more}


# -- on which rows


@contextmanager
def sqlite_file() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="batchapi-rows-") as folder:
        yield f"sqlite:///{folder}/rows.sqlite3"


@contextmanager
def postgres_database(postgres_url: str) -> Iterator[str]:
    """An empty database on a PostgreSQL that runs."""
    name = f"served_{uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            yield f"{postgres_url.rpartition('/')[0]}/{name}"
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
