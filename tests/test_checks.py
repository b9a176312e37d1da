"""What `manage.py check` says about middleware, caches, rates, pools of connections and async views."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import include, path
from django.utils.module_loading import import_string
from rest_framework.throttling import AnonRateThrottle, BaseThrottle, ScopedRateThrottle

from batchapi import batchable
from batchapi.checks import check_async_views, check_cache, check_pools, check_rates
from batchapi.middleware import KNOWN
from batchapi.throttling import BatchRateThrottle
from batchapi.views import BatchView
from tests.differential.stage import on_database

OVERRIDES = pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")  # Nobody connects to them here.
ROOT = Path(__file__).resolve().parent.parent
STRANGER = "tests.test_checks.stranger"


def stranger(get_response: object) -> object:
    """Middleware that this package has never heard of."""
    return get_response


def ids(**changes: object) -> list[str]:
    with override_settings(**changes):
        return [message.id for message in run_checks() if message.id.startswith("batchapi.")]


def test_the_project_itself_is_clean() -> None:
    assert ids() == []


def test_middleware_that_sub_requests_go_without_is_named() -> None:
    assert ids(MIDDLEWARE=[*settings.MIDDLEWARE, STRANGER]) == ["batchapi.W003"]


def test_middleware_that_runs_around_sub_requests_is_not_named() -> None:
    given = {"SUBREQUEST_MIDDLEWARE": (STRANGER,)}
    assert ids(MIDDLEWARE=[*settings.MIDDLEWARE, STRANGER], BATCHAPI=given) == []


def test_middleware_that_the_project_vouches_for_is_not_named() -> None:
    assert ids(MIDDLEWARE=[*settings.MIDDLEWARE, STRANGER], BATCHAPI={"KNOWN_MIDDLEWARE": (STRANGER,)}) == []


def test_every_known_middleware_exists() -> None:
    """A name with a typing error would never match anything."""
    assert all(import_string(path) for path in KNOWN)


def pooled(**pool: object) -> dict[str, object]:
    """A database whose connections are pooled."""
    return {"default": settings.DATABASES["default"] | {"OPTIONS": {"pool": pool or True}}}


@OVERRIDES
@pytest.mark.parametrize(
    ("pool", "lanes", "expected"),
    [
        ({"max_size": 19}, 20, ["batchapi.W004"]),
        ({"max_size": 20}, 20, []),
        ({"min_size": 2}, 3, ["batchapi.W004"]),
        ({}, 5, ["batchapi.W004"]),
        ({}, 4, []),
    ],
)
def test_a_pool_with_fewer_connections_than_lanes_is_named(
    pool: dict[str, object], lanes: int, expected: list[str]
) -> None:
    with override_settings(DATABASES=pooled(**pool), BATCHAPI={"MAX_CONCURRENT_REQUESTS": lanes}):
        assert [message.id for message in check_pools()] == expected


@batchable
async def breaks(_request: HttpRequest) -> HttpResponse:
    """Async views have no transactions."""
    return HttpResponse()


@batchable
@transaction.non_atomic_requests
async def works(_request: HttpRequest) -> HttpResponse:
    return HttpResponse()


async def stays_out(_request: HttpRequest) -> HttpResponse:
    return HttpResponse()


urlpatterns = [path("a/", include([path("b/", breaks), path("c/", works)])), path("d/", stays_out)]


@OVERRIDES
@override_settings(ROOT_URLCONF=__name__)
def test_an_async_view_that_a_transaction_would_break_is_named() -> None:
    assert check_async_views() == []
    with override_settings(DATABASES={"default": settings.DATABASES["default"] | {"ATOMIC_REQUESTS": True}}):
        assert [(message.id, "breaks" in message.msg) for message in check_async_views()] == [("batchapi.W005", True)]


class Burst(BatchRateThrottle):
    rate = "50/s"


class Anonymous(AnonRateThrottle):
    """DRF's own, whose rate is a setting."""


class Hourly(AnonRateThrottle):
    rate = "1000/hour"


class Own(BaseThrottle):
    """Does as it thinks best."""


def bound_by(*throttles: type[BaseThrottle], **batchapi: object) -> list[str]:
    """What the check says of an endpoint with these throttles."""
    urls = ModuleType("urls_of_a_test")
    vars(urls)["urlpatterns"] = [path("batch/", BatchView.as_view(throttle_classes=throttles)), path("d/", stays_out)]
    with override_settings(ROOT_URLCONF=urls, BATCHAPI=batchapi):
        return [message.id for message in check_rates()]


def test_an_endpoint_that_bounds_nobody_is_named_before_it_is_deployed() -> None:
    """And in development it is not."""
    deployed = [message for message in run_checks(include_deployment_checks=True) if message.id == "batchapi.W002"]
    assert [message.msg.split()[-1] for message in deployed] == ["BatchView."]
    assert "batchapi.W002" not in ids()


@pytest.mark.parametrize(
    ("throttles", "rate", "expected"),
    [
        ([BatchRateThrottle], None, ["batchapi.W002"]),
        ([BatchRateThrottle], "3000/min", []),
        ([], "3000/min", ["batchapi.W002"]),
        ([Burst], None, []),
        ([Anonymous], None, ["batchapi.W002"]),
        ([ScopedRateThrottle], None, ["batchapi.W002"]),
        ([Anonymous, Hourly], None, []),
        ([Own], None, []),
    ],
)
def test_a_rate_in_any_throttle_bounds(
    throttles: list[type[BaseThrottle]], rate: str | None, expected: list[str]
) -> None:
    assert bound_by(*throttles, BATCH_RATE=rate) == expected


def test_throttles_of_all_views_bound_as_well() -> None:
    """Each sub-request counts there."""
    with override_settings(REST_FRAMEWORK={"DEFAULT_THROTTLE_CLASSES": ["tests.test_checks.Hourly"]}):
        assert bound_by(BatchRateThrottle) == []


BACKENDS = {
    "redis": "django_redis.cache.RedisCache",
    "django's own": "django.core.cache.backends.redis.RedisCache",
    "files": "django.core.cache.backends.filebased.FileBasedCache",
    "dummy": "django.core.cache.backends.dummy.DummyCache",
}


@pytest.mark.parametrize(
    ("backend", "expected"),
    [("redis", []), ("django's own", []), ("dummy", []), ("files", ["batchapi.W001"])],
)
def test_a_cache_in_which_nothing_can_be_kept_is_named(backend: str, expected: list[str], tmp_path: Path) -> None:
    caches = {"default": {"BACKEND": BACKENDS[backend], "LOCATION": "redis://127.0.0.1:1/0"}}
    with on_database(tmp_path / "db.sqlite3"):
        with override_settings(CACHES=caches, BATCHAPI={}):
            assert [message.id for message in check_cache()] == expected
        with override_settings(CACHES=caches, BATCHAPI={"ENABLE_CACHING": False}):
            assert check_cache() == []


@pytest.mark.parametrize(
    ("database", "expected"), [("sqlite:////nowhere/db", False), ("postgres://nobody@127.0.0.1:1/nothing", True)]
)
def test_a_cache_in_the_memory_of_each_process_is_for_sqlite_files(database: str, expected: bool) -> None:
    environment = {**os.environ, "DATABASE_URL": database, "REDIS_URL": ""}
    command = [sys.executable, "manage.py", "check", "--settings", "project.settings"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert ("batchapi.W001" in run.stderr) == expected


def test_a_cache_that_does_not_exist_is_an_error() -> None:
    assert ids(BATCHAPI={"CACHE_ALIAS": "elsewhere"}) == ["batchapi.E004"]
