"""The name of a Django cache in; out, the store that fits it, and the circuits and counts that lie beside it."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache as DjangoRedisCache
from django.core.signals import setting_changed
from django_redis.cache import RedisCache  # type: ignore[import-untyped]  # It comes without py.typed.
from redis import ConnectionPool

from batchapi.store.circuit import Terms
from batchapi.store.circuits import Circuits
from batchapi.store.counter import Counter
from batchapi.store.entry import Store
from batchapi.store.link import ROOM, TIMEOUT, WINDOW
from batchapi.store.local_circuits import LocalCircuits
from batchapi.store.memory import MemoryStore
from batchapi.store.shared import RedisStore
from batchapi.store.shared_circuits import SharedCircuits

Key = TypeVar("Key")
Made = TypeVar("Made")

stores: dict[tuple[str, int], Store | None] = {}
circuits: dict[tuple[str, int, Terms], Circuits] = {}
counters: dict[str, Counter] = {}


def once(made: dict[Key, Made], key: Key, make: Callable[[], Made]) -> Made:
    """This process's one thing of a key. Of several threads that make it at the same time all get the first one's.

    Without a lock, which a forked child could inherit held. None of these opens a connection before it is asked.
    """
    return made[key] if key in made else made.setdefault(key, make())


def get_store(alias: str, size: int) -> Store | None:
    """This process's one store for a cache: Redis, or up to `size` entries in memory; None if neither would be right.

    Raises InvalidCacheBackendError if there is no such cache.
    """
    return once(stores, (alias, size), lambda: make_store(caches[alias], size))


def get_circuits(alias: str, size: int, terms: Terms) -> Circuits:
    """This process's circuits: those of all processes on the Redis of this cache, or of this process where it has none.

    Raises InvalidCacheBackendError if there is no such cache.
    """
    return once(circuits, (alias, size, terms), lambda: make_circuits(get_store(alias, size), terms))


def make_circuits(store: Store | None, terms: Terms) -> Circuits:
    """By the kind of a store."""
    if isinstance(store, RedisStore):
        return SharedCircuits(store.link, store.cache.make_key, terms)
    return LocalCircuits(terms)


def get_counter(alias: str) -> Counter:
    """This process's one counter for a cache: in its Redis, else in memory.

    Raises InvalidCacheBackendError if there is no such cache.
    """
    return once(counters, alias, lambda: make_counter(caches[alias]))


def make_counter(cache: BaseCache) -> Counter:
    """In the Redis of a cache, under its key prefix and version; else in memory."""
    return Counter(pool_of(cache), cache.make_key(f"{ROOM}:rate"), timeout=TIMEOUT, window=WINDOW)


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
        for store in filter(None, stores.values()):
            store.close()
        for counter in counters.values():
            counter.close()
        stores.clear()
        circuits.clear()
        counters.clear()


setting_changed.connect(forget_stores)
