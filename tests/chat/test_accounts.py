"""Logging in and out, the token, and what a user is told about themselves."""

import pytest
from django.contrib.auth.models import User
from pytest_django.fixtures import Settings
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from project.stores import read_caches
from tests.chat.conftest import JsonClient, client_of
from tests.factories import PASSWORD, UserFactory

LOGIN = "/api/auth/login/"


def log_in(client: APIClient, username: str = "alice", password: str = PASSWORD, **extra: str) -> int:
    return client.post(LOGIN, {"username": username, "password": password}, **extra).status_code


def test_login_answers_with_the_user_and_opens_a_session(anonymous: JsonClient, alice: User):
    answer = anonymous.post(LOGIN, {"username": "alice", "password": PASSWORD})

    assert answer.status_code == 200
    assert answer.json() == {"id": alice.pk, "username": "alice", "email": "alice@example.com"}
    assert answer.cookies["sessionid"]["httponly"]
    assert anonymous.get("/api/users/me/").json() == anonymous.get("/api/auth/me/").json() == answer.json()


@pytest.mark.parametrize(("username", "password"), [("alice", "wrong"), ("nobody", PASSWORD), ("retired", PASSWORD)])
def test_a_failed_login_does_not_say_what_was_wrong(anonymous: JsonClient, alice: User, username: str, password: str):
    UserFactory(username="retired", is_active=False)

    answer = anonymous.post(LOGIN, {"username": username, "password": password})

    assert answer.status_code == 400
    assert answer.json() == {"non_field_errors": ["Unable to log in with provided credentials."]}
    assert not answer.cookies


def test_login_reads_json_only(anonymous: JsonClient, alice: User):
    credentials = {"username": "alice", "password": PASSWORD}
    assert anonymous.post(LOGIN, credentials, format="multipart").status_code == 415


def test_a_stale_token_does_not_keep_anybody_from_logging_in(anonymous: JsonClient, alice: User):
    anonymous.credentials(HTTP_AUTHORIZATION="Token 0123")
    assert log_in(anonymous) == 200


def test_a_session_may_write_only_with_a_csrf_token(alice: User):
    browser = JsonClient(enforce_csrf_checks=True)
    log_in(browser)

    assert browser.post("/api/sessions/", {}).status_code == 403
    token = browser.cookies["csrftoken"].value
    assert browser.post("/api/sessions/", {}, headers={"X-CSRFToken": token}).status_code == 201


def test_logout_ends_the_session_and_spares_the_token(anonymous: JsonClient, alice: User):
    log_in(anonymous)
    token = anonymous.post("/api/auth/token/").json()["token"]

    assert anonymous.post("/api/auth/logout/").status_code == 204

    assert anonymous.get("/api/users/me/").status_code == 401
    anonymous.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    assert anonymous.get("/api/users/me/").status_code == 200


def test_logout_of_a_token_client_is_harmless(as_alice: JsonClient):
    assert as_alice.post("/api/auth/logout/").status_code == 204
    assert as_alice.get("/api/users/me/").status_code == 200


def test_the_token_stays_the_same_until_it_is_deleted(anonymous: JsonClient, alice: User):
    log_in(anonymous)
    first, second = (anonymous.post("/api/auth/token/").json() for _ in range(2))

    assert first == second == {"token": Token.objects.get(user=alice).key}
    assert anonymous.delete("/api/auth/token/").status_code == 204
    assert anonymous.delete("/api/auth/token/").status_code == 204
    assert anonymous.post("/api/auth/token/").json() != first


def test_a_password_gets_the_token_without_a_login(anonymous: JsonClient, alice: User):
    answer = anonymous.post("/api/auth/token/", {"username": "alice", "password": PASSWORD})
    assert (answer.status_code, answer.json()) == (200, {"token": Token.objects.get(user=alice).key})
    assert "sessionid" not in anonymous.cookies


def test_a_wrong_password_gets_no_token(anonymous: JsonClient, alice: User):
    answer = anonymous.post("/api/auth/token/", {"username": "alice", "password": "wrong"})
    assert (answer.status_code, list(answer.json())) == (400, ["non_field_errors"])
    assert not Token.objects.exists()


def test_passwords_cannot_be_tried_by_the_hundred_at_the_token_either(anonymous: JsonClient, alice: User):
    """One count for both doors: ten attempts, wherever they were made."""
    body = {"username": "alice", "password": "wrong"}
    for _ in range(5):
        assert anonymous.post("/api/auth/token/", body).status_code == 400
        assert anonymous.post("/api/auth/login/", body).status_code == 400
    assert anonymous.post("/api/auth/token/", body).status_code == 429


def test_a_token_is_deleted_only_by_its_user(anonymous: JsonClient, alice: User):
    assert anonymous.delete("/api/auth/token/", {"username": "alice", "password": PASSWORD}).status_code == 401


def test_a_deleted_token_opens_nothing(alice: User):
    client = client_of(alice)

    assert client.delete("/api/auth/token/").status_code == 204
    assert client.get("/api/users/me/").status_code == 401


def test_the_eleventh_attempt_in_a_minute_is_refused(anonymous: JsonClient, alice: User):
    assert [log_in(anonymous, password="wrong") for _ in range(10)] == [400] * 10

    answer = anonymous.post(LOGIN, {"username": "alice", "password": PASSWORD})

    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 60


def test_attempts_count_by_username_and_by_address(anonymous: JsonClient, alice: User, bob: User):
    for _ in range(11):
        log_in(anonymous, password="wrong")

    assert log_in(anonymous, "bob") == 200
    assert log_in(anonymous, REMOTE_ADDR="10.0.0.2") == 200
    assert log_in(anonymous) == 429


def test_white_space_or_a_forwarded_address_is_no_way_round_the_limit(anonymous: JsonClient, alice: User):
    for padding in range(10):
        log_in(anonymous, " " * padding + "alice", "wrong", HTTP_X_FORWARDED_FOR=f"10.0.0.{padding}")

    assert log_in(anonymous, HTTP_X_FORWARDED_FOR="10.0.1.1") == 429


def test_attempts_are_counted_in_redis(anonymous: JsonClient, alice: User, settings: Settings, redis_url: str):
    settings.CACHES = read_caches(redis_url)

    assert [log_in(anonymous, password="wrong") for _ in range(11)] == [400] * 10 + [429]


def test_attempts_are_counted_while_redis_is_away(anonymous: JsonClient, alice: User, settings: Settings):
    settings.CACHES = read_caches("redis://127.0.0.1:1/0")

    assert [log_in(anonymous, password="wrong") for _ in range(11)] == [400] * 10 + [429]
