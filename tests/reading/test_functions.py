"""Every function that Django writes is sorted: its value follows from its arguments, or it does not."""

import inspect
import re
import sqlite3
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages
from types import ModuleType
from typing import Any

import django.contrib.postgres
import django.db.models
import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.sqlite3 import _functions
from django.db.models import Func

from batchapi.reading.words import PURE

NOT_PURE = {"random", "rand", "gen_random_uuid", "uuidv4", "uuidv7", "uuid_v4", "uuid_v7"}
NO_CALLS = {"collate"}  # an operator
SKIPPED = re.compile(r"django\.contrib\.postgres\.(?:jinja2|migrations|templates|apps)")
CALLED = re.compile(r"(?<![)\w])([A-Za-z_]\w*)\(")


def modules() -> Iterator[ModuleType]:
    for package in (django.contrib.postgres, django.db.models):
        for found in walk_packages(package.__path__, f"{package.__name__}."):
            if not SKIPPED.match(found.name):
                yield import_module(found.name)


def functions() -> set[str]:
    """The names of all `Func` classes, and whatever their own `as_sql`, `as_sqlite` and `as_postgresql` name."""
    found: set[str] = set()
    classes = {one for module in modules() for _, one in inspect.getmembers(module, inspect.isclass)}
    for one in [one for one in classes if issubclass(one, Func)]:
        found.add(str(one.function or ""))
        found |= set(CALLED.findall(one.template))
        for name in ("as_sqlite", "as_postgresql"):
            if name in vars(one):
                found |= set(re.findall(r'function="(\w+)"', inspect.getsource(vars(one)[name])))
    return {name.lower() for name in found if name} - NO_CALLS


@pytest.mark.django_db
def test_each_function_of_djangos_is_pure_or_known_not_to_be() -> None:
    """A new one of a new Django shows up here: sort it into `PURE`, or above."""
    assert functions() - PURE - NOT_PURE == set()
    assert {"lower", "row_number", "array_agg", "to_tsvector", "random", "gen_random_uuid"} <= functions()


def test_no_function_is_both() -> None:
    assert not PURE & NOT_PURE


class Registered(sqlite3.Connection):
    """Notes what is registered, on a real connection."""

    pure: set[str]
    other: set[str]

    def create_function(self, name: str, *args: Any, **options: Any) -> None:
        (self.pure if options.get("deterministic") else self.other).add(name.lower())
        super().create_function(name, *args, **options)

    def create_aggregate(self, name: str, *args: Any) -> None:
        self.pure.add(name.lower())
        super().create_aggregate(name, *args)


def test_what_django_registers_on_sqlite_is_pure_where_it_says_so() -> None:
    connection = sqlite3.connect(":memory:", factory=Registered)
    connection.pure, connection.other = set(), set()
    _functions.register(connection)
    connection.close()
    assert connection.pure - NOT_PURE <= PURE
    assert connection.other <= NOT_PURE


def test_nothing_that_postgresql_calls_volatile_is_pure(
    postgresql: BaseDatabaseWrapper, django_db_blocker: Any
) -> None:
    """Nor what takes no arguments and is no constant there, but for an object or array without a member."""
    with django_db_blocker.unblock(), postgresql.cursor() as cursor:
        cursor.execute("SELECT DISTINCT proname FROM pg_proc WHERE provolatile = 'v' AND prokind = 'f'")
        volatile = {name for (name,) in cursor.fetchall()}
        cursor.execute(
            "SELECT DISTINCT proname FROM pg_proc WHERE provolatile = 's' AND pronargs = 0 AND prokind = 'f'"
        )
        moving = {name for (name,) in cursor.fetchall()}
    assert {"random", "nextval", "clock_timestamp"} <= volatile
    assert {"now", "current_schema"} <= moving
    assert (volatile | moving) & PURE <= {
        f"{kind}_build_{what}" for kind in ("json", "jsonb") for what in ("array", "object")
    }
