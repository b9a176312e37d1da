"""Every statement and every COMMIT of this process, seen from inside and told to whoever listens in this context.

What listens: `observer` hears which tables a statement touched, `watcher` may keep a statement or a COMMIT from
happening, `writable_alias` names the one database that may be written to. What is written is noted whoever listens, and
told once it is committed (`uncommitted.py`).
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Protocol

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from batchapi import uncommitted
from batchapi.tags import look_at

Observer = Callable[["frozenset[str]", bool], None]  # tables, whether the statement writes them


class Watcher(Protocol):
    """Somebody who is asked before, and told after. What it raises goes to whoever wanted to run the statement."""

    def begin(self, connection: BaseDatabaseWrapper, sql: str, params: object, *, is_write: bool) -> None:
        """Before a statement runs."""

    def end(self, *, is_write: bool, is_done: bool) -> None:
        """After it ran, or raised."""

    def commit(self, connection: BaseDatabaseWrapper, commit: Callable[[], None]) -> None:
        """In place of a COMMIT: call `commit`, or do not."""

    def close(self, connection: BaseDatabaseWrapper, close: Callable[[], None]) -> None:
        """In place of closing a connection, or of giving it back to its pool: call `close`."""


observer: ContextVar[Observer | None] = ContextVar("batchapi_sql_observer", default=None)
watcher: ContextVar[Watcher | None] = ContextVar("batchapi_sql_watcher", default=None)
writable_alias: ContextVar[str | None] = ContextVar("batchapi_writable_alias", default=None)  # None: every one


@contextmanager
def unwatched() -> Iterator[None]:
    """A block whose statements nobody in this context hears of, or keeps from happening."""
    listening: tuple[ContextVar[Any], ...] = (observer, watcher, writable_alias)
    tokens = [(variable, variable.set(None)) for variable in listening]
    try:
        yield
    finally:
        for variable, token in tokens:
            variable.reset(token)


class ForeignAliasError(Exception):
    """A view whose transaction must be all that it does wants to write to another database than that."""


def observe(
    execute: Callable[..., Any], sql: str, params: object, many: bool, context: dict[str, Any]
) -> Any:  # the shape of Django's execute_wrapper
    """Run a statement between those who watch it and those who hear of it.

    Raises ForeignAliasError, before it runs, for a write that could not be taken back with the rest: an atomic group's,
    or one under an Idempotency-Key.
    """
    watch, tell, alias = watcher.get(), observer.get(), writable_alias.get()
    tables, is_write = look_at(text := str(sql))
    connection = context["connection"]
    if alias and is_write and alias != connection.alias:
        raise ForeignAliasError(f"What must be taken back as a whole writes to {alias!r} only.")
    if watch:
        watch.begin(connection, text, params, is_write=is_write)
    is_done = False
    try:
        outcome = execute(sql, params, many, context)
        is_done = True
        return outcome
    finally:
        if is_write:
            note_write(context["cursor"], connection, tables)
        elif uncommitted.has_written(connection):  # Raw SQL may have committed it.
            uncommitted.tell_if_committed(connection)
        if tell:
            tell(tables, is_write)
        if watch:
            watch.end(is_write=is_write, is_done=is_done)


def note_write(cursor: Any, connection: BaseDatabaseWrapper, tables: frozenset[str]) -> None:
    """A statement that may have written these tables has run, or failed.

    One that returns rows SQLite commits when the last of them is read, so it is told when its cursor is closed, or
    thrown away; before that by the next statement, which may be too early.
    """
    driver = cursor.cursor
    has_rows = connection.vendor == "sqlite" and driver.description and not uncommitted.is_in_transaction(connection)
    if has_rows:
        uncommitted.tell_if_committed(connection)  # Of a statement before, whose rows have been read by now.
    uncommitted.note(connection, tables)
    if has_rows:
        finish = weakref.finalize(cursor, finish_write, connection, tables)
        vars(cursor)["close"] = partial(close_cursor, driver, finish)  # Not of ours: that would be a loop.
    else:
        uncommitted.tell_if_committed(connection)


def close_cursor(cursor: Any, finish: Callable[[], object]) -> None:
    """Close the driver's cursor, whose rows were the end of a statement that wrote."""
    try:
        cursor.close()
    finally:
        finish()


def finish_write(connection: BaseDatabaseWrapper, tables: frozenset[str]) -> None:
    """The last row of a statement that wrote these tables has been read."""
    uncommitted.note(connection, tables)
    uncommitted.tell_if_committed(connection)


def commit(connection: BaseDatabaseWrapper, original: Callable[[], None]) -> None:
    """COMMIT, unless somebody who watches this context keeps it from happening. No execute_wrapper sees it."""
    commit = partial(uncommitted.commit, connection, original)
    if watch := watcher.get():
        watch.commit(connection, commit)
    else:
        commit()


def rollback(connection: BaseDatabaseWrapper, original: Callable[[], None]) -> None:
    """ROLLBACK; nobody hears of what was written, unless the driver has committed it by itself."""
    uncommitted.tell_if_committed(connection)
    try:
        original()
    finally:
        uncommitted.forget(connection)


def close(connection: BaseDatabaseWrapper, original: Callable[[], None]) -> None:
    """Close a connection, or give it back to its pool, as whoever watches this context wants it."""
    uncommitted.tell_if_committed(connection)
    try:
        if watch := watcher.get():
            watch.close(connection, original)
        else:
            original()
    finally:
        uncommitted.forget(connection)


def set_autocommit(connection: Any, original: Callable[[bool], None], is_on: bool) -> None:
    """Switch autocommit on or off. SQLite and MySQL would commit what is open, by a COMMIT that nobody sees."""
    is_open = connection.vendor == "mysql" or getattr(connection.connection, "in_transaction", False)
    if is_on and is_open:
        connection._commit()
    original(is_on)


METHODS: dict[str, Callable[..., None]] = {
    "_commit": commit,
    "_rollback": rollback,
    "_close": close,
    "_set_autocommit": set_autocommit,
}  # what no execute_wrapper sees
HOOKED = "batchapi_hooked"  # of a connection: its methods are ours


def observe_connection(*, connection: BaseDatabaseWrapper, **_kwargs: object) -> None:
    """Hook into a connection, once; each time that it is opened.

    At index 0: appended inside somebody's `execute_wrapper` block it would be popped with theirs.
    """
    if observe not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, observe)
    if HOOKED not in vars(connection):
        vars(connection)[HOOKED] = True
        for name, method in METHODS.items():  # Some may be somebody else's by now, and wrapped as they are.
            vars(connection)[name] = partial(method, connection, getattr(connection, name))


def observe_all_connections() -> None:
    """Hook into the connections that were opened before this app was ready."""
    for connection in connections.all(initialized_only=True):
        observe_connection(connection=connection)
