"""A real PostgreSQL of one's own that can be killed, and started again on the same port and the same rows."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from tests.servers import NoServer, create_cluster, free_port, serve_cluster

# What was committed must outlive the process, though not the machine; so every COMMIT is written, and none synced.
SETTINGS = ("fsync=off", "full_page_writes=off", "max_connections=150", "deadlock_timeout=200ms")
STARTS = 20  # tries; processes of the one that was killed may still hold its memory


class Postgres:
    """Started and stopped by hand. `ask` is for whoever does the harm, or looks what came of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.stack = folder, free_port(), ExitStack()

    def url(self, database: str = "postgres", *, port: int | None = None) -> str:
        """For DATABASE_URL; with a port, of a relay to it."""
        return f"postgresql://postgres@127.0.0.1:{port or self.port}/{database}"

    def start(self) -> None:
        """Be ready for connections."""
        for _ in range(STARTS):
            process = self.stack.enter_context(serve_cluster(self.folder, self.port, *SETTINGS))
            while process.poll() is None:  # The pid file of one that was killed says "ready" too.
                with suppress(psycopg.OperationalError):
                    self.ask("SELECT 1")
                    return
                time.sleep(0.02)
        raise NoServer("PostgreSQL does not start again.")

    def ask(self, sql: str, *params: Any, database: str = "postgres") -> list[Any]:
        """The rows of one statement, which commits itself; [] where it has none."""
        with psycopg.connect(self.url(database), autocommit=True, application_name="harness") as connection:
            cursor = connection.execute(sql, params)
            return cursor.fetchall() if cursor.description else []

    def kill(self) -> None:
        """End the server and all of its processes, as the kernel would when memory runs out."""
        postmaster = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        children = [pid for (pid,) in self.ask("SELECT pid FROM pg_stat_activity")]
        for pid in (postmaster, *children):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.stack.close()

    def terminate(self, database: str) -> None:
        """End every connection to a database."""
        sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        self.ask(sql, database)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """One for the length of a block."""
    with tempfile.TemporaryDirectory(prefix="batchapi-postgres-") as folder:
        one = Postgres(Path(folder))
        create_cluster(one.folder)
        try:
            one.start()
            yield one
        finally:
            one.stack.close()
