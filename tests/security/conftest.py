"""Alice and a clean slate for each test."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from tests.factories import UserFactory
from tests.security.views import CALLS
from tests.servers import NoServer
from tests.store.server import Server, server


@pytest.fixture(autouse=True)
def _nothing_called() -> None:
    CALLS.clear()
    cache.clear()


@pytest.fixture
def alice(db: None) -> User:
    return UserFactory(username="alice")


@pytest.fixture
def bob(db: None) -> User:
    return UserFactory(username="bob")


@pytest.fixture
def browser(alice: User) -> Client:
    """Alice's browser, which is logged in and whose CSRF token is checked."""
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(alice)
    return client


@pytest.fixture
def lone_server() -> Iterator[Server]:
    """A Redis that the test may do harm to."""
    try:
        with server() as one:
            yield one
    except NoServer as missing:
        pytest.skip(str(missing))
