"""Throttles on lanes: of a hundred sub-requests the first ten in effective order pass, and each of them counts once."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import pytest
from django.core.cache import cache, caches
from django.test import override_settings
from django.urls import include, path
from rest_framework.authtoken.views import ObtainAuthToken
from rest_framework.decorators import action, api_view, authentication_classes, permission_classes, throttle_classes
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.throttling import AnonRateThrottle, ScopedRateThrottle, SimpleRateThrottle
from rest_framework.viewsets import ViewSet

from chat.models import Session
from project.stores import read_caches
from tests.execute import lanes
from tests.execute.lanes import (
    RAN,
    Open,
    Slow,
    answers,
    get,
    names,
    pause,
    post,
    runs,
    statuses,
    threads,
    with_settings,
)
from tests.factories import PASSWORD, UserFactory

RATE = 10


class Throttle(SimpleRateThrottle):
    """Everybody together."""

    rate = f"{RATE}/hour"
    scope = "all"

    def get_cache_key(self, request: Request, view: Any) -> str:
        return "all"


class Scoped(ScopedRateThrottle):
    THROTTLE_RATES = {"some": f"{RATE}/hour"}  # noqa: RUF012 # a dict in the class body is what DRF reads


class PerAddress(AnonRateThrottle):
    rate = f"{RATE}/hour"


class Limited(Slow):
    throttle_classes = (Throttle,)


class Free(Slow):
    """Says itself by which throttles."""

    def get_throttles(self) -> list[Any]:
        return [PerAddress()]


class Some(Slow):
    throttle_classes = (Scoped,)
    throttle_scope = "some"


class Both(Slow):
    throttle_classes = (Throttle, PerAddress)


class Things(ViewSet):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @action(detail=True, throttle_classes=[Throttle])
    def act(self, request: Request, pk: str) -> Response:
        return Slow().get(request, pk)


@api_view(["GET"])
@authentication_classes([])
@permission_classes([AllowAny])
@throttle_classes([Throttle])
def function(request: Request, name: str) -> Response:
    return Slow().get(request, name)


def decorated(view: Callable[..., Any]) -> Callable[..., Any]:
    """Hides what is behind it."""

    @wraps(view)
    def call(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return call


class LogIn(ObtainAuthToken):
    throttle_classes = (Throttle,)


class Writes(Open):
    """A read that is none."""

    def get(self, request: Request, name: str) -> Response:
        RAN.append((name, 0))
        pause(request)
        Session.objects.update_or_create(owner=UserFactory(username="writer"), key=name)
        return Response(name)


router = SimpleRouter()
router.register("api/things", Things, basename="thing")
urlpatterns = [
    path("api/limited/<str:name>/", Limited.as_view()),
    path("api/free/<str:name>/", Free.as_view()),
    path("api/some/<str:name>/", Some.as_view()),
    path("api/both/<str:name>/", Both.as_view()),
    path("api/function/<str:name>/", function),
    path("api/decorated/<str:name>/", decorated(Limited.as_view())),
    path("api/given/<str:name>/", Slow.as_view(throttle_classes=[Throttle])),
    path("api/login/", LogIn.as_view()),
    path("api/writes/<str:name>/", Writes.as_view()),
    *lanes.urlpatterns,
    path("", include(router.urls)),
]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True, databases=["default", "other"])]
KINDS = [
    "limited/{}/",
    "free/{}/",
    "some/{}/",
    "both/{}/",
    "function/{}/",
    "decorated/{}/",
    "given/{}/",
    "things/{}/act/",
]


@pytest.fixture(autouse=True)
def _nothing_ran() -> Iterator[None]:
    RAN.clear()
    cache.clear()
    with with_settings(MAX_CONCURRENT_REQUESTS=16):
        yield
    cache.clear()


@pytest.fixture
def _redis(redis_url: str) -> Iterator[None]:
    """The project's cache is a real Redis."""
    with override_settings(CACHES=read_caches(redis_url)):
        cache.clear()
        yield
        caches.close_all()


