"""Who writes: one connection of its own, in this process, on another thread or in another process."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Protocol

from django.conf import settings
from django.db import connection, connections, transaction
from django.test import Client

from batchapi.store import get_store
from tests.cache.machine.roads import ROADS, spoil
from tests.cache.machine.views import Now
from tests.project.processes import ROOT

TIMEOUT = 0.2  # Seconds after which a Redis counts as away.
WINDOW = 0.05  # Seconds between two looks for a Redis that is away, so that an example does not take long.
Answers = list[dict[str, Any]]


class Writer:
    """Writes on the connection of the thread that it is called on. A transaction stays open from call to call."""

    def __init__(self) -> None:
        self.atomic = ExitStack()
        self.kind = ""

    def write(self, road: str, n: int, text: str) -> None:
        ROADS[road].write(n, text)

    def spoil(self, road: str, n: int, text: str) -> None:
        spoil(road, n, text)

    def begin(self, kind: str) -> None:
        """Open a transaction, the way that `kind` says: atomic, manual or raw."""
        self.kind = kind
        if kind == "atomic":
            self.atomic.enter_context(transaction.atomic())
        elif kind == "manual":
            transaction.set_autocommit(False)
        else:
            run("BEGIN")

    def end(self, is_committed: bool) -> None:
        """End it."""
        if self.kind == "atomic":
            transaction.set_rollback(not is_committed)
            self.atomic.close()
        elif self.kind == "manual":
            (transaction.commit if is_committed else transaction.rollback)()
            transaction.set_autocommit(True)
        else:
            run("COMMIT" if is_committed else "ROLLBACK")

    def ask(self, requests: Answers, cookie: str, headers: dict[str, str], step: int) -> Answers:
        """A batch of somebody's, asked of this process."""
        Now.step = step
        client = Client(raise_request_exception=False)
        client.cookies[settings.SESSION_COOKIE_NAME] = cookie
        return post(client, requests, headers)

    def is_away(self) -> bool:
        return the_store().is_away

    def close(self) -> None:
        connections.close_all()


def run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def post(client: Client, requests: Answers, headers: dict[str, str]) -> Answers:
    """The records of one batch."""
    payload = json.dumps({"requests": requests})
    response = client.post("/api/batch/", payload, content_type="application/json", headers=headers)
    assert response.status_code == 200, response.content
    records: Answers = response.json()["responses"]
    return records


def the_store() -> Any:
    """This process's store, which looks for its server more often than it would."""
    store: Any = get_store("default", settings.BATCHAPI["CACHE_SIZE"])
    if store.is_shared and store.link.timeout != TIMEOUT:  # Other tests wait for longer. Started again it forgets.
        store.link.timeout = TIMEOUT
        store.link.start()
        store.link.outage.window = WINDOW
    return store


class Place(Protocol):
    """Where a writer is."""

    def call(self, name: str, *args: Any) -> Any:
        """Have the writer do something, and wait until it is done."""

    def close(self) -> None:
        """End it."""


class Here:
    """On the thread that reads, too."""

    def __init__(self) -> None:
        self.writer = Writer()

    def call(self, name: str, *args: Any) -> Any:
        return getattr(self.writer, name)(*args)

    def close(self) -> None:
        """Its connection is the test's."""


class Thread(Here):
    """On another thread of this process."""

    def __init__(self) -> None:
        super().__init__()
        self.thread = ThreadPoolExecutor(1)

    def call(self, name: str, *args: Any) -> Any:
        return self.thread.submit(super().call, name, *args).result()

    def close(self) -> None:
        self.call("close")
        self.thread.shutdown()


class Process:
    """In another process, with a Django of its own on the same database and cache."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.cache.machine.other"]
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        names = {alias: connections[alias].settings_dict["NAME"] for alias in connections}
        caching = {name: settings.BATCHAPI[name] for name in ("ENABLE_CACHING", "CACHE_SIZE")}
        self.send({"databases": names, "caches": settings.CACHES, "batchapi": caching})

    def call(self, name: str, *args: Any) -> Any:
        return self.send([name, *args])

    def send(self, message: Any) -> Any:
        """One line there, one line back. Raises RuntimeError with the traceback of what went wrong there."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "failed" in answer:
            raise RuntimeError(answer["failed"])
        return answer["done"]

    def close(self) -> None:
        """By the end of its input."""
        self.process.communicate(timeout=20)


PLACES: dict[str, Callable[[], Place]] = {"here": Here, "thread": Thread, "process": Process}
