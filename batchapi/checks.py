"""What `manage.py check` says about a project's settings: E001 to E004, W001 to W005."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core import checks
from django.core.cache import caches
from django.core.cache.backends.dummy import DummyCache
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.module_loading import import_string
from rest_framework.settings import api_settings
from rest_framework.throttling import ScopedRateThrottle, SimpleRateThrottle

from batchapi.conf import find_problems, get_settings
from batchapi.middleware import strangers
from batchapi.policy import read_policy
from batchapi.store import get_store
from batchapi.store.databases import is_in_memory
from batchapi.throttling import BatchRateThrottle

PSYCOPG_POOL_SIZE = 4  # of a pool that says nothing of its size


def register_all() -> None:
    """Register every check; called once the apps are ready."""
    checks.register(check_settings)
    checks.register(check_middleware)
    checks.register(check_cache)
    checks.register(check_pools)
    checks.register(check_rates, checks.Tags.security, deploy=True)
    checks.register(check_async_views, checks.Tags.urls)


def check_settings(**_kwargs: object) -> list[checks.CheckMessage]:
    """E001 for a setting that does not exist, E002 for a value that does not fit."""
    return [checks.Error(words, id=number) for number, words in find_problems(getattr(settings, "BATCHAPI", {}))]


def check_middleware(**_kwargs: object) -> list[checks.CheckMessage]:
    """E003 for middleware that cannot be imported, W003 for middleware that sub-requests go without."""
    return [] if find_problems(getattr(settings, "BATCHAPI", {})) else [*unimportable(), *skipped()]


def unimportable() -> Iterator[checks.CheckMessage]:
    """Entries of SUBREQUEST_MIDDLEWARE that lead nowhere."""
    for path in get_settings().layers.SUBREQUEST_MIDDLEWARE:
        try:
            import_string(path)
        except ImportError:
            yield checks.Error(f"BATCHAPI['SUBREQUEST_MIDDLEWARE']: {path!r} cannot be imported.", id="batchapi.E003")


def skipped() -> Iterator[checks.CheckMessage]:
    """Installed middleware that is neither known nor run around sub-requests."""
    layers = get_settings().layers
    for path in strangers(*layers.SUBREQUEST_MIDDLEWARE, *layers.KNOWN_MIDDLEWARE):
        yield checks.Warning(
            f"{path} does not run around sub-requests. Until it is named, batches run on the thread that called.",
            hint=(
                "Add it to BATCHAPI['SUBREQUEST_MIDDLEWARE'] if a view relies on it, else to 'KNOWN_MIDDLEWARE'. "
                "Until then nothing runs side by side, and a view that hangs in Python is waited for."
            ),
            id="batchapi.W003",
        )


def check_cache(**_kwargs: object) -> list[checks.CheckMessage]:
    """E004 for a cache that does not exist, W001 for one in which nothing can be kept."""
    if find_problems(getattr(settings, "BATCHAPI", {})):
        return []
    caching = get_settings().caching
    if caching.CACHE_ALIAS not in settings.CACHES:
        words = f"BATCHAPI['CACHE_ALIAS']: there is no cache {caching.CACHE_ALIAS!r} in CACHES."
        return [checks.Error(words, id="batchapi.E004")]
    if not caching.ENABLE_CACHING:
        return []
    cache, store = caches[caching.CACHE_ALIAS], get_store(caching.CACHE_ALIAS, caching.CACHE_SIZE)
    if isinstance(cache, DummyCache) or all(map(is_in_memory, settings.DATABASES)):
        return []
    if store and any(map(store.covers, settings.DATABASES)):
        return []
    kind = f"{type(cache).__module__}.{type(cache).__qualname__}"
    return [
        checks.Warning(
            f"Batches keep no answers: {kind} does not hear of what other processes write to the databases.",
            hint="Use Redis for CACHES, or switch ENABLE_CACHING off. LocMemCache does for SQLite files only.",
            id="batchapi.W001",
        )
    ]


def check_pools(**_kwargs: object) -> list[checks.CheckMessage]:
    """W004 for a pool that cannot give every lane of one batch a connection."""
    if find_problems(getattr(settings, "BATCHAPI", {})):
        return []
    lanes = get_settings().lanes.MAX_CONCURRENT_REQUESTS
    return [
        checks.Warning(
            f"DATABASES[{alias!r}] pools {size} connections, fewer than the {lanes} lanes that one batch may open.",
            hint="A lane without a connection stays closed. Raise max_size or lower MAX_CONCURRENT_REQUESTS.",
            id="batchapi.W004",
        )
        for alias, database in settings.DATABASES.items()
        if (size := pool_size(database)) is not None and size < lanes
    ]


def pool_size(database: dict[str, Any]) -> int | None:
    """How many connections the pool of a database has; None without a pool."""
    pool = database.get("OPTIONS", {}).get("pool")
    if not pool:
        return None
    given = pool if isinstance(pool, dict) else {}
    return int(given.get("max_size") or given.get("min_size") or PSYCOPG_POOL_SIZE)


def check_rates(**_kwargs: object) -> list[checks.CheckMessage]:
    """W002 for batch endpoints that bound nobody: neither BATCH_RATE nor a throttle with a rate is there."""
    if find_problems(getattr(settings, "BATCHAPI", {})) or any(map(is_bounding, api_settings.DEFAULT_THROTTLE_CLASSES)):
        return []
    views: Iterator[Any] = find_views(get_resolver().url_patterns)
    endpoints = {
        view.cls
        for view in views
        if getattr(getattr(view, "cls", None), "is_batch_endpoint", False)
        and not any(map(is_bounding, view.initkwargs.get("throttle_classes", view.cls.throttle_classes)))
    }
    return [
        checks.Warning(
            f"Nothing bounds how many sub-requests one caller may send to {endpoint.__qualname__}.",
            hint='Set BATCHAPI["BATCH_RATE"], for example "3000/min".',
            id="batchapi.W002",
        )
        for endpoint in sorted(endpoints, key=lambda endpoint: str(endpoint.__qualname__))
    ]


def is_bounding(throttle: Any) -> bool:
    """Whether a throttle class has a rate. Of one that is a project's own entirely we believe it."""
    if issubclass(throttle, BatchRateThrottle):
        return (throttle.rate or get_settings().limits.BATCH_RATE) is not None
    if issubclass(throttle, ScopedRateThrottle):
        return any(throttle.THROTTLE_RATES.values())  # Each view says which.
    if issubclass(throttle, SimpleRateThrottle):
        return bool(getattr(throttle, "rate", None) or throttle.THROTTLE_RATES.get(throttle.scope))
    return True


def check_async_views(**_kwargs: object) -> list[checks.CheckMessage]:
    """W005 for async views that can only fail: Django runs none of them under ATOMIC_REQUESTS."""
    atomic = {alias for alias, database in settings.DATABASES.items() if database.get("ATOMIC_REQUESTS")}
    return [
        checks.Warning(
            f"The async view {getattr(view, '__qualname__', view)} is batchable, but ATOMIC_REQUESTS makes it fail.",
            hint="Decorate it with django.db.transaction.non_atomic_requests.",
            id="batchapi.W005",
        )
        for view in find_views(get_resolver().url_patterns)
        if iscoroutinefunction(view) and read_policy(view, "GET").batchable
        if atomic - getattr(view, "_non_atomic_requests", set())
    ]


def find_views(patterns: Iterable[URLPattern | URLResolver]) -> Iterator[Callable[..., Any]]:
    """Every view that the project's URLs lead to."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from find_views(pattern.url_patterns)
        else:
            yield pattern.callback
