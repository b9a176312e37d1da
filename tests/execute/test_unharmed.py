"""One bad sub-request never harms another: what a view, a URL pattern or middleware breaks, and what stays whole."""

from collections.abc import Callable
from threading import Lock
from typing import Any

import pytest
from django.core.exceptions import MiddlewareNotUsed
from django.core.signals import got_request_exception, request_finished, request_started
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.test import Client, override_settings
from django.urls import include, path, register_converter
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from batchapi import batchable
from chat.models import Session
from tests.factories import UserFactory


class Explosive:
    regex = "[a-z]+"

    def to_python(self, value: str) -> str:
        raise KeyError(value)

    def to_url(self, value: str) -> str:
        return value


class Registered(type):
    """A metaclass that refuses a second class of the same name."""

    names: set[str] = set()  # noqa: RUF012

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        assert name not in cls.names
        cls.names.add(name)
        super().__init__(name, bases, namespace)


class Counted(APIView, metaclass=Registered):
    def get(self, request: Request) -> Response:
        return Response("counted")


@api_view(["GET"])
def fine(request: Request, **_: Any) -> Response:
    return Response("fine")


@api_view(["GET"])
def crash(request: Request) -> Response:
    raise RuntimeError("boom")


@api_view(["GET"])
def unsendable(request: Request) -> Response:
    response = Response("x")
    response.set_cookie("n", "你")
    return response


@api_view(["GET"])
def bag(request: Request) -> Response:
    request._request.bag.append(1)
    return Response(request._request.bag)


@batchable
def who(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.name, content_type="text/plain")  # type: ignore[union-attr]


@api_view(["POST"])
def leave_manual(request: Request) -> Response:
    transaction.set_autocommit(False)
    return Response("manual")


@api_view(["POST"])
def write(request: Request) -> Response:
    Session.objects.create(owner_id=request.data["owner"], key="kept")
    return Response("written")


register_converter(Explosive, "explosive")
urlpatterns = [
    path("api/batch/", include("batchapi.urls")),
    path("api/c/<explosive:word>/", fine),
    *(path(f"api/{view.cls.__name__}/", view) for view in (fine, crash, unsendable, bag, leave_manual, write)),
    path("api/counted/", Counted.as_view()),
    path("api/who/", who),
]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _open_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to be anybody here."""
    for view in urlpatterns[1:-1]:
        view_class: Any = view.callback.cls
        monkeypatch.setattr(view_class, "authentication_classes", ())
        monkeypatch.setattr(view_class, "permission_classes", ())


def answers(*urls: str, method: str = "GET", body: Any = None) -> list[dict[str, Any]]:
    requests = [{"method": method, "url": url, "body": body} for url in urls]
    client = Client(raise_request_exception=False)
    response = client.post("/api/batch/", {"requests": requests}, content_type="application/json")
    assert response.status_code == 200, response.content
    found: list[dict[str, Any]] = response.json()["responses"]
    return found


def statuses(*urls: str, **options: Any) -> list[int]:
    return [answer["status"] for answer in answers(*urls, **options)]


def test_a_url_pattern_that_raises_is_that_sub_requests_500() -> None:
    first, second = answers("/api/c/boom/", "/api/fine/")
    assert (first["status"], first["body"]["code"], first["body"]["executed"]) == (500, "crashed", False)
    assert second["status"] == 200


def test_a_cookie_that_no_server_can_send_is_that_sub_requests_500() -> None:
    assert statuses("/api/unsendable/", "/api/fine/") == [500, 200]


def test_a_view_class_that_refuses_to_be_subclassed_is_left_alone() -> None:
    assert statuses("/api/counted/", "/api/counted/") == [200, 200]


def test_a_receiver_that_raises_does_not_end_the_batch() -> None:
    def receiver(**_: Any) -> None:
        raise RuntimeError("not my day")

    got_request_exception.connect(receiver)
    try:
        assert statuses("/api/crash/", "/api/fine/") == [500, 200]
    finally:
        got_request_exception.disconnect(receiver)


def hang_a_bag(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware that hangs a list on each request."""

    def respond(request: HttpRequest) -> HttpResponse:
        vars(request)["bag"] = []
        return get_response(request)

    return respond


def test_each_sub_request_has_its_own_list_from_middleware() -> None:
    with override_settings(MIDDLEWARE=[f"{__name__}.hang_a_bag"]):
        assert [answer["body"] for answer in answers("/api/bag/", "/api/bag/")] == [[1], [1]]


class Locked:
    """A user that cannot be copied."""

    name = "locked"
    is_active = is_authenticated = True

    def __init__(self) -> None:
        self.lock = Lock()


def bring_locked_user(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware with a user class of its own."""

    def respond(request: HttpRequest) -> HttpResponse:
        vars(request)["user"] = Locked()
        return get_response(request)

    return respond


def test_a_user_that_cannot_be_copied_is_handed_on_as_it_is() -> None:
    with override_settings(MIDDLEWARE=[f"{__name__}.bring_locked_user"]):
        assert [answer["body"] for answer in answers("/api/who/", "/api/who/")] == ["locked", "locked"]


class SteppingAside(CsrfViewMiddleware):
    def __init__(self, get_response: Any) -> None:
        raise MiddlewareNotUsed


def test_middleware_that_steps_aside_is_not_called() -> None:
    with override_settings(MIDDLEWARE=[f"{__name__}.SteppingAside"]):
        assert statuses("/api/fine/") == [200]


@pytest.mark.django_db(transaction=True)
def test_a_view_that_leaves_autocommit_off_loses_nobody_elses_rows() -> None:
    owner = UserFactory().pk
    assert statuses("/api/leave_manual/", "/api/write/", method="POST", body={"owner": owner}) == [200, 200]
    connection.close()
    assert Session.objects.filter(key="kept").exists()


def test_django_hears_of_one_request_only() -> None:
    """`request_finished` would close the connections in the middle of the batch."""
    heard: list[str] = []

    def started(**_: Any) -> None:
        heard.append("started")

    def finished(**_: Any) -> None:
        heard.append("finished")

    request_started.connect(started)
    request_finished.connect(finished)
    try:
        answers("/api/fine/", "/api/crash/", "/api/fine/")
    finally:
        request_started.disconnect(started)
        request_finished.disconnect(finished)
    assert heard == ["started", "finished"]
