"""The tests' settings for a process of its own: caching on, in the Redis and under the prefix that it is told."""

import os

from tests import settings
from tests.settings import *

ROOT_URLCONF = "tests.cache.views_flight"
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": os.environ["CACHE_URL"],
        "KEY_PREFIX": os.environ["CACHE_PREFIX"],
    }
}
BATCHAPI = {**settings.BATCHAPI, "ENABLE_CACHING": True, "CACHE_SIZE": 100, "DEADLINE": float(os.environ["DEADLINE"])}
settings.DATABASES["default"]["NAME"] = os.environ["DATABASE_NAME"]
