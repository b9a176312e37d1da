"""S11: a batch of N counts as N, for whoever sent it, in all processes together; what is refused has not run."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, override_settings
from django.urls import path
from redis import Redis
from rest_framework.request import Request

from batchapi import handle_batch_request
from batchapi.store import get_counter
from batchapi.throttling import BatchRateThrottle
from batchapi.views import BatchView
from project.stores import read_caches
from tests.factories import PASSWORD, TokenFactory, UserFactory
from tests.project.processes import python
from tests.security import urls
from tests.security.asking import BATCH, answers, refusal, send
from tests.security.views import CALLS
from tests.store.server import Server, eventually

ITEM = {"url": "/api/items/x/"}


class Burst(BatchRateThrottle):
    rate = "5/day"


class Unlimited(BatchRateThrottle):
    """A rate with a typing error."""

    rate = "many"


class ByTenant(BatchRateThrottle):
    def get_caller(self, request: Request) -> str:
        return request.headers["X-Tenant"]


urlpatterns = [
    path("api/burst/", BatchView.as_view(throttle_classes=[Burst, BatchRateThrottle])),
    path("api/wrong/", BatchView.as_view(throttle_classes=[Unlimited])),
    path("api/tenants/", BatchView.as_view(throttle_classes=[ByTenant])),
    *urls.urlpatterns,
]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

Rate = Callable[..., Any]


@pytest.fixture(params=["redis", "memory"])
def rate(request: pytest.FixtureRequest) -> Iterator[Rate]:
    """Switches BATCH_RATE on, counted in a real Redis or in this process; nobody has had anything."""
    url = "" if request.param == "memory" else request.getfixturevalue("redis_url")
    if url:
        with Redis.from_url(url) as server:
            server.flushall()
    with override_settings(CACHES=read_caches(url)):
        yield lambda rate, **more: override_settings(BATCHAPI={**settings.BATCHAPI, "BATCH_RATE": rate, **more})
        get_counter("default").close()


def passes(number: int, **options: Any) -> bool:
    """Whether a batch of so many passes; one that does not is refused for its rate, and has called nobody."""
    before = len(CALLS)
    response = send([{"url": f"/api/items/{n}/"} for n in range(number)], **options)
    if response.status_code == 200:
        return True
    assert (response.status_code, response.json()["code"], len(CALLS)) == (429, "batch_throttled", before)
    return False


def test_a_batch_of_n_counts_as_n(rate: Rate):
    with rate("10/day"):
        assert passes(6)
        assert not passes(5)
        assert passes(4)
        assert not passes(1)


def test_equal_ones_count_each(rate: Rate):
    with rate("10/day"):
        assert len(answers([ITEM] * 10)) == 10
        assert CALLS == ["/api/items/x/"]
        assert not passes(1)


def test_without_a_rate_nobody_is_counted(django_assert_num_queries: Any):
    client = Client()
    client.force_login(UserFactory())
    with django_assert_num_queries(0):
        for _ in range(3):
            assert len(answers([{"url": "/nowhere/"}] * 100, client=client)) == 100


def test_an_empty_batch_counts_as_one(rate: Rate):
    with rate("2/day"):
        assert [send([]).status_code for _ in range(3)] == [200, 200, 429]


def test_whoever_is_refused_is_told_when_this_very_batch_fits(rate: Rate):
    with rate("5/s"):
        while (response := send([ITEM] * 5)).status_code == 200:
            pass
        seconds = int(response["Retry-After"])
        assert response.json()["detail"].endswith(f"A batch of 5 fits in again in {seconds} s.")
        assert 1 <= seconds <= 3
        sleep(seconds)
        assert passes(5)


def test_a_smaller_batch_fits_sooner(rate: Rate):
    """The rate fades in evenly."""
    with rate("10/hour"):
        passes(10)
        waits = [int(send([ITEM] * number)["Retry-After"]) for number in (1, 5, 10)]
    assert waits == sorted(set(waits))
    assert waits[-1] <= 2 * 3600 + 1


def test_one_that_can_never_pass_is_told_so(rate: Rate):
    with rate("10/min"):
        response = send([ITEM] * 11)
        assert (response.status_code, response.json()["code"]) == (429, "batch_throttled")
        assert response.json()["detail"].startswith("11 sub-requests never fit into 10 sub-requests per minute")
        assert "Retry-After" not in response
        assert passes(10)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("{broken", "bad_json"),
        (json.dumps({"no": "batch"}), "bad_envelope"),
        (json.dumps([ITEM] * 6), "too_many"),
        (" " * 2000 + json.dumps([ITEM] * 2), "too_large"),
        ("[" * 100_000, "too_deep"),
    ],
)
def test_what_makes_no_sense_on_its_face_has_its_own_code_and_is_not_counted(rate: Rate, sent: str, code: str):
    with rate("2/day", MAX_BATCH_SIZE=5, MAX_REQUEST_BYTES=1000 if code == "too_large" else 500_000):
        for _ in range(3):
            assert refusal(sent)["code"] == code
        assert passes(2)


def test_what_is_wrong_in_a_sub_request_is_counted(rate: Rate):
    """It was read, each of it."""
    with rate("10/day"):
        assert refusal([ITEM] * 9 + [{"url": "//wrong"}])["code"] == "bad_url"
        assert not passes(1)


@pytest.mark.parametrize("method", ["get", "head", "options", "put"])
def test_what_is_no_batch_is_not_counted(rate: Rate, method: str):
    with rate("1/day"):
        for _ in range(3):
            assert getattr(Client(), method)(BATCH).status_code in (200, 405)
        assert passes(1)


def test_a_batch_in_a_batch_is_not_counted(rate: Rate):
    with rate("2/day"):
        assert refusal_inside()["code"] == "nested_batch"
        assert passes(1)
        assert not passes(1)


def refusal_inside() -> dict[str, Any]:
    [record] = answers([{"url": "/api/posting/", "method": "POST", "body": {}}])
    problem: dict[str, Any] = record["body"]
    return problem


def test_code_in_this_process_is_not_counted(rate: Rate, rf: Any):
    with rate("1/day"):
        for _ in range(3):
            assert handle_batch_request(rf.get("/"), {"requests": [ITEM] * 2})["responses"][0]["status"] == 200
        assert passes(1)


# -- who is counted


def test_each_user_has_their_own_count_however_they_say_who_they_are(rate: Rate, alice: User, bob: User):
    session, token = Client(), Client(headers={"Authorization": f"Token {TokenFactory(user=alice).key}"})
    session.force_login(alice)
    other = Client(headers={"Authorization": f"Token {TokenFactory(user=bob).key}"})
    with rate("10/day"):
        assert passes(6, client=session)
        assert not passes(6, client=token)
        assert passes(4, client=token)
        assert passes(10, client=other)


def test_who_is_nobody_is_counted_by_address(rate: Rate):
    """Whatever credentials are made up, and whatever a header says where no proxy is trusted."""
    with rate("3/day"):
        assert passes(3)
        assert not passes(1, headers={"Authorization": "Token made-up"})
        assert not passes(1, headers={"X-Forwarded-For": "198.51.100.1"})
        assert passes(1, REMOTE_ADDR="198.51.100.2")


def test_a_project_may_say_who_is_counted(rate: Rate):
    with rate("3/day"):
        assert passes(3, to="/api/tenants/", headers={"X-Tenant": "a"})
        assert passes(3, to="/api/tenants/", headers={"X-Tenant": "b"})
        assert not passes(1, to="/api/tenants/", headers={"X-Tenant": "a"})


# -- rates of a project's own


def test_a_rate_of_its_own_counts_beside_the_setting(rate: Rate):
    """What the narrower one refuses does not reach the other."""
    with rate("10/day"):
        assert passes(5, to="/api/burst/")
        assert not passes(5, to="/api/burst/")
        assert passes(5)
        assert not passes(1)


def test_equal_rates_of_two_throttles_are_two_counts(rate: Rate):
    with rate(Burst.rate):
        assert passes(5, to="/api/burst/")


def test_a_rate_of_its_own_needs_no_setting(rate: Rate):
    with rate(None):
        assert passes(5, to="/api/burst/")
        assert not passes(1, to="/api/burst/")
        assert passes(100)


def test_a_rate_that_is_none_is_named():
    with pytest.raises(ImproperlyConfigured, match=r'Unlimited.rate must be a rate such as "50/s", not .many.'):
        Client().post("/api/wrong/", "[]", content_type="application/json")


# -- at the same time


def test_sixteen_at_once_get_no_more_through_than_the_rate(rate: Rate):
    def ask(_: int) -> bool:
        return bool(send([ITEM] * 3).status_code == 200)

    with rate("100/day", MAX_CONCURRENT_BATCHES=100), ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(160))).count(True) == 33


PROCESS = """
import django; django.setup()
from concurrent.futures import ThreadPoolExecutor
from django.conf import settings
from django.test import Client, override_settings
from django.test.utils import setup_test_environment
setup_test_environment()
ours = {**settings.BATCHAPI, "BATCH_RATE": "100/day"}
def ask(_):
    return Client().post("/api/batch/", [{"url": "/api/items/x/"}] * 3, content_type="application/json").status_code
