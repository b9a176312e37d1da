"""A world that can be put back as it was: rows, caches, mail, clock; and a list of all that is in it."""

import logging
import pickle
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier
from time import sleep
from typing import Any

import time_machine
from django.conf import settings as django_settings
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.contrib.sessions.backends.db import SessionStore
from django.core import mail
from django.core.cache import caches
from django.core.signals import got_request_exception
from django.db import connections
from django.http import HttpResponse
from django.test import override_settings

from batchapi.execute.threads import pool
from batchapi.signals import subrequest_started
from tests.views import happened

NOW = datetime(2024, 5, 5, 12, tzinfo=UTC)
SIGNALS = (user_logged_in, user_logged_out, user_login_failed, got_request_exception)
LOGGERS = ("django.request", "django.security")


class Stage:
    """Where an arm plays. `set()` before it, `seen()` after it."""

    def __init__(self, template: sqlite3.Connection) -> None:
        self.template = template
        self.log = Log()

    def set(self) -> None:
        """Put everything back."""
        connections["default"].ensure_connection()
        self.template.backup(connections["default"].connection)
        for cache in caches.all():
            cache.clear()
        mail.outbox = []
        happened.clear()
        self.log.lines.clear()

    def seen(self) -> dict[str, Any]:
        """Everything that can be looked at afterwards."""
        return {
            "rows": read_rows(connections["default"].connection),
            "caches": read_caches(),
            "mail": [message.subject for message in mail.outbox],
            "happened": list(happened),
            "log": list(self.log.lines),
            "is in a transaction": connections["default"].in_atomic_block,
        }


class Log(logging.Handler):
    """Notes what Django logs about requests, and its signals about users and crashes."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """One line for a log record."""
        self.lines.append(f"{record.name} {record.levelname} {record.getMessage()}")

    def hear(self, signal: Any, **kwargs: Any) -> None:
        """One line for a signal."""
        name = next(name for name, known in globals().items() if known is signal)
        self.lines.append(f"{name} {kwargs.get('user', '')} {kwargs.get('credentials', '')}".strip())


def read_rows(connection: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables; what sessions hold is decoded."""
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    rows = {name: connection.execute(f'SELECT * FROM "{name}" ORDER BY 1').fetchall() for name in tables}
    decode = SessionStore().decode
    rows["django_session"] = [(key, decode(data), expires) for key, data, expires in rows["django_session"]]
    return rows


def read_caches() -> dict[str, Any]:
    """All that is in the caches: the counts of throttles, and pages."""
    found: dict[str, Any] = {}
    for alias in ("default", "local"):
        cache: Any = caches[alias]
        for key, packed in cache._cache.items():
            value = pickle.loads(packed)
            told = (value.status_code, value.items(), value.content) if isinstance(value, HttpResponse) else value
            found[f"{alias} {key}"] = [told, cache._expire_info.get(key)]
    return found


@contextmanager
def listening(log: Log) -> Iterator[None]:
    """Have a log hear everything, and nobody else print it."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    logging.getLogger("batchapi.access").setLevel(logging.WARNING)  # a line for each sub-request is nobody's interest
    for signal in SIGNALS:
        signal.connect(log.hear)
    for logger in loggers:
        logger.addHandler(log)
        logger.propagate = False
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(log)
            logger.propagate = True
        for signal in SIGNALS:
            signal.disconnect(log.hear)


@contextmanager
def on_database(path: Path, alias: str = "default", **settings: object) -> Iterator[None]:
    """Have this thread's default connection, and all that it opens from now on, lead to a SQLite file of our own."""
    usual, connection = connections.settings[alias], connections[alias]
    own = {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "CONN_MAX_AGE": None, **settings}
    own["OPTIONS"] = {**usual["OPTIONS"], "init_command": "PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF"}
    connections.settings[alias] = {**usual, **own}
    del connections[alias]
    try:
        yield
    finally:
        connections[alias].close()
        connections.settings[alias] = usual
        connections[alias] = connection


@contextmanager
def on_lanes(path: Path, subset: set[int]) -> Iterator[None]:
    """Have batches run on several lanes: no database is in memory, and those in the subset take their time."""

    def take_time(*, request: Any, **_: Any) -> None:
        if request.index in subset:
            sleep(0.004)  # Twice the time after which a lane that has finished nothing gets company.

    forget_connections_of_lanes()  # They lead to where they led when they were made.
    subrequest_started.connect(take_time)
    try:
        with on_database(path, "other"):
            yield
    finally:
        subrequest_started.disconnect(take_time)
        forget_connections_of_lanes()


def forget_connections_of_lanes() -> None:
    """Have each thread that serves as a lane make its connections anew."""
    while pool.working:
        sleep(0.001)
    together = Barrier(len(pool.resting) + 1, timeout=10)

    def forget() -> None:
        for connection in connections.all(initialized_only=True):
            connection.close()
            del connections[connection.alias]
        together.wait()

    for _ in range(together.parties - 1):
        pool.start(forget)
    together.wait()


@contextmanager
def open_stage(template: Path, path: Path, **settings: object) -> Iterator[Stage]:
    """A stage with a stopped clock; `settings` are those of its database."""
    source = sqlite3.connect(template)
    stage = Stage(source)
    try:
        plain = {**django_settings.BATCHAPI, "ENABLE_DEDUPLICATION": False}  # Copies are marked in a header.
        with (
            on_database(path, **settings),
            time_machine.travel(NOW, tick=False),
            listening(stage.log),
            override_settings(BATCHAPI=plain),
        ):
            yield stage
    finally:
        source.close()
