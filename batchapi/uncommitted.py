"""What each connection has written and not committed yet; told once it is committed, so that nobody keeps what it was.

Told after the commit and never before: whoever reads in between would keep the old rows as new ones. Told in time also
where nobody can tell whether a COMMIT came through.
"""

from collections.abc import Callable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

ATTRIBUTE = "batchapi_uncommitted"  # of a connection: the tables
IDLE = 0  # psycopg's transaction status outside of any transaction
IN_TRANSACTION = 1  # MySQL's SERVER_STATUS_IN_TRANS

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
        for receiver in receivers:
            receiver(frozenset(pending))


def forget(connection: BaseDatabaseWrapper) -> None:
    """It was rolled back."""
    vars(connection).pop(ATTRIBUTE, None)


def is_in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Whether what a connection writes now is not committed yet; also in a transaction that raw SQL has begun.

    SQLite itself knows best: with autocommit off, an `atomic` that comes before any write is a savepoint outside of
    any transaction, and to release that is to commit.
    """
    if connection.vendor == "sqlite":
        return has_begun(connection)
    return connection.in_atomic_block or not connection.autocommit or has_begun(connection)


def has_begun(connection: BaseDatabaseWrapper) -> bool:
    """Whether the database says that a transaction is open, whoever began it."""
    raw: Any = connection.connection
    if raw is None:
        return False
    if connection.vendor == "sqlite":
        return bool(raw.in_transaction)
    if connection.vendor == "postgresql":
        return bool(raw.info.transaction_status != IDLE)
    return bool(getattr(raw, "server_status", 0) & IN_TRANSACTION)
