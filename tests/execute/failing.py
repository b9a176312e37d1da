"""Views that fail as often as they are told to, in every way that a batch knows."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from tempfile import TemporaryDirectory
from time import sleep
from typing import Any, ClassVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.urls import include, path
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import SimpleRateThrottle

from batchapi import batch_policy, batchable
from chat.models import Session
from tests.execute.lanes import Open
from tests.factories import SessionFactory


class UpstreamError(Exception):
    """What a project may say of itself that it passes."""


class Busy(APIException):
    status_code = 503


def sqlstate(state: str) -> OperationalError:
    """An error as psycopg tells it to Django."""

    class Cause(Exception):
        sqlstate = state

    return caused(OperationalError(), Cause())


def caused(error: Exception, cause: BaseException) -> Any:
    error.__cause__ = cause
    return error


class Trouble:
    """What is the matter, and for how many more calls."""

    calls: ClassVar[Counter[str]] = Counter()
    left = 0

    @classmethod
    def reset(cls, *, left: int = 0) -> None:
        cls.calls.clear()
        cls.left = left

    @classmethod
    def comes(cls) -> bool:
        """Whether this call fails."""
        cls.left -= 1
        return cls.left >= 0


def fail(kind: str) -> Response:
    match kind:
        case "deadlock":
            raise sqlstate("40P01")
        case "serialization":
            raise sqlstate("40001")
        case "shutdown":
            raise sqlstate("57P01")
        case "interface":
            raise InterfaceError("connection already closed")
        case "syntax":
            raise caused(DatabaseError(), Exception())
        case "upstream":
            raise UpstreamError
        case "crash":
            raise ValueError
        case "busy":
            raise Busy
        case "later":
            return Response(status=503, headers={"Retry-After": "1"})
        case "cookie":
            response = Response(status=503)
            response.set_cookie("failure", "")
            return response
    return Response({"detail": "no"}, status=int(kind))


class Failing(Open):
    """Fails in the way that the URL says."""

    def get(self, request: Request, kind: str) -> Response:
        Trouble.calls[f"{request.method} {kind}"] += 1
        response = fail(kind) if Trouble.comes() else Response({"kind": kind})
        response.set_cookie("status", str(response.status_code)) if kind == "cookie" else None
        return response

    post = put = get


class Writing(Open):
    """A GET that writes, and then fails."""

    def get(self, request: Request) -> Response:
        Trouble.calls["write"] += 1
        SessionFactory()
        return fail("503") if Trouble.comes() else Response(Session.objects.count())


class Ten(SimpleRateThrottle):
    rate = "10/hour"
    scope = "ten"

    def get_cache_key(self, request: Request, view: Any) -> str:
        return "ten"


class Tiring(Open):
    """Every call takes as long as the query says, and the first ones fail after that."""

    def get(self, request: Request) -> Response:
        Trouble.calls["tiring"] += 1
        has_trouble = Trouble.comes()
        sleep(float(request.query_params["first" if has_trouble else "then"]))
        return fail("503") if has_trouble else Response()


class Endless(Open):
    def get(self, request: Request) -> StreamingHttpResponse:
        Trouble.calls["endless"] += 1
        return StreamingHttpResponse(b"x" * 1000 for _ in range(100))


class Cookies(Open):
    def get(self, request: Request) -> Response:
        return Response(sorted(request.COOKIES))


class Throttled(Failing):
    throttle_classes = (Ten,)


@batch_policy(retry=False)
class Once(Failing):
    pass


@batch_policy(retry=(UpstreamError,))
class Declared(Failing):
    pass


@batch_policy(circuit=False)
class Called(Failing):
    pass


@batchable
async def failing_async(request: HttpRequest, kind: str) -> JsonResponse:
    Trouble.calls[f"async {kind}"] += 1
    if Trouble.comes():
        if kind == "deadlock":
            raise sqlstate("40P01")
        return JsonResponse({}, status=int(kind))
    return JsonResponse({"kind": kind})


class Asleep(Open):
    """Cannot be told to come back."""

    def get(self, request: Request) -> Response:
        Trouble.calls["asleep"] += 1
        sleep(0.6)
        return Response()


class Reading(Open):
    """Reads rows, where the database lets it: PostgreSQL ends the connection just before, SQLite is locked."""

    def get(self, request: Request) -> Response:
        Trouble.calls["read"] += 1
        if Trouble.comes():
            with connection.cursor() as cursor, connection.wrap_database_errors:
                if connection.vendor == "postgresql":
                    cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
                else:
                    read_locked()
        return Response(Session.objects.count())


def read_locked() -> None:
    """As long as one waits for it, somebody else writes this file."""
    with TemporaryDirectory() as folder:
        other, ours = (sqlite3.connect(f"{folder}/file", isolation_level=None, timeout=0) for _ in range(2))
        try:
            other.execute("BEGIN EXCLUSIVE")
            ours.execute("SELECT * FROM sqlite_master")
        finally:
            other.close()
            ours.close()


VIEWS: dict[str, Callable[..., Any]] = {
    "fail": Failing.as_view(),
    "throttled": Throttled.as_view(),
    "once": Once.as_view(),
    "declared": Declared.as_view(),
    "called": Called.as_view(),
}
urlpatterns = [
    *(path(f"api/{name}/<str:kind>/", view, name=name) for name, view in VIEWS.items()),
    path("api/other/<str:kind>/", Failing.as_view(), name="other"),
    path("api/async/<str:kind>/", failing_async, name="async"),
    path("api/writing/", Writing.as_view(), name="writing"),
    path("api/reading/", Reading.as_view(), name="reading"),
    path("api/tiring/", Tiring.as_view(), name="tiring"),
    path("api/endless/", Endless.as_view(), name="endless"),
    path("api/cookies/", Cookies.as_view(), name="cookies"),
    path("api/asleep/", Asleep.as_view(), name="asleep"),
    path("api/batch/", include("batchapi.urls")),
]
