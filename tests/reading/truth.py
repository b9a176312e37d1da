"""A SQLite and a PostgreSQL with the tests' tables in them, and with views, that tell what a statement really reads."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dj_database_url
from django.apps import apps
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler

# Views on a table that no model has. Their names could pass for a column, an alias, a table or a word of SQL.
VIEWS = ("title", "username", '"x"', '"offset"', '"for"', '"only"', '"Auth_User"')
NOT_ON_SQLITE = '"Auth_User"'  # It tells no upper from lower case.
HIDDEN = "hidden"


@contextmanager
def database(url: str) -> Iterator[BaseDatabaseWrapper]:
    """A connection to a database in which all models have their tables."""
    handler = ConnectionHandler({"default": dict(dj_database_url.parse(url))})
    connection = handler["default"]
    with connection.schema_editor() as editor:
        for model in apps.get_models():
            if model._meta.managed and not model._meta.proxy:
                editor.create_model(model)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {HIDDEN} (id integer, title varchar(9), username varchar(9), owner_id integer)")
        for view in VIEWS:
            if connection.vendor != "sqlite" or view != NOT_ON_SQLITE:
                cursor.execute(f"CREATE VIEW {view} AS SELECT * FROM {HIDDEN}")
    try:
        yield connection
    finally:
        connection.close()


def truth(connection: BaseDatabaseWrapper, sql: str, params: Any) -> tuple[set[str], set[str]]:
    """The tables that a statement reads and the functions that it calls, as the database has it.

    PostgreSQL tells no functions, and no table that it knows to have no rows for us.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            return asked_for(connection.connection, lambda: cursor.execute(sql, params))
        cursor.execute(f"EXPLAIN (FORMAT JSON, VERBOSE) {sql}", params)
        plan = cursor.fetchone()[0]
    return scanned(json.loads(plan) if isinstance(plan, str) else plan), set()


def asked_for(connection: sqlite3.Connection, run: Any) -> tuple[set[str], set[str]]:
    tables: set[str] = set()
    functions: set[str] = set()

    def authorize(action: int, first: str | None, second: str | None, *_where: object) -> int:
        if action == sqlite3.SQLITE_READ and first:
            tables.add(first.lower())
        if action == sqlite3.SQLITE_FUNCTION and second:
            functions.add(second.lower())
        return sqlite3.SQLITE_OK

    connection.set_authorizer(authorize)
    try:
        run()
    finally:
        connection.set_authorizer(None)
    named = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return tables & named, functions  # without the names of WITH


def scanned(plan: Any) -> set[str]:
    """The relations of a plan, wherever they stand in it."""
    if isinstance(plan, list):
        return set[str]().union(*map(scanned, plan))
    if isinstance(plan, dict):
        return scanned(list(plan.values())) | ({plan["Relation Name"]} if "Relation Name" in plan else set())
    return set()
