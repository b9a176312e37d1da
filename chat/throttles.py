"""A login attempt in, leave to try or a 429 out."""

import json
from hashlib import sha256

from django.core.cache import caches
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView


class LoginThrottle(SimpleRateThrottle):
    """Ten attempts a minute at one username from one address, the successful ones too."""

    rate = "10/min"

    def allow_request(self, request: Request, view: APIView) -> bool:
        try:
            return super().allow_request(request, view)
        except RedisError:
            # Redis is away: each process counts for itself, which is neither a locked door nor an open one.
            self.cache = caches["local"]
            return super().allow_request(request, view)

    def get_cache_key(self, request: Request, view: APIView) -> str:
        username = request.data.get("username") if isinstance(request.data, dict) else None
        # Stripped, because the login reads " alice" as alice. Hashed, because a client may send any text as a name.
        attempt = json.dumps([self.get_ident(request), str(username).strip()])
        return f"login-throttle:{sha256(attempt.encode()).hexdigest()}"
