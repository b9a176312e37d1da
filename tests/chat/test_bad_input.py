"""Whatever is sent, nothing is a 500. Every route is asked with the worst that its parts can hold."""

import json
from itertools import product
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User

from tests.chat.conftest import JsonClient
from tests.factories import MessageFactory

IDS = ["²", "٣", "\0", "a\n", "..", "-", "x" * 65, "x" * 5000, "9" * 30, "9" * 5000, "%", "'; --", "\ufffe", "True"]
VALUES = [
    None,
    True,
    0,
    -1,
    1.5,
    1e308,
    10**100,
    "",
    "\0",
    "\ud800",
    "\udfff\ud800",
    "x" * 40_000,
    [],
    [[]],
    {},
    {"a": {}},
]
QUERIES = [f"{name}={quote(value)}" for name in ("page", "page_size", "search", "ordering", "role") for value in IDS]
PATHS = ["sessions/{}/", "sessions/{}/messages/", "messages/{}/"]


@pytest.fixture
def mine(alice: User) -> str:
    return str(MessageFactory(session__owner=alice, session__key="mine").pk)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "POST"])
def test_any_id_in_a_path(as_alice: JsonClient, path: str, method: str):
    for value in IDS:
        url = "/api/" + path.format(quote(value, safe=""))
        assert as_alice.generic(method, url, "{}", content_type="application/json").status_code < 500, url


@pytest.mark.parametrize("path", ["sessions/", "sessions/mine/", "sessions/mine/messages/", "stats/"])
def test_any_query(as_alice: JsonClient, mine: str, path: str):
    words = "+".join("x" * 3000)
    for query in [*QUERIES, f"search={words}", f"search={'%25' * 60_000}", "ordering=" + "title," * 3000, "page=%ff"]:
        assert as_alice.get(f"/api/{path}?{query}").status_code < 500, query[:100]


@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [
        ("POST", "auth/login/", ("username", "password")),
        ("POST", "sessions/", ("id", "title")),
        ("PUT", "sessions/mine/", ("id", "title")),
        ("PUT", "sessions/new/", ("id", "title")),
        ("PATCH", "sessions/mine/", ("id", "title", "last_message")),
        ("POST", "sessions/mine/messages/", ("content", "role", "session")),
        ("PATCH", "messages/{}/", ("content", "role", "id")),
    ],
)
def test_any_value_in_a_body(as_alice: JsonClient, mine: str, method: str, path: str, fields: tuple[str, ...]):
    url = "/api/" + path.format(mine)
    for field, value in product(fields, VALUES):
        body = json.dumps({"content": "x", "username": "a", "password": "b", field: value})
        answer = as_alice.generic(method, url, body, content_type="application/json")
        assert answer.status_code < 500, (field, value)


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"x"', b"1", b"{", b"\xff", b"[" * 100_000, b"9" * 5000, b"NaN"]
)
@pytest.mark.parametrize("path", ["auth/login/", "sessions/", "sessions/mine/messages/"])
def test_any_body(as_alice: JsonClient, mine: str, path: str, body: bytes):
    assert as_alice.generic("POST", f"/api/{path}", body, content_type="application/json").status_code < 500


@pytest.mark.parametrize(
    "header", ["If-Match", "If-None-Match", "Accept", "Accept-Language", "Authorization", "Cookie"]
)
def test_any_header(as_alice: JsonClient, mine: str, header: str):
    for value in ["", '"', 'W/"', ",,,", "*/*;q=x", "ä", "Token", "Token ä", "sessionid=ä", "x" * 8000]:
        assert as_alice.patch("/api/sessions/mine/", {}, headers={header: value}).status_code < 500, value
        assert as_alice.get("/api/sessions/mine/", headers={header: value}).status_code < 500, value
