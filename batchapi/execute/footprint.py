"""What an answer was made from, as far as anybody can see: tables that were read, and what speaks against keeping it.

Written by the thread that runs the view. What `Memory` looks up (session, user, credentials) leaves no trace here: it
is part of what a kept answer is found by.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from django.apps import apps
from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from batchapi.reading import binds_time, read_tables
from batchapi.tags import words_of


class Footprint:
    """The trace of one attempt."""

    def __init__(self, *, tells_who: bool = False) -> None:
        self.tells_who = tells_who  # the gate is to note who has passed
        self.tables: set[str] = set()
        self.aliases: set[str] = set()
        self.why_not = ""  # a word: why the answer cannot be traced to these tables
        self.has_touched_session = False
        self.varies_by_cookie = False  # the view itself says so
        self.has_passed = False  # the checks before its handler
        self.who = ""  # has passed them, as a seal
        self.user = ""  # the primary key
        self.look_ups = 0  # that are running

    @contextmanager
    def looking_up(self) -> Iterator[None]:
        """A block that leaves no trace."""
        self.look_ups += 1
        try:
            yield
        finally:
            self.look_ups -= 1

    def note(self, connection: BaseDatabaseWrapper, sql: str, params: object) -> None:
        """A statement is about to read."""
        if self.look_ups:
            return
        reading = read_tables(sql)
        self.tables |= reading.tables
        if reading.tables:
            self.aliases.add(connection.alias)
        self.why_not = self.why_not or reading.why_not or ("time" if binds_time(params) else "")

    def objection(self) -> str:
        """The word for why this cannot be kept; "" if it can."""
        if self.why_not:
            return self.why_not
        if self.has_touched_session:
            return "session"
        if not self.tables:
            return "no-query"
        return "" if all(self.is_where_writes_go(table) for table in self.tables) else "alias"

    def is_where_writes_go(self, table: str) -> bool:
        """Whether a table was read where it is written: a copy elsewhere may lag behind."""
        model = models_by_table().get(table)
        return model is not None and self.aliases == {router.db_for_write(model)}


@cache
def models_by_table() -> dict[str, type[Model]]:
    """The model of each table, by the words of its name as `tags` has them."""
    return {word: model for model in apps.get_models(include_auto_created=True) for word in words_of(model)}
