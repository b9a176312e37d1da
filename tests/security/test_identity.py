"""S6: each view asks for itself who is there, and hears what it would hear alone."""

from base64 import b64encode
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, override_settings
from rest_framework.test import APIClient

from tests.factories import PASSWORD, TokenFactory, UserFactory
from tests.security.asking import answer, answers
from tests.security.hashers import HASHED

pytestmark = [pytest.mark.urls("tests.security.urls"), pytest.mark.django_db]

WHO = ("/api/whoami/", "/api/session-only/", "/api/token-only/", "/api/basic-only/", "/api/batchable/")
MIDDLEWARE = "django.contrib.sessions.middleware.SessionMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"


def basic(user: User, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user.username}:{password}".encode()).decode()}


def token(user: User) -> dict[str, str]:
    return {"Authorization": f"Token {TokenFactory(user=user).key}"}


def who(record: dict[str, Any]) -> Any:
    """The user's name, or the status of a refusal."""
    return record["body"]["user"] if record["status"] == 200 else record["status"]


def change(user: User, do: str) -> dict[str, Any]:
    return {"url": "/api/change/", "method": "POST", "body": {"username": user.username, "do": do}}


def client_of(kind: str, user: User) -> Client:
    """A client that says who it is in one of four ways."""
    if kind == "session":
        client = Client()
        client.force_login(user)
        return client
    return Client(headers={"nobody": {}, "token": token(user), "basic": basic(user)}[kind])


@pytest.mark.parametrize("first", WHO)
@pytest.mark.parametrize("kind", ["nobody", "session", "token", "basic"])
def test_a_view_with_another_authenticator_answers_as_it_does_alone(kind: str, first: str, alice: User):
    """Whatever view authenticated somebody before it: a session-only view knows no token."""
    client = client_of(kind, alice)
    alone = [client.get(url) for url in WHO]
    inside = answers([{"url": first}, *({"url": url} for url in WHO)], client=client)[1:]
    assert [record["status"] for record in inside] == [response.status_code for response in alone]
    assert [record["body"] for record in inside] == [response.json() for response in alone]
    challenges = [record["headers"].get("Www-Authenticate") for record in inside]
    assert challenges == [response.headers.get("WWW-Authenticate") for response in alone]


@pytest.mark.parametrize(("password", "status"), [(PASSWORD, 200), ("wrong", 401)])
def test_a_password_is_hashed_once_per_batch(password: str, status: int, alice: User):
    """A wrong one too: twenty of half a second each are an attack."""
    HASHED.clear()
    with override_settings(PASSWORD_HASHERS=["tests.security.hashers.CountingHasher"]):
        alice.set_password(PASSWORD)
        alice.save()
        HASHED.clear()
        records = answers([{"url": "/api/basic-only/"}] * 20, client=Client(headers=basic(alice, password)))
    assert [record["status"] for record in records] == [status] * 20
    assert [password] == HASHED


