"""Kept answers are for databases that more than one connection can be opened to, and so are their tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import caches
from django.db import connection
from django.test import override_settings

from batchapi.store import Store, get_store
from tests.rerun import IS_RERUN

STARTS_RERUNS = "test_databases.py"
collect_ignore = (
    [STARTS_RERUNS]
    if IS_RERUN
    else [path.name for path in Path(__file__).parent.glob("test_*.py") if path.name != STARTS_RERUNS]
)
KINDS = ["redis"] if connection.vendor == "postgresql" else ["redis", "locmem"]


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, transactional_db: None) -> Iterator[Store]:
    """A store with nothing in it, and caching switched on."""
    with caching(request.param, request):
        found = get_store("default", settings.BATCHAPI["CACHE_SIZE"])
        assert found is not None
        caches["default"].clear()  # What is only outdated would be told as stale.
        found.renew()
        yield found


def caching(kind: str, request: pytest.FixtureRequest, **more: Any) -> override_settings:
    """Settings with caching switched on."""
    backends: dict[str, dict[str, Any]] = {
        "locmem": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "redis": {"BACKEND": "django_redis.cache.RedisCache"},
    }
    cache = backends[kind]
    if kind == "redis":
        cache["LOCATION"] = request.getfixturevalue("redis_url")
    batchapi = {**settings.BATCHAPI, "ENABLE_CACHING": True, "CACHE_SIZE": 100, **more}
    return override_settings(CACHES={"default": cache}, BATCHAPI=batchapi)
