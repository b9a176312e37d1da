"""Two probes in, one word per store out: `/livez` says that the process answers, `/readyz` that it can work."""

from django import db
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError


@never_cache
@require_safe
@db.transaction.non_atomic_requests
def livez(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
@db.transaction.non_atomic_requests  # A transaction could not even begin while the database is away.
def readyz(request: HttpRequest) -> JsonResponse:
    """503 while a store is away, and which; never why, since anybody may ask."""
    stores = {"database": has_database()}
    if settings.REDIS_URL:
        stores["redis"] = has_redis()
    is_ready = all(stores.values())
    answer = {name: "ok" if is_there else "away" for name, is_there in stores.items()}
    return JsonResponse({"status": "ok" if is_ready else "unavailable", **answer}, status=200 if is_ready else 503)


def has_database() -> bool:
    try:
        with db.connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except db.Error:
        return False
    return True


def has_redis() -> bool:
    try:
        cache.get("readyz")
    except RedisError:
        return False
    return True
