"""Alice and Bob, logged in; nothing has happened yet."""

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from tests.factories import UserFactory
from tests.idempotency.views import CALLS, OUTCOMES


@pytest.fixture(autouse=True)
def _nothing_happened() -> None:
    CALLS.clear()
    OUTCOMES.clear()
    cache.clear()


@pytest.fixture
def alice(request: pytest.FixtureRequest) -> User:
    request.getfixturevalue("transactional_db" if request.node.get_closest_marker("django_db") else "db")
    return UserFactory(username="alice")


@pytest.fixture
def client(alice: User) -> Client:
    return logged_in(alice)


@pytest.fixture
def bob(alice: User) -> Client:
    return logged_in(UserFactory(username="bob"))


def logged_in(user: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client
