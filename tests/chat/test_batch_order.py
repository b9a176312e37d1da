"""The sequences that people worry about, with the priorities of this project."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from chat.models import Session
from tests.factories import PASSWORD, SessionFactory

LOGOUT = {"id": "logout", "method": "POST", "url": "/api/auth/logout/"}
STATS = {"id": "stats", "url": "/api/stats/"}


def login(user: User) -> dict[str, Any]:
    body = {"username": user.username, "password": PASSWORD}
    return {"id": "login", "method": "POST", "url": "/api/auth/login/", "body": body}


@pytest.fixture
def browser(alice: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    return client


def statuses(client: Client, *requests: dict[str, Any]) -> list[int]:
    response = client.post("/api/batch/", {"requests": requests}, content_type="application/json")
    return [record["status"] for record in response.json()["responses"]]


def test_a_change_before_a_logout_is_made_by_the_one_who_leaves(browser: Client, alice: User):
    url = f"/api/sessions/{SessionFactory(owner=alice).key}/"
    change = {"method": "PATCH", "url": url, "body": {"title": "mine"}, "priority": "background"}
    assert statuses(browser, change, LOGOUT, {"url": url, "priority": "critical"}) == [200, 204, 401]
    assert Session.objects.get().title == "mine"


def test_a_delete_before_a_login_is_not_the_other_users(browser: Client, alice: User, bob: User):
    """Both have a session of that name; login is critical, and still comes second."""
    for owner in (alice, bob):
        SessionFactory(owner=owner, key="same")
    assert statuses(browser, {"method": "DELETE", "url": "/api/sessions/same/"}, login(bob)) == [204, 200]
    assert Session.objects.get().owner == bob


def test_a_delete_after_a_login_is_the_other_users(browser: Client, alice: User, bob: User):
    for owner in (alice, bob):
        SessionFactory(owner=owner, key="same")
    delete = {"method": "DELETE", "url": "/api/sessions/same/", "priority": "critical"}
    assert statuses(browser, login(bob), delete) == [200, 204]
    assert Session.objects.get().owner == alice


def test_a_delete_before_a_create_of_the_same_id_leaves_the_new_one(browser: Client, alice: User):
    """Creating is critical here, but a rule moves no write past another."""
    SessionFactory(owner=alice, key="same", title="old")
    create = {"method": "POST", "url": "/api/sessions/", "body": {"id": "same", "title": "new"}}
    assert statuses(browser, {"method": "DELETE", "url": "/api/sessions/same/"}, create) == [204, 201]
    assert Session.objects.get().title == "new"


def test_statistics_come_last_and_count_what_was_created(browser: Client):
    create = {"method": "POST", "url": "/api/sessions/", "body": {}}
    response = browser.post("/api/batch/", {"requests": [STATS, create]}, content_type="application/json")
    assert response.json()["responses"][0]["body"]["sessions"] == 1
