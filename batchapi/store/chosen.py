"""The name of a Django cache in; out, the store that fits it, and the circuits and counts that lie beside it."""

import threading
from typing import Any

from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache as DjangoRedisCache
from django.core.signals import setting_changed
from django_redis.cache import RedisCache  # type: ignore[import-untyped]  # It comes without py.typed.
from redis import ConnectionPool

from batchapi.store.circuit import Terms
from batchapi.store.circuits import Circuits, LocalCircuits, SharedCircuits
from batchapi.store.counter import Counter
from batchapi.store.entry import Store
from batchapi.store.memory import MemoryStore
from batchapi.store.shared import ROOM, TIMEOUT, WINDOW, RedisStore

stores: dict[tuple[str, int], Store | None] = {}
circuits: dict[tuple[str, int, Terms], Circuits] = {}
counters: dict[str, Counter] = {}
lock = threading.Lock()


def get_store(alias: str, size: int) -> Store | None:
    """This process's one store for a cache: Redis, or up to `size` entries in memory; None if neither would be right.

    Raises InvalidCacheBackendError if there is no such cache.
    """
    key = (alias, size)
    if key not in stores:
        with lock:
            if key not in stores:
                stores[key] = make_store(caches[alias], size)
    return stores[key]


def get_circuits(alias: str, size: int, terms: Terms) -> Circuits:
    """This process's circuits: those of all processes on the Redis of this cache, or of this process where it has none.

    Raises InvalidCacheBackendError if there is no such cache.
    """
    key = (alias, size, terms)
    if key not in circuits:
        store = get_store(alias, size)
        with lock:
            if key not in circuits:
                circuits[key] = make_circuits(store, terms)
    return circuits[key]


def make_circuits(store: Store | None, terms: Terms) -> Circuits:
    """By the kind of a store."""
    if isinstance(store, RedisStore):
        return SharedCircuits(store.link, store.cache.make_key, terms)
    return LocalCircuits(terms)


def get_counter(alias: str) -> Counter:
    """This process's one counter for a cache: in its Redis, else in memory.

    Raises InvalidCacheBackendError if there is no such cache.
    """
    if alias not in counters:
        with lock:
            if alias not in counters:
                prefix = caches[alias].make_key(f"{ROOM}:rate")
                counters[alias] = Counter(pool_of(caches[alias]), prefix, timeout=TIMEOUT, window=WINDOW)
    return counters[alias]


def make_store(cache: BaseCache, size: int) -> Store | None:
    """By the class of a cache, or the one that it is made from."""
    if isinstance(cache, LocMemCache):
        return MemoryStore(size)
    pool = pool_of(cache)
    return RedisStore(cache, pool) if pool else None


def pool_of(cache: BaseCache) -> ConnectionPool | None:
    """Where a cache's writes go; None if it is no Redis, or many (django-redis' ShardClient)."""
    client: Any = None
    if isinstance(cache, RedisCache):
        try:
            client = cache.client.get_client(write=True)
        except NotImplementedError:  # The sharding client has no one place to write to.
            return None
    elif isinstance(cache, DjangoRedisCache):
        client = cache._cache.get_client(None, write=True)
    pool = getattr(client, "connection_pool", None)
    return pool if isinstance(pool, ConnectionPool) else None


def forget_stores(*, setting: str, **_kwargs: object) -> None:
    """Look again when a test overrides what a store was made from."""
    if setting in {"CACHES", "DATABASES", "BATCHAPI"}:
        with lock:
            for store in filter(None, stores.values()):
                store.close()
            for counter in counters.values():
                counter.close()
            stores.clear()
            circuits.clear()
            counters.clear()


setting_changed.connect(forget_stores)
