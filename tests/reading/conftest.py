"""Databases that tell the truth: SQLite's authorizer and PostgreSQL's planner."""

from collections.abc import Iterator

import psycopg
import pytest
from django.db.backends.base.base import BaseDatabaseWrapper
from pytest_django import DjangoDbBlocker

from tests.reading.truth import database


@pytest.fixture(scope="session")
def sqlite(django_db_blocker: DjangoDbBlocker) -> Iterator[BaseDatabaseWrapper]:
    with django_db_blocker.unblock(), database("sqlite://:memory:") as connection:
        yield connection


@pytest.fixture(scope="session")
def postgresql(postgres_url: str, django_db_blocker: DjangoDbBlocker) -> Iterator[BaseDatabaseWrapper]:
    """A database of our own: others migrate the one that the URL names."""
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute("CREATE DATABASE reading")
    own_url = postgres_url.rpartition("/")[0] + "/reading"
    with django_db_blocker.unblock(), database(own_url) as connection:
        yield connection
