"""Which tables a SQL statement reads or writes, seen on every connection of the process.

A statement's words are held against the names of the project's tables, so that a name in a comment or a string makes
us assume too much, never too little.
"""

import re
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import Any

from django.apps import apps
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

WORD = re.compile(r"\w+")
READS = re.compile(r"\s*(?:SELECT|EXPLAIN|PRAGMA|SHOW|SAVEPOINT|RELEASE|ROLLBACK|BEGIN|COMMIT|SET)\b", re.IGNORECASE)
LOCKS = re.compile(r"\bINTO\b", re.IGNORECASE)  # SELECT … INTO makes a table

LONG = 10_000  # Characters of a statement that is not worth remembering: a bulk insert with its rows in it.

Observer = Callable[["frozenset[str]", bool], None]  # tables, whether the statement writes them
observer: ContextVar[Observer | None] = ContextVar("batchapi_sql_observer", default=None)
writable_alias: ContextVar[str | None] = ContextVar("batchapi_writable_alias", default=None)  # None: every one


class ForeignAliasError(Exception):
    """A view in an atomic group wants to write to another database than the group's."""


def observe(
    execute: Callable[..., Any], sql: str, params: object, many: bool, context: dict[str, Any]
) -> Any:  # the shape of Django's execute_wrapper
    """Tell the observer of this context, if there is one, which tables a statement touched, after it ran.

    Raises ForeignAliasError, before it runs, for a write that an atomic group could not take back.
    """
    if (alias := writable_alias.get()) and alias != context["connection"].alias and touched(str(sql))[1]:
        raise ForeignAliasError(f"An atomic group writes to {alias!r} only.")
    try:
        return execute(sql, params, many, context)
    finally:
        if tell := observer.get():
            tell(*(touched(text) if len(text := str(sql)) < LONG else touched.__wrapped__(text)))


@lru_cache(maxsize=4096)
def touched(sql: str) -> tuple[frozenset[str], bool]:
    """The tables that a statement names, and whether it may write them.

    A writing statement that names no known table may write any, so it counts as writing all.
    """
    tables = known_tables().intersection(map(str.lower, WORD.findall(sql)))
    if READS.match(sql) and not LOCKS.search(sql):
        return tables, False
    return tables or known_tables(), True


@cache
def known_tables() -> frozenset[str]:
    """The tables of all models, with the ones that join many-to-many relations; lower-case."""
    models = apps.get_models(include_auto_created=True)
    return frozenset(word.lower() for model in models for word in WORD.findall(model._meta.db_table))


def observe_connection(*, connection: BaseDatabaseWrapper, **_kwargs: object) -> None:
    """Put the observer on a connection, once, outermost.

    At index 0: appended inside somebody's `execute_wrapper` block it would be popped with theirs.
    """
    if observe not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, observe)


def observe_all_connections() -> None:
    """Put the observer on the connections that were opened before this app was ready."""
    for connection in connections.all(initialized_only=True):
        observe_connection(connection=connection)
