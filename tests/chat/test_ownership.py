"""Every endpoint, every method: somebody else's row is 404, and without an account it is 401."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.urls import get_resolver

from chat.models import Message, Session
from tests.chat.conftest import JsonClient
from tests.factories import MessageFactory

READS = ("get", "head", "options")
ROUTES = {
    "session-list": ("/api/sessions/", (*READS, "post")),
    "session-detail": ("/api/sessions/hers/", (*READS, "put", "patch", "delete")),
    "session-messages": ("/api/sessions/hers/messages/", (*READS, "post")),
    "message-detail": ("/api/messages/{message}/", (*READS, "patch", "delete")),
    "stats": ("/api/stats/", READS),
    "users-me": ("/api/users/me/", READS),
    "auth-me": ("/api/auth/me/", READS),
    "auth-token": ("/api/auth/token/", ("options", "post", "delete")),
    "auth-logout": ("/api/auth/logout/", ("options", "post")),
}
OPEN = {"auth-login"}
ASKED = [(url, method) for url, methods in ROUTES.values() for method in methods]
# OPTIONS describes the route, not the row; a PUT makes a session of one's own under the same id.
HERS = [
    (url, method)
    for route in ("session-detail", "session-messages", "message-detail")
    for url, methods in [ROUTES[route]]
    for method in methods
    if method not in {"options", "put"}
]


@pytest.fixture
def message(alice: User) -> Message:
    return MessageFactory(session__owner=alice, session__key="hers", session__title="Private", content="Secret")


def ask(client: JsonClient, url: str, method: str, message: Message) -> Callable[..., object]:
    body = {} if method in READS else {"title": "Stolen", "content": "Stolen"}
    return getattr(client, method)(url.format(message=message.pk), body)


def test_the_table_knows_every_route_of_the_chat():
    names = {pattern.name for pattern in get_resolver("chat.urls").url_patterns}
    assert names == ROUTES.keys() | OPEN


@pytest.mark.parametrize(("url", "method"), ASKED)
def test_without_an_account_everything_is_401(anonymous: JsonClient, message: Message, url: str, method: str):
    answer = ask(anonymous, url, method, message)

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize("url", ["/api/sessions/²/", "/api/sessions/nobodys/", "/api/messages/99999/"])
def test_without_an_account_an_id_that_is_not_there_is_401_too(anonymous: JsonClient, url: str):
    assert anonymous.get(url).status_code == 401
    assert anonymous.delete(url).status_code == 401


@pytest.mark.parametrize(("url", "method"), HERS)
def test_what_is_hers_is_404_for_him(as_bob: JsonClient, message: Message, url: str, method: str):
    answer = ask(as_bob, url, method, message)
    nowhere = ask(as_bob, url.replace("hers", "nobodys").replace("{message}", "99999"), method, message)

    assert answer.status_code == 404
    assert answer.content == nowhere.content, "An id that is taken must look like one that is not."
    assert Message.objects.get(content="Secret", session__title="Private") == message


def test_his_lists_and_numbers_hold_nothing_of_hers(as_bob: JsonClient, message: Message):
    assert as_bob.get("/api/sessions/").json()["count"] == 0
    assert as_bob.get("/api/sessions/?search=Private").json()["count"] == 0
    assert as_bob.get("/api/stats/").json()["messages"] == 0


def test_his_put_to_her_id_makes_a_session_of_his_own(as_bob: JsonClient, message: Message):
    assert as_bob.put("/api/sessions/hers/", {"title": "His"}).status_code == 201
    assert Session.objects.get(owner__username="alice").title == "Private"
    assert as_bob.get("/api/sessions/hers/messages/").json()["count"] == 0


def test_her_version_is_no_condition_that_he_can_try(as_alice: JsonClient, as_bob: JsonClient, message: Message):
    etag = as_alice.get("/api/sessions/hers/")["ETag"]

    assert as_bob.get("/api/sessions/hers/", headers={"If-None-Match": etag}).status_code == 404
    assert as_bob.delete("/api/sessions/hers/", headers={"If-Match": '"other"'}).status_code == 404


def test_the_admin_too_sees_only_their_own_through_the_api(alice: User, as_bob: JsonClient, message: Message):
    User.objects.filter(username="bob").update(is_staff=True, is_superuser=True)
    assert as_bob.get("/api/sessions/hers/").status_code == 404
