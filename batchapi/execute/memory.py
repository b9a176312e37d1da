"""What was looked up once and holds for the rest of the batch: sessions, users, credentials.

A password hash takes half a second, so a batch must not repeat it. Each caller gets a copy of its own, as untouched as
the first one was. A look-up is forgotten when a statement writes one of the tables that it read; one that read no
table (a session in a cache, a directory server) is forgotten after each unsafe sub-request.
"""

import copy
from collections.abc import Callable, Hashable
from contextlib import suppress
from contextvars import ContextVar
from pickle import PicklingError
from typing import Any, NamedTuple, TypeVar

from batchapi import tags

Value = TypeVar("Value")
NO_COPY = (TypeError, NotImplementedError, RecursionError, copy.Error, PicklingError)  # A user that holds a lock, say.


class Kept(NamedTuple):
    value: Any
    tables: frozenset[str]


class Memory:
    """The look-ups of one batch."""

    def __init__(self) -> None:
        self.kept: dict[Hashable, Kept] = {}
        self.reading: list[set[str]] = []  # the tables of the look-ups that run right now

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
        if kept := self.kept.get(key):
            self.observe(kept.tables, is_write=False)
            value: Value = copy.deepcopy(kept.value)
            return value
        reading = set(tables)
        self.reading.append(reading)
        try:
            value = look_up()
        finally:
            self.reading.pop()
        if keep(value):
            with suppress(*NO_COPY):
                self.kept[key] = Kept(copy.deepcopy(value), frozenset(reading))
        return value

    def observe(self, tables: frozenset[str], is_write: bool) -> None:
        """Take note of a SQL statement: of the tables that running look-ups read, or of a write."""
        if is_write:
            self.kept = {key: kept for key, kept in self.kept.items() if not kept.tables & tables}
        else:
            for reading in self.reading:
                reading |= tables

    def forget_untracked(self) -> None:
        """Forget what no SQL statement can outdate."""
        self.kept = {key: kept for key, kept in self.kept.items() if kept.tables}

    def enter(self) -> None:
        """Become the memory that this context's SQL and authenticators know."""
        current.set(self)
        tags.observer.set(self.observe)


current: ContextVar[Memory | None] = ContextVar("batchapi_memory", default=None)
