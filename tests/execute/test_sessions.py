"""The batch's own session middleware does not undo what the sub-requests did to the session."""

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import include, path
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response

from chat.views.accounts import LoginView
from tests.factories import PASSWORD, UserFactory

GetResponse = Callable[[HttpRequest], HttpResponse]


@api_view(["POST"])
@authentication_classes([])
@permission_classes([])
def keep(request: Request) -> Response:
    request.session.update(request.data)
    return Response(dict(request.session.items()))


urlpatterns = [
    path("api/keep/", keep),
    path("api/login/", LoginView.as_view()),
    path("api/batch/", include("batchapi.urls")),
]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]


def count_visits(get_response: GetResponse) -> GetResponse:
    """Middleware that writes into the session before the batch begins."""

    def respond(request: HttpRequest) -> HttpResponse:
        request.session["visits"] = request.session.get("visits", 0) + 1
        return get_response(request)

    return respond


def look_at_user(get_response: GetResponse) -> GetResponse:
    """Middleware that has the user looked up, and with it the session loaded, before the batch begins."""

    def respond(request: HttpRequest) -> HttpResponse:
        assert request.user.is_authenticated in (True, False)
        return get_response(request)

    return respond


def post(
    client: Client, *requests: dict[str, Any], middleware: Callable[[GetResponse], GetResponse] | None = None
) -> Any:
    extra = [f"{__name__}.{middleware.__name__}"] if middleware else []
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, *extra]):
        batch = {"requests": [{"method": "POST", **request} for request in requests]}
        browser = Client()  # A client loads MIDDLEWARE once.
        browser.cookies = client.cookies
        return browser.post("/api/batch/", batch, content_type="application/json")


def session_of(client: Client) -> dict[str, Any]:
    return dict(SessionStore(client.cookies["sessionid"].value).items())


def test_what_middleware_wrote_before_and_what_a_view_wrote_are_both_kept(client: Client) -> None:
    response = post(client, {"url": "/api/keep/", "body": {"a": 1}}, middleware=count_visits)
    assert response.json()["responses"][0]["body"] == {"visits": 1, "a": 1}
    assert session_of(client) == {"visits": 1, "a": 1}


def test_saving_every_request_saves_no_older_copy(client: Client) -> None:
    post(client, {"url": "/api/keep/", "body": {"a": 1}})
    with override_settings(SESSION_SAVE_EVERY_REQUEST=True):
        post(
            client,
            {"url": "/api/keep/", "body": {"b": 2}},
            {"url": "/api/keep/", "body": {"c": 3}},
            middleware=look_at_user,
        )
    assert session_of(client) == {"a": 1, "b": 2, "c": 3}


def test_a_login_survives_a_stale_cookie_that_middleware_has_looked_up(client: Client) -> None:
    """The outer session proved to be gone, so Django would delete the cookie: the new one."""
    user = UserFactory()
    client.cookies["sessionid"] = "0123456789abcdef0123456789abcdef"
    login = {"url": "/api/login/", "body": {"username": user.username, "password": PASSWORD}}
    response = post(client, login, middleware=look_at_user)
    assert response.json()["responses"][0]["status"] == 200
    assert session_of(client)["_auth_user_id"] == str(user.pk)


def test_a_logout_by_a_view_deletes_the_cookie_once(client: Client) -> None:
    post(client, {"url": "/api/keep/", "body": {"a": 1}})
    key = client.cookies["sessionid"].value
    SessionStore(key).delete()
    response = post(client, {"url": "/api/keep/", "body": {}}, middleware=look_at_user)
    assert response.cookies["sessionid"]["max-age"] == 0