with override_settings(ROOT_URLCONF="tests.security.urls", BATCHAPI=ours), ThreadPoolExecutor(4) as pool:
    print(list(pool.map(ask, range(40))).count(200))
"""


def test_four_processes_on_one_redis_get_no_more_through_than_the_rate(redis_url: str):
    with Redis.from_url(redis_url) as server:
        server.flushall()
    environment = {"DJANGO_SETTINGS_MODULE": "tests.settings", "REDIS_URL": redis_url}
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: python("-c", PROCESS, **environment), range(4)))
    assert [run.returncode for run in runs] == [0] * 4, [run.stderr for run in runs]
    assert sum(int(run.stdout) for run in runs) == 33


# -- while Redis is away


def test_while_redis_hangs_each_process_counts_and_nobody_sees_an_error(lone_server: Server):
    batchapi = {**settings.BATCHAPI, "BATCH_RATE": "10/day"}
    with override_settings(CACHES=read_caches(lone_server.url), BATCHAPI=batchapi):
        with lone_server.hung():
            assert passes(10)
            assert not passes(1)
        eventually(lambda: passes(1))  # Redis has not heard of those.


# -- what is inside


@pytest.mark.urls("tests.urls")
def test_a_hundred_passwords_in_one_batch_are_a_hundred_tries():
    """Of which the chat allows ten."""
    cache.clear()
    UserFactory(username="victim")
    guesses = [*(f"guess {number}" for number in range(99)), PASSWORD]
    tries = [{"username": "victim", "password": guess} for guess in guesses]
    records = answers([{"url": "/api/auth/login/", "method": "POST", "body": body} for body in tries])
    assert [record["status"] for record in records] == [400] * 10 + [429] * 90
