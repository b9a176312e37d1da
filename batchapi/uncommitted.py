"""What each connection has written and not committed yet; told once it is committed, so that nobody keeps what it was.

Told after the commit and never before: whoever reads in between would keep the old rows as new ones. Told in time also
where nobody can tell whether a COMMIT came through.
"""

import logging
from collections.abc import Callable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

ATTRIBUTE = "batchapi_uncommitted"  # of a connection: the tables
OPEN = frozenset({1, 2, 3})  # psycopg: at work, in a transaction, in a failed one; neither idle (0) nor cut off (4)
IN_TRANSACTION = 1  # MySQL's SERVER_STATUS_IN_TRANS

logger = logging.getLogger("batchapi.uncommitted")

Receiver = Callable[["frozenset[str]"], None]
receivers: list[Receiver] = []  # of the tables that were written


def note(connection: BaseDatabaseWrapper, tables: frozenset[str]) -> None:
    """A statement that may have written these tables has run, or failed."""
    pending: set[str] = vars(connection).setdefault(ATTRIBUTE, set())
    pending |= tables


def has_written(connection: BaseDatabaseWrapper) -> bool:
    """Whether there is something to tell of."""
    return bool(vars(connection).get(ATTRIBUTE))


def tell_if_committed(connection: BaseDatabaseWrapper) -> None:
    """After a statement: tell of what was written, unless a transaction is open."""
    if has_written(connection) and not is_in_transaction(connection):
        tell(connection)


def tell(connection: BaseDatabaseWrapper) -> None:
    """Tell of everything that this connection has written."""
    if pending := vars(connection).pop(ATTRIBUTE, None):
        tell_of(frozenset(pending))


def tell_of(tables: frozenset[str]) -> None:
    """Tell every receiver. What goes wrong there never reaches whoever wrote: the commit has happened."""
    for receiver in receivers:
        try:
            receiver(tables)
        except Exception:
            logger.exception("Answers that were read from %s may be outdated.", ", ".join(sorted(tables)))


def forget(connection: BaseDatabaseWrapper) -> None:
    """It was rolled back."""
    vars(connection).pop(ATTRIBUTE, None)


def commit(connection: BaseDatabaseWrapper, original: Callable[[], None]) -> None:
    """COMMIT, and tell.

    Also if it fails: where the connection was cut, it may have come through all the same. What is still open then
    (SQLite was busy) may be committed by another try.
    """
    pending: set[str] = set(vars(connection).get(ATTRIBUTE, ()))
    try:
        original()
    except BaseException:
        tell(connection)
        if pending and is_in_transaction(connection):
            note(connection, frozenset(pending))
        raise
    tell(connection)


def is_ahead_of_commit(connection: BaseDatabaseWrapper) -> bool:
    """Whether what this connection does next is part of a transaction, though nothing may have begun it yet."""
    return connection.in_atomic_block or not connection.autocommit or is_in_transaction(connection)


def is_in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Whether what a connection has just written is not committed yet.

    The driver knows: raw SQL may begin and end transactions that Django hears nothing of, also inside `atomic`. One
    that was cut off has none, and nobody knows whether it had.
    """
    raw: Any = connection.connection
    if raw is None:
        return False
    try:
        if connection.vendor == "sqlite":
            return bool(raw.in_transaction)
        if connection.vendor == "postgresql":
            return raw.info.transaction_status in OPEN
    except connection.Database.Error:  # type: ignore[attr-defined]  # of the driver: somebody has closed it.
        return False
    is_open = connection.in_atomic_block or not connection.autocommit
    return is_open or bool(getattr(raw, "server_status", 0) & IN_TRANSACTION)
