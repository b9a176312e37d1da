"""Under ATOMIC_REQUESTS each request is one transaction: the chat works in it, and a refusal leaves nothing behind."""

import pytest
from django.contrib.auth.models import User
from django.db import connection

from chat.models import Message, Session
from tests.chat.conftest import JsonClient
from tests.factories import SessionFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _each_request_is_a_transaction(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)


def test_a_whole_conversation(as_alice: JsonClient):
    session = as_alice.post("/api/sessions/", {}).json()["id"]
    message = as_alice.post(f"/api/sessions/{session}/messages/", {"content": "Hello"})

    assert as_alice.post("/api/sessions/", {"id": session}).status_code == 200
    assert as_alice.put(f"/api/sessions/{session}/", {"title": "Named"}).status_code == 200
    assert as_alice.patch(message["Location"], {"content": "Hi"}).status_code == 200
    assert as_alice.delete(f"/api/sessions/{session}/").status_code == 204
    assert not Message.objects.exists()


def test_a_number_that_is_taken_is_passed_over(as_alice: JsonClient, alice: User):
    last = SessionFactory(owner=alice).pk
    SessionFactory(owner=alice, key=str(last + 2))

    assert as_alice.post("/api/sessions/", {}).json()["id"] == str(last + 3)


def test_a_refused_put_leaves_no_session_behind(as_alice: JsonClient):
    assert as_alice.put("/api/sessions/new/", {}, headers={"If-Match": "*"}).status_code == 412
    assert not Session.objects.exists()
