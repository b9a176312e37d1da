"""What `manage.py check` says about middleware, pools of connections and async views."""

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import include, path
from django.utils.module_loading import import_string

from batchapi import batchable
from batchapi.checks import check_async_views, check_pools
from batchapi.middleware import KNOWN

OVERRIDES = pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")  # Nobody connects to them here.
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