def first_pass(found: list[int], *, number: int = 100) -> bool:
    return found == [200] * RATE + [429] * (number - RATE)


def many(kind: str, number: int = 100, ms: int = 4) -> list[dict[str, Any]]:
    return [get(f"{kind.format(n)}?ms={ms}") for n in range(number)]


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_hundred_at_once_the_first_ten_pass(kind: str):
    assert first_pass(statuses(*many(kind)))
    assert runs() == {str(n): 1 for n in range(RATE)}


def test_they_do_run_side_by_side():
    statuses(*many("limited/{}/"))
    assert len(threads()) > 1


@pytest.mark.usefixtures("_redis")
@pytest.mark.parametrize("kind", ["limited/{}/", "decorated/{}/", "both/{}/"])
def test_of_a_hundred_at_once_the_first_ten_pass_by_the_counts_of_a_real_redis(kind: str):
    assert type(caches["default"]).__name__ == "RedisCache"
    assert first_pass(statuses(*many(kind)))


def test_the_first_are_the_first_in_effective_order():
    """The most urgent go first, wherever they stand in the list."""
    reads = enumerate(many("limited/{}/"))
    records = answers(*(read | {"id": str(n), "priority": "low" if n < 50 else "high"} for n, read in reads))
    assert [record["id"] for record in records if record["status"] == 200] == [str(n) for n in range(50, 60)]


def test_who_waits_for_another_has_its_turn_when_it_can_be_had():
    """Those behind it wait, although they could begin."""
    slow = get("slow/first/?ms=15", "first")
    requests = [slow, get("limited/a/", dependsOn=["first"]), *many("limited/{}/", RATE)]
    assert statuses(*requests) == [200] * 11 + [429]


def test_different_views_with_one_count_share_one_line():
    requests = [get(f"{('limited', 'function', 'given')[n % 3]}/{n}/?ms=3") for n in range(60)]
    assert first_pass(statuses(*requests), number=60)


def test_each_of_several_equal_ones_counts():
    """It runs as far as its handler; only the first goes further."""
    assert first_pass(statuses(*[get("limited/same/?ms=4")] * 100))
    assert runs() == {"same": 1}


def test_equal_ones_that_cannot_be_looked_into_run_each():
    assert first_pass(statuses(*[get("decorated/same/?ms=1")] * 30), number=30)
    assert runs() == {"same": RATE}


def test_equal_ones_and_others_have_their_turns_in_effective_order():
    requests = [get(f"limited/{n % 4}/?ms=3") for n in range(40)]
    assert first_pass(statuses(*requests), number=40)


@pytest.mark.parametrize("ordering", ["serial", "relaxed"])
def test_as_many_as_there_are_are_counted(ordering: str):
    """N cost N."""
    assert statuses(*many("limited/{}/", 7), ordering=ordering) == [200] * 7
    assert len(cache.get("all")) == 7


def test_a_relaxed_batch_lets_ten_pass_as_well():
    found = statuses(*many("limited/{}/"), ordering="relaxed")
    assert sorted(found) == [200] * RATE + [429] * 90


def test_a_hundred_passwords_in_one_batch_are_a_hundred_tries():
    UserFactory(username="alice")
    tries = [post("login/", body={"username": "alice", "password": f"guess {n}"}) for n in range(99)]
    right = post("login/", body={"username": "alice", "password": PASSWORD})
    assert statuses(*tries, right) == [400] * RATE + [429] * 90


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_runs_again_after_a_noise_counts_once(kind: str):
    """Nine that pass began before a read in front of them turned out to write."""
    requests = [get("writes/noise/?ms=15"), *many(kind, 12, ms=1)]
    assert statuses(*requests) == [200] * 11 + [429] * 2
    assert names().count("noise") == 1


def test_a_later_batch_finds_what_was_counted():
    assert statuses(*many("limited/{}/", 6)) == [200] * 6
    assert statuses(*many("limited/{}/", 6)) == [200] * 4 + [429] * 2