@pytest.mark.parametrize("kind", ["session", "token", "basic"])
def test_an_inactive_user_is_nobody(kind: str, alice: User):
    """From the first sub-request on."""
    client = client_of(kind, alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    alone = client.get("/api/whoami/").status_code
    assert [who(record) for record in answers([{"url": "/api/whoami/"}] * 2, client=client)] == [alone] * 2
    assert alone in (401, 403)


ENDS = {  # what is done to the user: by whom it is noticed
    "deactivate": ("session", "token", "basic"),
    "delete": ("session", "token", "basic"),
    "change password": ("session", "basic"),
    "delete token": ("token",),
}


@pytest.mark.parametrize("do", ENDS)
@pytest.mark.parametrize("kind", ["session", "token", "basic"])
def test_a_right_that_ends_inside_the_batch_has_ended(kind: str, do: str, alice: User):
    """The sub-request after it is answered as one that is sent after it."""
    client = client_of(kind, alice)
    url = "/api/basic-only/" if kind == "basic" else "/api/whoami/"
    before, _, after = answers([{"url": url}, change(alice, do), {"url": url}], client=client)
    alone = client.get(url)
    assert who(before) == "alice"
    assert after["status"] == alone.status_code
    assert (after["status"] != 200) is (kind in ENDS[do])


def test_somebody_elses_change_leaves_the_caller_alone(alice: User, bob: User):
    """Forgetting is by table, knowing is by row."""
    client = client_of("session", alice)
    assert [who(r) for r in answers([{"url": "/api/whoami/"}, {"url": "/api/whoami/"}], client=client)] == ["alice"] * 2
    _, after = answers([change(bob, "deactivate"), {"url": "/api/whoami/"}], client=client)
    assert who(after) == "alice"


def test_log_in_log_out_and_in_as_somebody_else(alice: User, bob: User):
    """Each sub-request is asked by who is there then, and the browser is left as the last one."""
    login = {"url": "/api/login/", "method": "POST"}
    asked = {"url": "/api/session-only/"}
    logout = {"url": "/api/logout/", "method": "POST"}
    steps = [asked, {**login, "body": {"username": "alice"}}, asked, logout, asked]
    steps += [{**login, "body": {"username": "bob"}}, asked, asked]
    client = Client()
    records = answers(steps, client=client)
    assert [who(records[index]) for index in (0, 2, 4, 6, 7)] == [403, "alice", 403, "bob", "bob"]
    assert client.get("/api/session-only/").json() == {"user": "bob"}


def test_logging_in_over_somebody_leaves_nothing_of_them(alice: User, bob: User):
    """The session key changes, and the old one is dead."""
    client = client_of("session", alice)
    old = client.cookies["sessionid"].value
    login = {"url": "/api/login/", "method": "POST", "body": {"username": "bob"}}
    assert [who(r) for r in answers([login, {"url": "/api/session-only/"}], client=client)] == ["bob", "bob"]
    assert client.cookies["sessionid"].value != old
    thief = Client()
    thief.cookies["sessionid"] = old
    assert thief.get("/api/session-only/").status_code == 403


def test_logging_out_inside_a_batch_logs_the_browser_out(alice: User):
    client = client_of("session", alice)
    old = client.cookies["sessionid"].value
    out, after = answers([{"url": "/api/logout/", "method": "POST"}, {"url": "/api/session-only/"}], client=client)
    assert (out["status"], after["status"]) == (200, 403)
    client.cookies["sessionid"] = old
    assert client.get("/api/session-only/").status_code == 403


def test_one_callers_batch_leaves_nothing_for_the_next(alice: User, bob: User):
    """Two clients, one process, the same sub-requests, one after the other."""
    requests = [{"url": url} for url in WHO]
    for user in (alice, bob, alice):
        client = client_of("session", user)
        names = {who(record) for record in answers(requests, client=client)}
        assert {name for name in names if isinstance(name, str)} == {user.username}


class NamedByHeader:
    """A project's own middleware that says who the user is."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        request.user = User.objects.get(username=request.headers["X-Name"])
        return self.get_response(request)


@pytest.mark.parametrize(
    ("middleware", "said"),
    [
        ([NamedByHeader.__module__ + ".NamedByHeader"], {"headers": {"X-Name": "alice"}}),
        (
            [MIDDLEWARE, AUTHENTICATION, "django.contrib.auth.middleware.RemoteUserMiddleware"],
            {"REMOTE_USER": "alice"},
        ),
    ],
)
def test_a_user_whom_middleware_made_is_the_user(middleware: list[str], said: dict[str, Any], alice: User, bob: User):
    """And no header of a sub-request makes another."""
    backends = ["django.contrib.auth.backends.RemoteUserBackend"]
    with override_settings(MIDDLEWARE=middleware, AUTHENTICATION_BACKENDS=backends):
        request = {"url": "/api/session-only/", "headers": {"X-Name": "bob", "Remote-User": "bob"}}
        records = answers([request, request, change(alice, "deactivate"), request], client=Client(), **said)
        alone = Client().get("/api/session-only/", **said)
    assert [who(record) for record in records[:2]] == ["alice", "alice"]
    assert records[3]["status"] == alone.status_code


def test_login_required_middleware_guards_plain_views(alice: User):
    """DRF views guard themselves; the batch lets anybody in."""
    required = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    with override_settings(MIDDLEWARE=[MIDDLEWARE, AUTHENTICATION, required]):
        requests = [{"url": "/api/batchable/"}, {"url": "/api/items/x/"}, {"url": "/api/whoami/"}]
        assert [record["status"] for record in answers(requests)] == [302, 200, 401]
        inside = answers(requests, client=client_of("session", alice))
        assert [record["status"] for record in inside] == [200, 200, 200]


def test_a_test_clients_forced_user_is_carried(alice: User):
    """Every project's own tests would break without."""
    client = APIClient()
    client.force_authenticate(UserFactory(username="forced"))
    response = client.post("/api/batch/", {"requests": [{"url": url} for url in WHO[:4]]}, format="json")
    assert [who(record) for record in response.json()["responses"]] == ["forced"] * 4


def test_a_bad_credential_is_each_views_own_401(alice: User):
    """The batch itself asks nobody in."""
    records = answers([{"url": "/api/whoami/"}, {"url": "/api/items/x/"}], headers={"Authorization": "Token wrong"})
    assert [record["status"] for record in records] == [401, 401]
    assert answer({"url": "/api/no-authentication/", "method": "POST"}, client=client_of("token", alice))["body"] == {
        "middleware": "",
        "drf": "AnonymousUser",
    }
