"""Views that take their time and note where they ran, and batches of them."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from time import sleep
from typing import Any

from django.dispatch import Signal
from django.test import Client, override_settings
from django.urls import include, path
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chat.models import Session

RAN: list[tuple[str, int]] = []  # what ran, and on which thread, as it began
BATCH = "/api/batch/"


class Open(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)


def pause(request: Request) -> None:
    """As many milliseconds as the query says."""
    sleep(int(request.query_params.get("ms", 0)) / 1000)


class Slow(Open):
    """Notes that it ran, sleeps, and reads the rows."""

    def get(self, request: Request, name: str) -> Response:
        RAN.append((name, get_ident()))
        pause(request)
        return Response(sorted(Session.objects.values_list("key", flat=True)))

    post = get


urlpatterns = [
    path("api/slow/<str:name>/", Slow.as_view()),
    path("api/batch/", include("batchapi.urls")),
]


def get(url: str, key: str | None = None, **more: Any) -> dict[str, Any]:
    return {"method": "GET", "url": f"/api/{url}", **({"id": key} if key else {}), **more}


def post(url: str, key: str | None = None, **more: Any) -> dict[str, Any]:
    return get(url, key, **more) | {"method": "POST"}


def send(*requests: dict[str, Any], client: Client | None = None, headers: Any = None, **more: Any) -> Any:
    """The outer answer."""
    client = client or Client(raise_request_exception=False)
    payload = json.dumps({"requests": requests, **more})
    response = client.post(BATCH, payload, content_type="application/json", headers=headers)
    assert response.status_code == 200, response.content
    return response


def answers(*requests: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = send(*requests, **more).json()["responses"]
    return found


def statuses(*requests: dict[str, Any], **more: Any) -> list[int]:
    return [record["status"] for record in answers(*requests, **more)]


def names() -> list[str]:
    """What ran, in the order that it began."""
    return [name for name, _ in RAN]


def runs() -> Counter[str]:
    """How often each of them ran."""
    return Counter(names())


def threads() -> set[int]:
    """The threads that anything ran on."""
    return {thread for _, thread in RAN}


@contextmanager
def hearing(signal: Signal, receiver: Any) -> Iterator[None]:
    """Somebody listens to a signal."""
    signal.connect(receiver, weak=False)
    try:
        yield
    finally:
        signal.disconnect(receiver)


def with_settings(**settings: Any) -> override_settings:
    """BATCHAPI as it is in the project, but for some."""
    from django.conf import settings as project

    return override_settings(BATCHAPI={**project.BATCHAPI, **settings})
