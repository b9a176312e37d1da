"""Alice and Bob, logged in; a stage for processes that die. Nothing has happened yet. Which tests are PostgreSQL's."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.test import Client

from tests.factories import UserFactory
from tests.idempotency.stage import Stage, stage_on
from tests.idempotency.views import CALLS, OUTCOMES
from tests.rerun import IS_RERUN
from tests.serving.server import postgres_database, sqlite_file

collect_ignore = [] if connection.vendor == "postgresql" else ["test_lost_commit.py"]
if IS_RERUN:
    collect_ignore += ["test_postgresql.py", "test_death.py", "test_stopped.py"]


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


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def the_stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    if request.param == "sqlite":
        with sqlite_file() as url, stage_on(url) as stage:
            yield stage
    else:
        with postgres_database(request.getfixturevalue("postgres_url")) as url, stage_on(url) as stage:
            yield stage


@pytest.fixture
def stage(the_stage: Stage) -> Stage:
    the_stage.reset()
    return the_stage
