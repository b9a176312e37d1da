"""Under ASGI a batch is answered as under WSGI: the sub-requests are WSGI requests either way."""

import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client

from tests.factories import PASSWORD, TokenFactory, UserFactory

pytestmark = [pytest.mark.urls("project.urls"), pytest.mark.django_db(transaction=True)]

BATCH = {
    "requests": [
        {"id": "login", "method": "POST", "url": "auth/login/", "body": {"username": "alice", "password": PASSWORD}},
        {"id": "me", "url": "users/me/"},
        {"id": "new", "method": "POST", "url": "/api/sessions/", "body": {"id": "trip", "title": "Größe"}},
        {"id": "found", "url": "http://testserver/api/sessions/?search=Gr%C3%B6%C3%9Fe"},
        {"id": "nope", "url": "/api/nope/"},
    ]
}
CHANGING = {"created_at", "updated_at", "correlation_id"}
CHANGING_HEADERS = {"Etag"}  # made from the times


def steady(value: Any) -> Any:
    """An answer without the times and ids that differ from run to run."""
    if isinstance(value, dict):
        return {k: steady(v) for k, v in value.items() if k not in CHANGING | CHANGING_HEADERS}
    return [steady(item) for item in value] if isinstance(value, list) else value


def post(client: Client | AsyncClient, batch: dict[str, Any], **options: Any) -> Any:
    """One batch through the WSGI or the ASGI handler."""
    send = async_to_sync(client.post) if isinstance(client, AsyncClient) else client.post
    response: Any = send("/api/batch/", batch, content_type="application/json", **options)
    assert response.status_code == 200
    return response


def test_an_asgi_server_gives_the_same_answer() -> None:
    """Login by session, non-ASCII text, an absolute URL, a repaired one, a refusal."""
    answers = []
    for client in (Client(), AsyncClient()):
        alice = UserFactory(pk=1, username="alice")
        response = post(client, BATCH)
        assert {"sessionid", "csrftoken"} <= set(response.cookies)
        answers.append(steady(json.loads(response.content)))
        alice.delete()
    assert [answer["status"] for answer in answers[0]["responses"]] == [200, 200, 201, 200, 404]
    assert answers[0] == answers[1]


def test_a_token_and_its_host_arrive() -> None:
    token = TokenFactory()
    batch = {"requests": [{"url": "http://testserver/api/users/me/"}]}
    response = post(AsyncClient(), batch, headers={"authorization": f"Token {token.key}"})
    assert response.json()["responses"][0]["body"]["username"] == token.user.username
