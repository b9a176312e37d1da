"""Alice, bob and somebody anonymous, each with a client that sends JSON."""

import pytest
from django.contrib.auth.models import User
from django.core.cache import caches
from django.db import connection
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from tests.factories import TokenFactory, UserFactory

# SQLite has one writer and so no races; on PostgreSQL we are inside the run that test_postgresql.py started.
collect_ignore = ["test_postgresql.py" if connection.vendor == "postgresql" else "test_races.py"]


class JsonClient(APIClient):
    default_format = "json"


@pytest.fixture(autouse=True)
def _the_project_and_nothing_remembered(settings: Settings) -> None:
    settings.ROOT_URLCONF = "project.urls"
    for cache in caches.all(initialized_only=True):
        cache.clear()


@pytest.fixture
def alice(db: None) -> User:
    return UserFactory(username="alice")


@pytest.fixture
def bob(db: None) -> User:
    return UserFactory(username="bob")


@pytest.fixture
def as_alice(alice: User) -> JsonClient:
    return client_of(alice)


@pytest.fixture
def as_bob(bob: User) -> JsonClient:
    return client_of(bob)


@pytest.fixture
def anonymous(db: None) -> JsonClient:
    return JsonClient()


def client_of(user: User) -> JsonClient:
    client = JsonClient(raise_request_exception=False)  # An exception has to show as the 500 that it would be.
    client.credentials(HTTP_AUTHORIZATION=f"Token {TokenFactory(user=user).key}")
    return client
