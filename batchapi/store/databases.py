"""A database alias in, the SQLite file behind it out."""

from django.db import connections
from django.db.backends.sqlite3.base import DatabaseWrapper


def is_in_memory(alias: str) -> bool:
    """Whether this is an SQLite database that only this process, or this connection, can see."""
    connection = connections[alias]
    return isinstance(connection, DatabaseWrapper) and connection.is_in_memory_db()


def sqlite_file(alias: str) -> str | None:
    """The name of an SQLite file as Django opens it, a path or a URI; None if the database is anything else."""
    connection = connections[alias]
    if not isinstance(connection, DatabaseWrapper) or connection.is_in_memory_db():
        return None
    return str(connection.settings_dict["NAME"])
