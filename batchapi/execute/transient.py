"""An exception in; out, whether its reason may be gone the next time."""

from typing import Literal

from django.db import DatabaseError, InterfaceError, OperationalError

Fault = Literal["", "conflict", "transient"]  # "conflict": the database gave up a transaction, which may begin again

CONFLICTS = frozenset({"40001", "40P01"})  # SQLSTATE: serialization failure, deadlock
NOT_CONNECTED = frozenset({"57P01", "57P02", "57P03", "53300"})  # shut down, crashed, starting, too many connections
MYSQL_CONFLICT = 1213
MYSQL_PASSING = frozenset({1040, 1205, 2002, 2003, 2006, 2013})  # too many, lock wait, connection refused or lost
SQLITE_LOCKED = frozenset({5, 6})  # SQLITE_BUSY, SQLITE_LOCKED


def fault_of(error: BaseException) -> Fault:
    """What may be gone when one asks again: a conflict of transactions, a lost connection, a lock; else nothing."""
    cause = error.__cause__
    if not isinstance(error, DatabaseError | InterfaceError) or cause is None:
        return "transient" if isinstance(error, InterfaceError) else ""  # Django's own: "connection already closed"
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)  # psycopg 3, psycopg2
    number = cause.args[0] if cause.args and isinstance(cause.args[0], int) else None  # MySQL
    if state in CONFLICTS or number == MYSQL_CONFLICT:
        return "conflict"
    if isinstance(error, InterfaceError) or is_locked(cause) or number in MYSQL_PASSING:
        return "transient"
    return "transient" if isinstance(error, OperationalError) and is_disconnected(cause, state) else ""


def is_locked(cause: BaseException | None) -> bool:
    """Whether an SQLite file was locked for longer than one waits for it."""
    return getattr(cause, "sqlite_errorcode", 0) & 0xFF in SQLITE_LOCKED


def is_disconnected(cause: BaseException, state: str | None) -> bool:
    """Whether PostgreSQL is not to be reached, or was lost; psycopg knows no SQLSTATE then.

    Whoever has waited for a full pool in vain would only make the queue longer.
    """
    if state:
        return state.startswith("08") or state in NOT_CONNECTED
    return type(cause).__module__.startswith("psycopg") and type(cause).__name__ not in (
        "PoolTimeout",
        "TooManyRequests",
    )
