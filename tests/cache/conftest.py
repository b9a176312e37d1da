"""Kept answers are for databases that more than one connection can be opened to, and so are their tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings
from redis import Redis

from batchapi import uncommitted
from batchapi.store import Store, get_store
from batchapi.store.shared import RedisStore
from tests.rerun import IS_RERUN

STARTS_RERUNS = "test_databases.py"
collect_ignore = (
    [STARTS_RERUNS]
    if IS_RERUN
    else [path.name for path in Path(__file__).parent.glob("test_*.py") if path.name != STARTS_RERUNS]
)
if connection.vendor != "postgresql":
    collect_ignore += [path.name for path in Path(__file__).parent.glob("test_*_postgresql.py")]
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
        yield patient(found) if request.param == "redis" else found


@pytest.fixture
def redis_store(request: pytest.FixtureRequest, transactional_db: None) -> Iterator[RedisStore]:
    """The same on Redis alone."""
    with caching("redis", request):
        yield patient(get_store("default", settings.BATCHAPI["CACHE_SIZE"]))


def patient(store: Store | None) -> RedisStore:
    """A store that waits: a machine that is busy is no outage."""
    assert isinstance(store, RedisStore)
    store.link.timeout = 5.0
    store.link.start()
    store.read([])  # Of several that come first at once, each would make an epoch.
    return store


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
        cache["LOCATION"] = url = request.getfixturevalue("redis_url")
        with Redis.from_url(url) as server:
            server.flushall()  # Nobody finds what another test has kept.
    batchapi = {**settings.BATCHAPI, "ENABLE_CACHING": True, "CACHE_SIZE": 100, **more}
    return override_settings(CACHES={"default": cache}, BATCHAPI=batchapi)
