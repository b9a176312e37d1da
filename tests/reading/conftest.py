"""Databases that tell the truth: SQLite's authorizer and PostgreSQL's planner."""

from collections.abc import Iterator

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
    with django_db_blocker.unblock(), database(postgres_url) as connection:
        yield connection
