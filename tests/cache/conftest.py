"""Kept answers are for databases that more than one connection can be opened to, and so are their tests."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings
from redis import Redis

from batchapi import uncommitted
from batchapi.store import Store, get_store
from tests.rerun import IS_RERUN

collect_ignore_glob = ["test_databases.py"] if IS_RERUN else ["test_[!d]*.py"]
if connection.vendor != "postgresql":
    collect_ignore_glob += ["test_*_postgresql.py"]
KINDS = ["redis"] if connection.vendor == "postgresql" else ["redis", "locmem"]


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, transactional_db: None) -> Iterator[Store]:
    """A store with nothing in it, and caching switched on."""
    if request.param == "redis":
        with Redis.from_url(request.getfixturevalue("redis_url")) as client:
            client.flushall()
    with caching(request.param, request):
        found = get_store("default", settings.BATCHAPI["CACHE_SIZE"])
        assert found is not None
        found.renew()
        yield found


@pytest.fixture
def told(transactional_db: None) -> Iterator[list[set[str]]]:
    """The tables that were written, once for each time that somebody is told."""
    heard: list[set[str]] = []

    def listen(tables: frozenset[str]) -> None:
        heard.append(set(tables))

    uncommitted.receivers.append(listen)
    yield heard
    uncommitted.receivers.remove(listen)


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
