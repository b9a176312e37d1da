"""Stores on real servers; none outlives its test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from batchapi.store.shared import RedisStore
from tests.servers import NoServer
from tests.store.server import Server, server, store_at

Open = Callable[..., RedisStore]


@pytest.fixture
def open_store() -> Iterator[Open]:
    """Open a store as one more process would have it."""
    stores: list[RedisStore] = []

    def open_one(url: str, **options: Any) -> RedisStore:
        stores.append(store_at(url, **options))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture
def lone_server() -> Iterator[Server]:
    """A server that the test may do harm to."""
    try:
        with server() as one:
            yield one
    except NoServer as missing:
        pytest.skip(str(missing))


@pytest.fixture
def store(redis_url: str, open_store: Open) -> RedisStore:
    """A store on a server that nobody harms, empty."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    return open_store(redis_url)
