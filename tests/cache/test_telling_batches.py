"""What a batch writes is told of as its transactions end, in one round trip for each."""

from collections.abc import Callable, Iterator

import pytest
import redis
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.test import Client
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from batchapi.store import get_store
from tests.cache.asking import ask
from tests.cache.conftest import caching
from tests.cache.telling import GROUPS, USERS, Told
from tests.cache.world import execute
from tests.factories import SessionFactory

pytestmark = [pytest.mark.django_db(transaction=True)]


class Write(APIView):
    """Writes two rows, and fails if it is told to."""

    authentication_classes = permission_classes = ()

    def post(self, request: Request) -> Response:
        Group.objects.create(name="a")
        User.objects.create(username="b")
        if request.data.get("fails"):
            raise RuntimeError("boom")
        return Response(connection.in_atomic_block)


urlpatterns = [path("api/write/", Write.as_view()), path("api/batch/", include("batchapi.urls"))]


@pytest.mark.parametrize("is_atomic", [True, False], ids=["ATOMIC_REQUESTS", "autocommit"])
@pytest.mark.urls(__name__)
def test_a_view_tells_as_its_transactions_do(told: Told, is_atomic: bool) -> None:
    connection.settings_dict["ATOMIC_REQUESTS"] = is_atomic
    try:
        write = {"method": "POST", "url": "/api/write/"}
        [record] = ask(write)
        assert record["body"] is is_atomic
        assert told == ([GROUPS | USERS] if is_atomic else [GROUPS, USERS])
        told.clear()
        Group.objects.all().delete()
        User.objects.all().delete()
        told.clear()
        [record] = ask({**write, "body": {"fails": True}})
        assert record["status"] == 500
        assert told == ([] if is_atomic else [GROUPS, USERS])
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False


@pytest.mark.urls(__name__)
def test_an_atomic_group_is_told_of_as_a_whole(told: Told) -> None:
    payload = {"requests": [{"method": "POST", "url": "/api/write/", "atomicityGroup": "g"}]}
    response = Client().post("/api/batch/", payload, content_type="application/json")
    assert response.json()["responses"][0]["status"] == 200, response.content
    assert told == [GROUPS | USERS]


@pytest.fixture
def client_of_redis(request: pytest.FixtureRequest, transactional_db: None) -> Iterator[redis.Redis]:
    """Caching is on, on Redis; the client is for counting."""
    with caching("redis", request), redis.Redis.from_url(request.getfixturevalue("redis_url")) as client:
        store = get_store("default", 100)
        assert store is not None
        store.renew()
        yield client


def trips(client: redis.Redis, do: Callable[[], object]) -> int:
    """How often Redis was sent something that moves generations, meanwhile."""
    client.config_resetstat()
    do()
    found = client.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): stats["calls"] for name, stats in found.items()}
    return int(calls.get("exec", 0) + calls.get("hset", 0))


def two_tables_in_one_transaction() -> None:
    with transaction.atomic():
        Group.objects.create(name="a")
        Group.objects.update(name="b")
        SessionFactory()


def nothing_but_reading() -> None:
    with transaction.atomic():
        assert not Group.objects.exists()


def a_rollback() -> None:
    with transaction.atomic():
        Group.objects.create(name="a")
        transaction.set_rollback(True)


@pytest.mark.parametrize(
    ("do", "expected"),
    [
        (two_tables_in_one_transaction, 1),
        (lambda: Group.objects.create(name="a"), 1),
        (lambda: Group.objects.bulk_create([Group(name="a"), Group(name="b")]), 1),
        (lambda: Group.objects.update(name="c"), 1),
        (lambda: execute("CREATE TEMPORARY TABLE scratch (n int)"), 1),
        (nothing_but_reading, 0),
        (a_rollback, 0),
    ],
)
def test_a_transaction_that_wrote_costs_one_round_trip(
    client_of_redis: redis.Redis, do: Callable[[], object], expected: int
) -> None:
    assert trips(client_of_redis, do) == expected
