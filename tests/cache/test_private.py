"""What is kept for one is given to nobody else, and to nobody who has lost the right to it."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.test import Client, override_settings
from django.utils.translation import override
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from batchapi import get_batch_processor, handle_batch_request
from tests.cache.asking import Record, ask, fate, fates, said
from tests.cache.views import RAN
from tests.cache.views_private import Flag, Passes
from tests.factories import PASSWORD, SessionFactory, TokenFactory, UserFactory, permission_to_change_groups

pytestmark = [pytest.mark.urls("tests.cache.views_private"), pytest.mark.usefixtures("store")]
Introduce = Callable[[User], Client]


BACKENDS = ["django.contrib.auth.backends.ModelBackend", "django.contrib.auth.backends.RemoteUserBackend"]


@pytest.fixture(autouse=True)
def _as_at_first(settings: Any) -> None:
    RAN.clear()
    Flag.is_on, Flag.is_broken, Passes.now = True, False, 0.0
    settings.AUTHENTICATION_BACKENDS = BACKENDS


def by_session(user: User, **environ: Any) -> Client:
    client = Client(raise_request_exception=False, **environ)
    client.force_login(user)
    return client


def by_token(user: User) -> Client:
    token, _ = Token.objects.get_or_create(user=user)
    return Client(raise_request_exception=False, headers={"Authorization": f"Token {token.key}"})


def by_basic(user: User) -> Client:
    credential = b64encode(f"{user.username}:{PASSWORD}".encode()).decode()
    return Client(raise_request_exception=False, headers={"Authorization": f"Basic {credential}"})


def by_pass(user: User) -> Client:
    return Client(raise_request_exception=False, headers={"Authorization": f"Pass {user.username} 100"})


def by_server(user: User) -> Client:
    return Client(raise_request_exception=False, REMOTE_USER=user.username)


def by_force(user: User) -> Client:
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(user)
    return client


ROADS: dict[str, tuple[Introduce, str]] = {
    "session": (by_session, "/api/me/"),
    "a session, of a plain view": (by_session, "/api/me/plain/"),
    "a session, behind a decorator": (by_session, "/api/me/wrapped/"),
    "token": (by_token, "/api/me/"),
    "a token, behind a decorator": (by_token, "/api/me/wrapped/"),
    "basic": (by_basic, "/api/me/basic/"),
    "an authenticator of its own": (by_pass, "/api/me/pass/"),
    "the server": (by_server, "/api/me/server/"),
    "force_authenticate": (by_force, "/api/me/"),
}
pytestmark_roads = pytest.mark.parametrize(("introduce", "url"), ROADS.values(), ids=ROADS)


@pytestmark_roads
def test_each_gets_their_own_answer_and_gets_it_again(introduce: Introduce, url: str) -> None:
    """Through all that gives answers again: the cache, copies within the batch, conditions, HEAD, stale ones."""
    alice, bob = UserFactory(username="alice"), UserFactory(username="bob")
    SessionFactory(owner=alice)
    browsers = {"alice": introduce(alice), "bob": introduce(bob)}
    again = {"url": url, "headers": {"If-None-Match": '"alice"'}}
    for fate_expected in ("fwd=miss; stored", "hit"):
        for name, client in browsers.items():
            first, copy, head, condition = ask(url, url, {"url": url, "method": "HEAD"}, again, client=client)
            assert first["body"][0] == copy["body"][0] == name
            assert said(first) == fate_expected
            assert not head.get("body")
            is_known = fate_expected == "hit" and first["headers"].get("Etag") == '"alice"'
            assert condition["status"] == (304 if is_known else 200)
            assert condition["headers"].get("Etag") == first["headers"].get("Etag") == head["headers"].get("Etag")
    nobody = ask(url)[0]
    assert "alice" not in str(nobody)
    assert "bob" not in str(nobody)


@pytestmark_roads
def test_an_old_answer_of_one_stands_in_for_nobody_else(introduce: Introduce, url: str) -> None:
    alice, bob = introduce(UserFactory(username="alice")), introduce(UserFactory(username="bob"))
    broken = {"url": f"{url}?fail"}
    ask(broken, client=alice)
    Flag.is_broken = True
    wish = broken | {"headers": {"Cache-Control": "max-age=0"}}
    mine, theirs = ask(wish, client=alice)[0], ask(wish, client=bob)[0]
    assert (mine["status"], theirs["status"]) == (200, 500)
    assert "stale-if-error" in mine["headers"]["Cache-Status"]
    assert "alice" not in str(theirs)


def remove_from_group(user: User) -> None:
    user.groups.clear()


def take_permission(user: User) -> None:
    user.user_permissions.clear()


def take_permission_of_group(user: User) -> None:
    Group.objects.get(name="members").permissions.clear()


def deactivate(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def degrade(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_staff=False)


def change_password(user: User) -> None:
    user.set_password("another")
    user.save()


def delete_token(user: User) -> None:
    Token.objects.filter(user=user).delete()


def delete(user: User) -> None:
    user.delete()


def lower_flag(user: User) -> None:
    Flag.is_on = False


def wait(user: User) -> None:
    Passes.now = 101.0


REVOKED: dict[str, tuple[Introduce, str, Callable[[User], None]]] = {
    "group": (by_session, "/api/members/", remove_from_group),
    "permission": (by_session, "/api/permitted/", take_permission),
    "the group's permission": (by_session, "/api/permitted/", take_permission_of_group),
    "staff": (by_token, "/api/staff/", degrade),
    "a flag": (by_session, "/api/flagged/", lower_flag),
    "a flag, behind a decorator": (by_session, "/api/flagged/wrapped/", lower_flag),
    "inactive, session": (by_session, "/api/me/", deactivate),
    "inactive, token": (by_token, "/api/me/", deactivate),
    "inactive, behind a decorator": (by_token, "/api/me/wrapped/", deactivate),
    "inactive, basic": (by_basic, "/api/me/basic/", deactivate),
    "password, session": (by_session, "/api/me/", change_password),
    "password, basic": (by_basic, "/api/me/basic/", change_password),
    "token": (by_token, "/api/me/", delete_token),
    "token, behind a decorator": (by_token, "/api/me/wrapped/", delete_token),
    "a pass that is over": (by_pass, "/api/me/pass/", wait),
    "deleted, session": (by_session, "/api/me/", delete),
    "deleted, token": (by_token, "/api/me/", delete),
}


@pytest.mark.parametrize(("introduce", "url", "revoke"), REVOKED.values(), ids=REVOKED)
def test_who_has_lost_the_right_gets_nothing_that_was_kept(
    introduce: Introduce, url: str, revoke: Callable[[User], None]
) -> None:
    """Neither fresh nor stale, nor the news that it has not changed."""
    alice = UserFactory(username="alice", is_staff=True)
    members = Group.objects.create(name="members")
    change = permission_to_change_groups()
    alice.groups.add(members)
    if revoke is take_permission:
        alice.user_permissions.add(change)
    elif revoke is take_permission_of_group:
        members.permissions.add(change)
    client = introduce(alice)
    assert fates(url, client=client) == ["fwd=miss; stored"] or "wrapped" in url
    assert [record["status"] for record in ask(url, client=client)] == [200]
    revoke(alice)
    again = {"url": url, "headers": {"If-None-Match": '"alice"'}}
    for record in ask(url, {"url": url, "method": "HEAD"}, again, client=client):
        assert record["status"] in (401, 403)
        assert "alice" not in str(record)


def test_who_has_logged_out_gets_nothing_that_was_kept() -> None:
    alice = by_session(UserFactory(username="alice"))
    cookie = alice.cookies[settings.SESSION_COOKIE_NAME].value
    assert fates("/api/me/", client=alice) == ["fwd=miss; stored"]
    alice.logout()
    thief = Client()
    thief.cookies[settings.SESSION_COOKIE_NAME] = cookie
    assert [record["status"] for record in ask("/api/me/", client=thief)] == [401]


def test_a_row_that_was_changed_is_shown_as_it_is_now() -> None:
    alice = UserFactory(username="alice")
    client = by_session(alice)
    ask("/api/me/", client=client)
    User.objects.filter(pk=alice.pk).update(email="new@example.com")
    assert [record["body"][1] for record in ask("/api/me/", client=client)] == ["new@example.com"]


def test_a_row_that_is_no_longer_theirs() -> None:
    """What is asked of one row in SQL is asked again when the row has changed."""
    alice, bob = UserFactory(), UserFactory()
    session = SessionFactory(owner=alice)
    client, url = by_session(alice), f"/api/sessions/{session.pk}/"
    assert fates(url, url, client=client)[0] == "fwd=miss; stored"
    assert fate(url, client) == "hit"
    assert [record["status"] for record in ask(url, client=by_session(bob))] == [403]
    session.owner = bob
    session.save()
    assert [record["status"] for record in ask(url, client=client)] == [403]


def test_a_primary_key_that_is_used_again() -> None:
    """With the same name, the same address and the same session cookie all that is left is another row."""
    alice = UserFactory(username="alice")
    token = TokenFactory(user=alice)
    client = by_token(alice)
    SessionFactory(owner=alice)
    assert ask("/api/me/", client=client)[0]["body"][2] == 1
    pk = alice.pk
    alice.delete()
    second = UserFactory(pk=pk, username="alice")
    Token.objects.create(user=second, key=token.key)
    assert ask("/api/me/", client=client)[0]["body"][2] == 0


def answers_of(*urls: str, user: User | None) -> list[Record]:
    found: list[Record] = get_batch_processor(user=user).handle({"requests": [{"url": url} for url in urls]})[
        "responses"
    ]
    return found


def test_trusted_code_that_names_a_user_gets_what_is_theirs() -> None:
    alice, bob = UserFactory(username="alice"), UserFactory(username="bob")
    for user in (alice, bob, alice, bob):
        assert [record["body"][0] for record in answers_of("/api/me/", user=user)] == [user.username]
    assert [record["body"][0] for record in ask("/api/me/", client=by_session(bob))] == ["bob"]
    assert [record["status"] for record in answers_of("/api/me/", user=None)] == [401]
    deactivate(alice)
    assert [record["status"] for record in answers_of("/api/me/", user=alice)] == [401]


def test_a_page_that_asks_for_another_user(rf: Any) -> None:
    alice, bob = UserFactory(username="alice"), UserFactory(username="bob")
    browser = by_session(alice)
    page = rf.get("/page/", HTTP_COOKIE=browser.cookies.output(header="", attrs=[]))
    page.user, page.session = alice, browser.session
    payload = {"requests": [{"url": "/api/me/plain/"}]}
    for user, name in ((None, "alice"), (bob, "bob"), (None, "alice"), (bob, "bob")):
        [record] = handle_batch_request(page, payload, as_user=user)["responses"]
        assert record["body"][0] == name


# -- what is said to be public


def test_a_public_answer_that_asks_something_of_the_row_is_not_public() -> None:
    """Its permission comes from `get_permissions`, and is asked in the handler."""
    alice, bob = UserFactory(), UserFactory()
    url = f"/api/public-sessions/{SessionFactory(owner=alice).pk}/"
    assert [record["status"] for record in ask(url, client=by_session(alice))] == [200]
    assert [record["status"] for record in ask(url, client=by_session(bob))] == [403]


@pytest.mark.parametrize("url", ["/api/public-visits/", "/api/public-cookie/"])
def test_a_public_answer_that_looks_into_the_session_or_the_cookies_is_not_kept(url: str) -> None:
    alice, bob = by_session(UserFactory()), by_session(UserFactory())
    session = alice.session
    session["secret"] = "alice's"
    session.save()
    alice.cookies["secret"] = "alice's"
    assert ask(url, client=alice)[0]["body"][0] == "alice's"
    assert ask(url, client=bob)[0]["body"][0] is None


def test_a_public_answer_is_told_apart_by_scheme_and_host() -> None:
    with override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_SCHEME", "https"), ALLOWED_HOSTS=["*"]):
        clients = [
            Client(HTTP_X_SCHEME="https"),
            Client(),
            Client(HTTP_HOST="b.example"),
            Client(HTTP_HOST="c.example"),
        ]
        places = [ask("/api/public-words/", client=client)[0]["body"][1] for client in clients]
    assert places[1:] == ["http://testserver/", "http://b.example/", "http://c.example/"]
    assert places[0].startswith("https://testserver")


def test_a_public_answer_is_told_apart_by_language() -> None:
    words = []
    for language in ("de", "en", "de", "en"):
        with override(language):
            words.append(answers_of("/api/public-words/", user=None)[0]["body"][0])
    assert words == ["Ja", "Yes", "Ja", "Yes"]
    spoken = [{"url": "/api/public-words/", "headers": {"Accept-Language": tongue}} for tongue in ("de", "en", "fr")]
    assert [record["body"][0] for record in ask(*spoken)] == ["Ja", "Yes", "Oui"]
    german = Client()
    german.cookies[settings.LANGUAGE_COOKIE_NAME] = "de"
    assert ask("/api/public-words/", client=german)[0]["body"][0] == "Ja"
