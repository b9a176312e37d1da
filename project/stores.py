"""DATABASE_URL and REDIS_URL in, `DATABASES` and `CACHES` entries out."""

from pathlib import Path
from typing import Any

import dj_database_url

from project.environment import read_number

SECONDS_TO_CONNECT = 5
SECONDS_ON_REDIS = 0.1  # A hung Redis costs 5 s per call by default; nothing that we keep there is worth that.


def read_database(sqlite_file: Path) -> dict[str, Any]:
    """What DATABASE_URL names, else this SQLite file."""
    database = dj_database_url.config(default=f"sqlite:///{sqlite_file}")
    add_options = add_sqlite_options if database["ENGINE"].endswith("sqlite3") else add_server_options
    add_options(database)
    return database


def add_sqlite_options(database: dict[str, Any]) -> None:
    # IMMEDIATE: a transaction that reads first and writes later would otherwise fail on a busy file without waiting.
    # WAL: readers and the one writer do not wait for each other.
    database.setdefault("OPTIONS", {}).update(
        transaction_mode="IMMEDIATE",
        timeout=20,
        init_command="PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    )


def add_server_options(database: dict[str, Any]) -> None:
    options = database.setdefault("OPTIONS", {})
    options.setdefault("connect_timeout", SECONDS_TO_CONNECT)
    database["CONN_HEALTH_CHECKS"] = True
    if size := read_number("DATABASE_POOL_SIZE", default=0):
        options["pool"] = {"min_size": 1, "max_size": size, "timeout": SECONDS_TO_CONNECT}
    else:
        database["CONN_MAX_AGE"] = 60  # Django refuses both at once: a pool keeps connections by itself.


def read_caches(redis_url: str) -> dict[str, Any]:
    """`default` is Redis if there is one; `local` is always this process's own memory."""
    local = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "local"}
    if not redis_url:
        return {"default": {**local, "LOCATION": "default"}, "local": local}
    redis = {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": redis_url,
        "OPTIONS": {
            "SOCKET_CONNECT_TIMEOUT": SECONDS_ON_REDIS,
            "SOCKET_TIMEOUT": SECONDS_ON_REDIS,
            # A pickle that somebody else wrote runs code when it is read.
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            # Off, because a lock that could not be taken would look like one that was lost.
            "IGNORE_EXCEPTIONS": False,
        },
    }
    return {"default": redis, "local": local}
