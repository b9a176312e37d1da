"""Database connections: left as the next sub-request would find them if it came alone, lent to lanes, given back."""

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from django.core import mail
from django.core.cache import caches
from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from batchapi.signals import lane_opened
from batchapi.statements import unwatched
from batchapi.uncommitted import is_in_transaction

logger = logging.getLogger("batchapi.connections")
MOST_VIEWS = 4096  # that are remembered
is_announced: ContextVar[bool] = ContextVar("batchapi_connections_announced", default=False)


class Connections:
    """The connections of this thread, and which of them somebody around the batch has in manual mode."""

    def __init__(self) -> None:
        self.manual = {
            connection.alias for connection in connections.all(initialized_only=True) if is_manual(connection)
        }

    def tidy_up(self) -> None:
        """Close what a view left in manual mode, its uncommitted work with it, and what is dead; Django opens it anew.

        Django does this between requests. Its own hook would also close what CONN_MAX_AGE no longer keeps.
        """
        for connection in connections.all(initialized_only=True):
            if connection.connection is None or connection.in_atomic_block or connection.alias in self.manual:
                continue
            if is_manual(connection):
                with suppress(Error):  # It may be dead as well.
                    connection.rollback()
                    connection.set_autocommit(connection.settings_dict["AUTOCOMMIT"])  # close() spares SQLite in memory
                connection.close()
            elif connection.errors_occurred and not connection.is_usable():
                connection.close()
            connection.errors_occurred = False


def is_manual(connection: BaseDatabaseWrapper) -> bool:
    """Whether somebody switched autocommit off, outside of any `atomic`."""
    is_open = connection.connection is not None and not connection.in_atomic_block
    return is_open and connection.autocommit != connection.settings_dict["AUTOCOMMIT"]


def is_callers(connection: BaseDatabaseWrapper) -> bool:
    """Whether somebody around the batch has a transaction open: nothing may run beside it."""
    if connection.in_atomic_block or is_manual(connection):
        return True
    return connection.autocommit and is_in_transaction(connection)  # by raw SQL


def give_back() -> None:
    """What Django does after a request: close connections that are too old, or were not left as they should be.

    While a project's tests run (Django makes an outbox for them), none is kept: the test database is about to go.
    """
    is_test = hasattr(mail, "outbox")
    for connection in connections.all(initialized_only=True):
        with suppress(Error):
            connection.close() if is_test else connection.close_if_unusable_or_obsolete()
    try:
        caches.close_all()
    except Exception as error:  # A cache that is away harms no answer.
        logger.error("A cache could not be closed.", exc_info=error)


def lend() -> dict[str, BaseDatabaseWrapper]:
    """On the caller's thread: its connections, for the first lane."""
    lent = {connection.alias: connection for connection in connections.all()}
    for connection in lent.values():
        connection.inc_thread_sharing()
    return lent


def take_back(lent: Mapping[str, BaseDatabaseWrapper]) -> None:
    """On the caller's thread: the first lane has ended."""
    for connection in lent.values():
        connection.dec_thread_sharing()


def disown(lent: Mapping[str, BaseDatabaseWrapper]) -> None:
    """On the caller's thread: the first lane did not come back. It keeps these connections, the caller gets others."""
    for alias in lent:
        del connections[alias]


asked: dict[object, frozenset[str]] = {}  # by view: the aliases that it has sent statements to


def note_asked(view: object, aliases: Iterable[str]) -> None:
    """Remember what a view asks, so that a lane is connected before it runs such a view."""
    known = asked.get(view, frozenset())
    if not known.issuperset(aliases) and (view in asked or len(asked) < MOST_VIEWS):
        asked[view] = known.union(aliases)


def likely_aliases(views: Iterable[object], lent: Mapping[str, BaseDatabaseWrapper]) -> set[str]:
    """What views are likely to ask: what they asked before, what the batch is connected to by now, and pools.

    A lane that took work first and then found no connection would answer for its view.
    """
    open_or_pooled = {
        alias
        for alias, connection in lent.items()
        if connection.connection is not None or connection.settings_dict["OPTIONS"].get("pool")
    }
    return open_or_pooled.union(*(asked.get(view, frozenset()) for view in views))


def connect(aliases: Iterable[str]) -> bool:
    """On a lane's thread: be connected before work begins, or know that there is no connection to be had.

    Every connection is announced, also one that was open already: the last batch may have left its own settings on it.
    """
    is_announced.set(True)
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None:
            announce(connection=connection)
    for alias in aliases:
        connection = connections[alias]
        if connection.connection is None and is_exhausted(connection):
            return False
        if not is_connected(connection):
            return False
    return True


def connect_first(aliases: Iterable[str]) -> None:
    """On the first lane's thread: connect the caller's connections. A view that needs one that fails will tell."""
    is_announced.set(True)
    for alias in aliases:
        is_connected(connections[alias])


def is_connected(connection: BaseDatabaseWrapper) -> bool:
    """Whether a connection is open now. Where a project's test forbids it, whoever really needs it will hear so."""
    try:
        connection.ensure_connection()
    except AssertionError:  # Django's DatabaseOperationForbidden
        return True
    except Error:
        return False
    return True


def announce(*, connection: BaseDatabaseWrapper, **_kwargs: object) -> None:
    """Tell of a connection that was just made for views that run beside the caller's thread.

    What receivers do to it is not the doing of a view that happens to be the first to need it.
    """
    if is_announced.get():
        with unwatched():
            lane_opened.send_robust(None, connection=connection)


def is_exhausted(connection: BaseDatabaseWrapper) -> bool:
    """Whether a pool has no connection left; to wait for one would be to wait for other batches."""
    stats = pool_stats(connection)
    return stats.get("pool_available") == 0 and stats.get("pool_size", 0) >= stats.get("pool_max", 0)


def is_waited_for() -> bool:
    """Whether others wait for a connection while this thread holds one."""
    held = [connection for connection in connections.all(initialized_only=True) if connection.connection is not None]
    return any(pool_stats(connection).get("requests_waiting", 0) for connection in held)


def pool_stats(connection: BaseDatabaseWrapper) -> dict[str, int]:
    """What the pool of a connection tells of itself; nothing without one."""
    pool: Any = getattr(connection, "pool", None)
    return pool.get_stats() if pool else {}
