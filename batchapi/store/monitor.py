"""An SQLite file in, a number out that changes whenever anybody commits to it, in any process."""

import os
import sqlite3
import threading
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

numbers = count(1)  # Of all monitors of this process: no number ever stands for two states.
abandoned: list[sqlite3.Connection] = []  # The parent's. Closed here, they could end what the parent has locked.


class Monitor:
    """A connection that reads nothing but SQLite's `data_version`, which other connections' commits change.

    It never opens the file in another way: closing that would drop the locks of all of this process's connections.
    """

    def __init__(self, name: str) -> None:
        """`name` is a path or an SQLite URI."""
        self.uri = read_only(name)
        self.lock = threading.Lock()
        self.connection: sqlite3.Connection | None = None
        self.path = unquote(urlsplit(self.uri).path)
        self.file: tuple[int, int] | None = None  # device and inode
        self.seen: int | None = None
        self.number = 0

    def version(self) -> int:
        """A number above 0: the same as before if nobody has committed since, otherwise one that never was.

        Never waits for a writer. If the file cannot be read now, or is not the one that it was, it is a new number.
        """
        with self.lock:
            seen = None
            with suppress(sqlite3.Error, OSError):
                seen = self.look()
            if seen is None or seen != self.seen:
                self.number = next(numbers)
            self.seen = seen
            return self.number

    def look(self) -> int | None:
        """SQLite's version; None if the file is another one by now, which is opened next time.

        While it is open its inode is not given to another file. Raises sqlite3.Error or OSError.
        """
        if self.connection is None:
            self.open()
        assert self.connection is not None
        version = int(self.connection.execute("PRAGMA data_version").fetchone()[0])
        if identify(self.path) == self.file:
            return version
        self.drop()
        return None

    def open(self) -> None:
        """Connect. What was seen over an earlier connection says nothing about this one.

        The file is looked at before: if another takes its place meanwhile, `look` sees that they differ.
        """
        self.file, self.seen = identify(self.path), None
        self.connection = sqlite3.connect(self.uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)

    def drop(self) -> None:
        """Close the connection."""
        if self.connection is not None:
            with closing(self.connection):
                self.connection = None

    def abandon(self) -> None:
        """In a child that was just forked: never touch the parent's connection."""
        if self.connection is not None:
            abandoned.append(self.connection)
        self.connection, self.lock = None, threading.Lock()


def identify(path: str) -> tuple[int, int] | None:
    """The device and inode of a file; None if there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def read_only(name: str) -> str:
    """The URI by which SQLite opens a file without creating or writing it."""
    if not name.startswith("file:"):
        return f"{Path(name).absolute().as_uri()}?mode=ro"
    path, _, query = name.partition("?")
    options = [(option, value) for option, value in parse_qsl(query) if option != "mode"]
    return f"{path}?{urlencode([*options, ('mode', 'ro')])}"
