"""The words of every refusal, endpoint by endpoint: clients show them to people."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.chat.conftest import JsonClient
from tests.factories import MessageFactory

REQUIRED = ["This field is required."]
BLANK = ["This field may not be blank."]
NULL = ["This field may not be null."]
NO_TEXT = ["Not a valid string."]
NO_ID = ["An id is 1 to 64 of the characters A-Z a-z 0-9 . _ ~ -"]
NO_ROLE = ["A role is user, assistant or system."]
NUL = ["Null characters are not allowed."]
SURROGATE = ["Surrogate characters are not allowed: U+D800."]
NO_OBJECT = {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}
NO_DATA = {"non_field_errors": ["No data provided"]}
NO_PAGE = {"detail": "Invalid page."}
NO_SESSION = {"detail": "No Session matches the given query."}
NO_MESSAGE = {"detail": "No Message matches the given query."}
CHANGED = {"detail": "This is not the version that If-Match or If-None-Match asks for."}
NO_LOGIN = {"non_field_errors": ["Unable to log in with provided credentials."]}


def too_long(limit: int) -> list[str]:
    return [f"Ensure this field has no more than {limit} characters."]


def no_method(method: str) -> dict[str, str]:
    return {"detail": f'Method "{method}" not allowed.'}


TABLE = [
    ("POST auth/login/", {}, 400, {"username": REQUIRED, "password": REQUIRED}),
    ("POST auth/login/", {"username": "", "password": ""}, 400, {"username": BLANK, "password": BLANK}),
    ("POST auth/login/", {"username": "a\0", "password": "\ud800"}, 400, {"username": NUL, "password": SURROGATE}),
    ("POST auth/login/", {"username": "alice", "password": "wrong"}, 400, NO_LOGIN),
    ("POST auth/login/", [], 400, NO_OBJECT),
    ("POST auth/login/", None, 400, NO_DATA),
    ("GET auth/login/", None, 405, no_method("GET")),
    ("GET auth/logout/", None, 405, no_method("GET")),
    ("GET auth/token/", None, 405, no_method("GET")),
    ("POST users/me/", {}, 405, no_method("POST")),
    ("POST stats/", {}, 405, no_method("POST")),
    ("GET sessions/?page=0", None, 404, NO_PAGE),
    ("GET sessions/?page=two", None, 404, NO_PAGE),
    (f"GET sessions/?search={'x' * 201}", None, 400, {"search": too_long(200)}),
    ("GET sessions/?search=%00", None, 400, {"search": NUL}),
    ("DELETE sessions/", None, 405, no_method("DELETE")),
    ("POST sessions/", {"id": "a b", "title": "x" * 201}, 400, {"id": NO_ID, "title": too_long(200)}),
    ("POST sessions/", {"id": None, "title": None}, 400, {"id": NULL, "title": NULL}),
    ("POST sessions/", {"title": ["x"]}, 400, {"title": NO_TEXT}),
    ("POST sessions/", {"title": True}, 400, {"title": NO_TEXT}),
    ("POST sessions/", {"title": "\0"}, 400, {"title": NUL}),
    ("POST sessions/", {"title": "\ud800"}, 400, {"title": SURROGATE}),
    ("POST sessions/", [], 400, NO_OBJECT),
    ("POST sessions/", None, 400, NO_DATA),
    ("GET sessions/nobodys/", None, 404, NO_SESSION),
    ("PATCH sessions/nobodys/", {}, 404, NO_SESSION),
    ("DELETE sessions/a b/", None, 404, NO_SESSION),
    ("PUT sessions/a b/", {}, 400, {"id": NO_ID}),
    ("PUT sessions/other/", {"id": "mine"}, 400, {"id": ["This is not the id in the URL."]}),
    ("PUT sessions/mine/", [], 400, NO_OBJECT),
    ("PATCH sessions/mine/", {"title": "x" * 201}, 400, {"title": too_long(200)}),
    ("POST sessions/mine/", {}, 405, no_method("POST")),
    ("GET sessions/nobodys/messages/", None, 404, NO_SESSION),
    ("POST sessions/nobodys/messages/", {}, 404, NO_SESSION),
    ("GET sessions/mine/messages/?page=9", None, 404, NO_PAGE),
    ("GET sessions/mine/messages/?role=boss", None, 400, {"role": NO_ROLE}),
    ("POST sessions/mine/messages/", {}, 400, {"content": REQUIRED}),
    ("POST sessions/mine/messages/", {"content": "", "role": ""}, 400, {"content": BLANK, "role": NO_ROLE}),
    ("POST sessions/mine/messages/", {"content": None, "role": None}, 400, {"content": NULL, "role": NULL}),
    ("POST sessions/mine/messages/", {"content": "x" * 32_001}, 400, {"content": too_long(32_000)}),
    ("POST sessions/mine/messages/", {"content": "a\0"}, 400, {"content": NUL}),
    ("POST sessions/mine/messages/", {"content": "\ud800"}, 400, {"content": SURROGATE}),
    ("POST sessions/mine/messages/", {"content": "x", "role": "\ud800"}, 400, {"role": NO_ROLE}),
    ("POST sessions/mine/messages/", {"content": "x", "role": ["user"]}, 400, {"role": NO_ROLE}),
    ("POST sessions/mine/messages/", None, 400, NO_DATA),
    ("DELETE sessions/mine/messages/", None, 405, no_method("DELETE")),
    ("GET messages/99999/", None, 404, NO_MESSAGE),
    ("PATCH messages/99999/", {"content": ""}, 404, NO_MESSAGE),
    ("PATCH messages/{message}/", {"content": ""}, 400, {"content": BLANK}),
    ("PUT messages/{message}/", {"content": "x"}, 405, no_method("PUT")),
]


def ask(client: JsonClient, request: str, body: Any, **headers: str) -> tuple[int, Any]:
    message = MessageFactory(session__owner__username="carol", session__key="mine")
    client.force_authenticate(message.session.owner)
    method, path = request.split(" ", 1)
    url = f"/api/{path}".format(message=message.pk)
    sent = {} if method == "GET" else {"data": json.dumps(body), "content_type": "application/json"}
    answer = client.generic(method, url, headers=headers, **sent)
    return answer.status_code, answer.json()


@pytest.mark.parametrize(("request_line", "body", "status", "words"), TABLE)
def test_a_refusal_says(anonymous: JsonClient, request_line: str, body: Any, status: int, words: dict[str, Any]):
    assert ask(anonymous, request_line, body) == (status, words)


@pytest.mark.parametrize(
    "request_line", ["PATCH sessions/mine/", "DELETE sessions/mine/", "DELETE messages/{message}/"]
)
def test_an_unmet_condition_says(anonymous: JsonClient, request_line: str):
    assert ask(anonymous, request_line, {}, **{"If-Match": '"other"'}) == (412, CHANGED)


def test_a_missing_and_a_wrong_credential_say(anonymous: JsonClient, alice: User):
    assert anonymous.get("/api/sessions/").json() == {"detail": "Authentication credentials were not provided."}
    anonymous.credentials(HTTP_AUTHORIZATION="Token 0123")
    assert anonymous.get("/api/sessions/").json() == {"detail": "Invalid token."}


def test_a_body_that_is_no_json_says(as_alice: JsonClient):
    answer = as_alice.post("/api/sessions/", "{", content_type="application/json")

    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("JSON parse error - ")


def test_too_many_logins_say(anonymous: JsonClient, alice: User):
    for _ in range(10):
        anonymous.post("/api/auth/login/", {"username": "alice", "password": "wrong"})

    answer = anonymous.post("/api/auth/login/", {"username": "alice", "password": "wrong"})

    assert answer.status_code == 429
    assert answer.json()["detail"].startswith("Request was throttled. Expected available in ")
