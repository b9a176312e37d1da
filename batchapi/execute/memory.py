"""What was looked up once and holds for the rest of the batch: sessions, users, credentials.

A password hash takes half a second, so a batch must not repeat it, nor begin it on all lanes at once: one look-up runs
at a time. Each caller gets a copy of its own, as untouched as the first one was. A look-up is forgotten when a
statement writes one of the tables that it read; one that read no table (a session in a cache, a directory server) is
forgotten after each unsafe sub-request.
"""

import copy
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from pickle import PicklingError
from threading import RLock, get_ident
from typing import Any, NamedTuple, TypeVar

from batchapi import statements
from batchapi.execute import attempt

Value = TypeVar("Value")
Checkpoint = Callable[[], Callable[[], None]]  # Remembers what a rollback of the database does not take back.
NO_COPY = (TypeError, NotImplementedError, RecursionError, copy.Error, PicklingError)  # A user that holds a lock, say.


class Kept(NamedTuple):
    value: Any
    tables: frozenset[str]


class Memory:
    """The look-ups of one batch."""

    def __init__(self) -> None:
        self.kept: dict[Hashable, Kept] = {}
        self.lock = RLock()  # held while a look-up runs; one may be inside another
        self.reading: list[set[str]] = []  # the tables of the look-ups that run right now
        self.reader = 0  # the thread that they run on
        self.writes = 0  # statements so far that wrote something
        self.user: Any = None  # the first one whom a view authenticated

    def recall(
        self,
        key: Hashable,
        look_up: Callable[[], Value],
        *,
        keep: Callable[[Value], bool],
        tables: frozenset[str] = frozenset(),
    ) -> Value:
        """The value of a look-up, run again only if it is not known; kept if `keep(value)`.

        `tables` names tables that it depends on besides those that it is seen to read.
        """
        with self.turn():
            if kept := self.kept.get(key):
                self.observe(kept.tables, is_write=False)
                value: Value = copy.deepcopy(kept.value)
                return value
            reading, writes = set(tables), self.writes
            self.reading.append(reading)
            try:
                with leaving_no_trace():
                    value = look_up()
            finally:
                self.reading.pop()
            if keep(value) and writes == self.writes:
                with suppress(*NO_COPY):
                    self.kept[key] = Kept(copy.deepcopy(value), frozenset(reading))
            return value

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The block in which a look-up runs alone. Raises AttemptOver for one that waited until its time was over."""
        if not self.lock.acquire(timeout=attempt.this().remaining()):
            raise attempt.AttemptOver
        try:
            self.reader = get_ident()
            yield
        finally:
            self.lock.release()

    def observe(self, tables: frozenset[str], is_write: bool) -> None:
        """Take note of a SQL statement: of the tables that running look-ups read, or of a write."""
        if is_write:
            attempt.this().tables |= tables
            self.outdate(tables)
        elif self.reading and self.reader == get_ident():
            for reading in self.reading:
                reading |= tables

    def outdate(self, tables: frozenset[str]) -> None:
        """Forget what was read from some tables; also, as they are committed, what others have read meanwhile."""
        if tables:
            self.writes += 1
            self.drop(lambda kept: bool(kept.tables & tables))

    def forget_untracked(self) -> None:
        """Forget what no SQL statement can outdate."""
        self.writes += 1
        self.drop(lambda kept: not kept.tables)

    def drop(self, is_outdated: Callable[[Kept], bool]) -> None:
        """Forget some of what is kept, without waiting for a look-up that runs."""
        for key, kept in list(self.kept.items()):
            if is_outdated(kept):
                self.kept.pop(key, None)

    def note_user(self, user: Any) -> None:
        """A view has authenticated somebody."""
        if self.user is None and getattr(user, "pk", None) is not None:
            self.user = user

    def enter(self) -> None:
        """Become the memory that this context's SQL and authenticators know."""
        current.set(self)
        statements.observer.set(self.observe)


def leaving_no_trace() -> AbstractContextManager[None]:
    """A block whose SQL is not noted as what an answer was made from."""
    footprint = attempt.this().footprint
    return footprint.looking_up() if footprint else nullcontext()


current: ContextVar[Memory | None] = ContextVar("batchapi_memory", default=None)
