"""An exception in; out, whether its reason may be gone the next time."""

from django.db import OperationalError

STATES = frozenset({"40001", "40P01"})  # serialization failure, deadlock (SQLSTATE class 40)


def is_transient(error: BaseException) -> bool:
    """Whether the database gave up a transaction that may well succeed when it is begun again."""
    cause = error.__cause__
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)  # psycopg 3, psycopg2
    return isinstance(error, OperationalError) and state in STATES
