"""A database whose own constraint takes a session's messages with it, for the length of a `with` block."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

ORDERED = "DEFERRABLE INITIALLY DEFERRED"
CASCADING = f"ON DELETE CASCADE {ORDERED}"
OF_POSTGRESQL = """
    ALTER TABLE chat_message DROP CONSTRAINT {name};
    ALTER TABLE chat_message ADD CONSTRAINT {name}
        FOREIGN KEY (session_id) REFERENCES chat_session (id) {words}"""


@contextmanager
def cascading() -> Iterator[None]:
    """Django leaves cascades to Python; some projects do not. The table of messages has to be empty."""
    alter(ORDERED, CASCADING)
    try:
        yield
    finally:
        alter(CASCADING, ORDERED)


def alter(old: str, new: str) -> None:
    """Put other words to the constraint."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT conname FROM pg_constraint WHERE conrelid = 'chat_message'::regclass AND contype = 'f'"
            )
            [(name,)] = cursor.fetchall()
            cursor.execute(OF_POSTGRESQL.format(name=name, words=new))
        else:  # SQLite has no way to alter a constraint.
            cursor.execute("SELECT sql FROM sqlite_master WHERE tbl_name = 'chat_message' AND sql IS NOT NULL")
            statements = [sql.replace(old, new) for (sql,) in cursor.fetchall()]
            cursor.execute("DROP TABLE chat_message")
            for sql in statements:
                cursor.execute(sql)
