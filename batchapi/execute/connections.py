"""Leaves the database connections as the next sub-request would find them if it came alone."""

from contextlib import suppress

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper


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
