"""Views that write a row and then end in every way that matters to whoever sends them twice."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

from django.contrib.auth import login
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from batchapi import batch_policy, batchable
from chat.models import Session
from tests.idempotency.cuts import happen

CALLS: list[str] = []  # names that views were called with, in order


def write(name: str) -> None:
    """One row more, whatever rows there are of that name."""
    Session.objects.create(owner=User.objects.earliest("pk"), key=uuid4().hex, title=name)


def kept() -> dict[str, int]:
    """How often each name was written."""
    return dict(Counter(Session.objects.values_list("title", flat=True)))


def refuse(error: type[Exception], *arguments: Any) -> None:
    raise error(*arguments)


def break_a_rule() -> None:
    """What Django's ORM notices, outside of a savepoint: nothing that was written can be kept."""
    try:
        User.objects.create(username=User.objects.earliest("pk").username)
    except IntegrityError:
        return


def elsewhere() -> None:
    User.objects.using("other").create(username="elsewhere")


class Busy(exceptions.APIException):
    """Passes, with the third call."""

    status_code = 503


ENDS: dict[str, Callable[[], Any]] = {
    "400": partial(refuse, exceptions.ValidationError, "no"),
    "401": partial(refuse, exceptions.NotAuthenticated),
    "403": partial(refuse, exceptions.PermissionDenied),
    "429": partial(refuse, exceptions.Throttled, 1),
    "crash": partial(refuse, RuntimeError, "boom"),
    "busy": lambda: refuse(Busy) if len(CALLS) < 3 else None,
    "swallow": break_a_rule,
    "elsewhere": elsewhere,
    "hook": lambda: transaction.on_commit(partial(refuse, RuntimeError, "a hook")),
}
OUTCOMES: dict[str, str] = {}  # how names end for now, in place of what their URLs say


class Write(APIView):
    """Writes a row, then ends as the URL says; a number is the status of its answer."""

    def post(self, request: Request, name: str, end: str) -> Any:
        CALLS.append(name)
        happen(f"called {name}")
        write(name)
        transaction.on_commit(partial(happen, f"committed {name}"))
        happen(f"wrote {name}")
        end = OUTCOMES.get(name, end)
        if end in ENDS:
            ENDS[end]()
        if end == "stream":
            return StreamingHttpResponse(iter([b"a", b"b"]), content_type="text/plain")
        said = {"name": name, "sent": request.data, "atomic": connection.in_atomic_block}
        headers = {"Location": f"/api/read/{name}/", "X-Name": name}
        response = Response(said, status=int(end) if end.isdigit() else 201, headers=headers)
        if end == "cookie":
            response.set_cookie("biscuit", name)
        if end == "visit":
            request.session["visits"] = 1
        return response

    put = patch = delete = post


class Read(APIView):
    """Tells how often a name was written; 404 for never."""

    def get(self, _request: Request, name: str) -> Response:
        count = Session.objects.filter(title=name).count()
        return Response({"name": name, "count": count}, status=200 if count else 404)

    def post(self, _request: Request, name: str) -> Response:
        write(f"{name}'s")
        return Response({"of": name}, status=201, headers={"Location": "."})


class Remove(APIView):
    def get(self, _request: Request, name: str) -> Response:
        return Response(status=200 if Session.objects.filter(title=name).exists() else 404)

    def delete(self, _request: Request, name: str) -> Response:
        write("removed")
        Session.objects.filter(title=name).delete()
        return Response(status=204)


@batch_policy(changes_identity=True)
class LogIn(APIView):
    permission_classes = ()

    def post(self, request: Request) -> Response:
        CALLS.append("login")
        login(request._request, User.objects.earliest("pk"), "django.contrib.auth.backends.ModelBackend")
        return Response({"secret": "s3cret"})


@batchable
@csrf_exempt
async def write_async(_request: HttpRequest, name: str) -> HttpResponse:
    CALLS.append(name)
    owner = await User.objects.aearliest("pk")
    await Session.objects.acreate(owner=owner, key=uuid4().hex, title=name)
    return HttpResponse(name, status=201, content_type="text/plain")


urlpatterns = [
    path("api/write/<str:name>/<str:end>/", Write.as_view()),
    path("api/loose/<str:name>/<str:end>/", transaction.non_atomic_requests(Write.as_view())),
    path("api/async/<str:name>/", write_async),
    path("api/read/<str:name>/", Read.as_view()),
    path("api/remove/<str:name>/", Remove.as_view()),
    path("api/login/", LogIn.as_view()),
    path("api/batch/", include("batchapi.urls")),
]
