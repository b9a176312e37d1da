"""Views that end in every way that a member of an atomic group can, and batches of them."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test import Client
from django.urls import include, path
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from batchapi import batch_policy
from chat.models import Message, Session
from tests.factories import UserFactory

HAPPENED: list[str] = []  # which hooks ran and which views were called, in order


class Open(APIView):
    permission_classes = (AllowAny,)
    authentication_classes = (SessionAuthentication,)


def crash() -> None:
    raise RuntimeError("boom")


def refuse() -> None:
    raise ValidationError("no")


def duplicate() -> None:
    """A second row with the same key of the same owner."""
    Session.objects.create(owner=User.objects.first(), key="twice")
    Session.objects.create(owner=User.objects.first(), key="twice")


def swallow() -> None:
    """Goes on after an error, without a savepoint round it."""
    with suppress(IntegrityError):
        duplicate()


def swallow_raw() -> None:
    """The same where Django's ORM does not see it."""
    with suppress(DatabaseError), connection.cursor() as cursor:
        cursor.execute("SELECT nonsense FROM nowhere")


def recover() -> None:
    """Goes on after an error, with a savepoint round it: nothing is wrong with that."""
    with suppress(IntegrityError), transaction.atomic():
        duplicate()


def orphan() -> None:
    """A row whose foreign key is only checked at COMMIT."""
    Message.objects.create(session_id=10**9, content="x")


def elsewhere() -> None:
    User.objects.using("other").create(username="elsewhere")


def read_elsewhere() -> None:
    assert User.objects.using("other").count() == 0


def raising_hook() -> None:
    transaction.on_commit(crash)


def hook_elsewhere() -> None:
    transaction.on_commit(elsewhere)


def renaming_hook() -> None:
    transaction.on_commit(lambda: User.objects.update(username="by a hook"))


def posting_hook() -> None:
    """A hook that would have the group's own rights for a batch of its own."""
    transaction.on_commit(lambda: HAPPENED.append(post(status=400).json()["code"]))


ENDS: dict[str, Callable[[], None]] = {
    kind.__name__: kind
    for kind in (crash, refuse, duplicate, swallow, swallow_raw, recover, orphan, elsewhere, read_elsewhere)
} | {
    "hook": raising_hook,
    "hook-elsewhere": hook_elsewhere,
    "renaming-hook": renaming_hook,
    "posting-hook": posting_hook,
}


class Write(Open):
    """Writes a row and leaves a hook, then ends as the URL says."""

    def post(self, request: Request, key: str, end: str) -> Response:
        HAPPENED.append(f"called {key}")
        Session.objects.create(owner=User.objects.earliest("pk"), key=key)
        transaction.on_commit(lambda: HAPPENED.append(f"committed {key}"))
        if end in ENDS:
            ENDS[end]()
        response = Response({"key": key, "depth": len(connection.savepoint_ids)}, status=409 if end == "409" else 201)
        response.set_cookie(key, "1")
        return response


@batch_policy(changes_identity=True)
class LogIn(Open):
    def post(self, request: Request) -> Response:
        login(
            request._request,
            User.objects.get(username=request.data["name"]),
            "django.contrib.auth.backends.ModelBackend",
        )
        return Response()

    def delete(self, request: Request) -> Response:
        logout(request._request)
        return Response(status=204)


class WhoAmI(Open):
    """Tells the user's name; POST changes it."""

    def get(self, request: Request) -> Response:
        return Response(request.user.get_username())

    def post(self, request: Request) -> Response:
        User.objects.filter(pk=request.user.pk).update(username="renamed")
        return Response()


urlpatterns = [
    path("api/write/<str:key>/<str:end>/", Write.as_view()),
    path("api/loose/<str:key>/<str:end>/", transaction.non_atomic_requests(Write.as_view())),
    path("api/login/", LogIn.as_view()),
    path("api/me/", WhoAmI.as_view()),
    path("api/batch/", include("batchapi.urls")),
]


def member(url: str, **more: Any) -> dict[str, Any]:
    return {"method": "POST", "url": f"/api/{url}/", "atomicityGroup": "g", **more}


def write(key: str, end: str = "well", **more: Any) -> dict[str, Any]:
    return member(f"write/{key}/{end}", id=key, **more)


def post(*requests: dict[str, Any], client: Client | None = None, status: int = 200) -> Any:
    """The outer answer; there is always a user that owns what is written."""
    if not User.objects.exists():
        UserFactory(username="alice")
    client = client or Client(raise_request_exception=False)
    response = client.post("/api/batch/", json.dumps({"requests": requests}), content_type="application/json")
    assert response.status_code == status, response.content
    return response


def answers(*requests: dict[str, Any], client: Client | None = None) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = post(*requests, client=client).json()["responses"]
    return records


def told(record: dict[str, Any]) -> tuple[int, Any, Any]:
    """Status, code and `executed` of a record."""
    body = record["body"] if isinstance(record["body"], dict) else {}
    return record["status"], body.get("code"), body.get("executed")


def kept() -> set[str]:
    return set(Session.objects.values_list("key", flat=True))
