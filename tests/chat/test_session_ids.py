"""Which ids a session can have, who chooses them, and that sending a session twice makes one."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from chat.models import Session
from tests.chat.conftest import JsonClient
from tests.factories import SessionFactory

URL = "/api/sessions/"
WRONG = ["An id is 1 to 64 of the characters A-Z a-z 0-9 . _ ~ -"]


@pytest.mark.parametrize("chosen", ["a", "A-z_0.9~", "0", "007", "-5", "x" * 64])
def test_a_client_may_choose_the_id(as_alice: JsonClient, chosen: str):
    answer = as_alice.post(URL, {"id": chosen})

    assert answer.status_code == 201
    assert answer.json()["id"] == chosen
    assert answer["Location"] == f"/api/sessions/{chosen}/"
    assert as_alice.get(answer["Location"]).json()["id"] == chosen


BAD_IDS = ["", " ", "²", "٣", "a b", "a/b", "a\n", "a\x00", "\ud800", "ä", "x" * 65]
NO_IDS = [True, False, 1.0, 1e30, [], ["a"], {}, {"a": 1}, 10**64]


@pytest.mark.parametrize("chosen", [*BAD_IDS, *NO_IDS])
def test_an_id_that_no_session_can_have_is_refused(as_alice: JsonClient, chosen: Any):
    escaped = json.dumps({"id": chosen})  # By hand: the client would not encode half of a surrogate pair.
    answer = as_alice.post(URL, escaped, content_type="application/json")

    assert (answer.status_code, answer.json()) == (400, {"id": WRONG})
    assert not Session.objects.exists()


def test_null_is_no_id(as_alice: JsonClient):
    answer = as_alice.post(URL, {"id": None})

    assert (answer.status_code, answer.json()) == (400, {"id": ["This field may not be null."]})


def test_a_superscript_two_is_a_digit_to_python_but_no_id(as_alice: JsonClient):
    """`"²".isdigit()` is true and `int("²")` raises: that was a crash once."""
    assert as_alice.post(URL, {"id": "²"}).status_code == 400
    assert as_alice.put("/api/sessions/²/", {}).json() == {"id": WRONG}
    assert as_alice.get("/api/sessions/²/").status_code == 404
    assert as_alice.get("/api/sessions/²/messages/").status_code == 404
    assert as_alice.get("/api/messages/²/").status_code == 404


def test_a_digit_of_another_script_is_not_read_as_a_number(as_alice: JsonClient, alice: User):
    SessionFactory(owner=alice, key="3")

    assert as_alice.get("/api/sessions/٣/").status_code == 404


def test_an_integer_and_its_string_are_the_same_session(as_alice: JsonClient):
    first = as_alice.post(URL, {"id": 42, "title": "Forty-two"})
    second = as_alice.post(URL, {"id": "42", "title": "Ignored"})

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json() == as_alice.get("/api/sessions/42/").json()
    assert first.json()["id"] == "42"


def test_an_id_with_leading_zeros_is_another_session(as_alice: JsonClient):
    assert as_alice.post(URL, {"id": 42}).status_code == 201
    assert as_alice.post(URL, {"id": "042"}).status_code == 201


def test_a_session_that_is_sent_again_is_answered_as_it_is_stored(as_alice: JsonClient):
    created = as_alice.post(URL, {"id": "mine", "title": "First"})
    again = as_alice.post(URL, {"id": "mine", "title": "Second"})

    assert (again.status_code, again.json()) == (200, created.json())
    assert "Location" not in again


def test_the_rest_of_the_body_is_ignored_when_the_session_is_there(as_alice: JsonClient):
    SessionFactory(owner=User.objects.get(username="alice"), key="mine", title="Kept")

    answer = as_alice.post(URL, {"id": "mine", "title": ["not", "a", "title"]})

    assert (answer.status_code, answer.json()["title"]) == (200, "Kept")


def test_two_owners_may_use_the_same_id(as_alice: JsonClient, as_bob: JsonClient):
    assert as_alice.post(URL, {"id": "same", "title": "Alice's"}).status_code == 201
    assert as_bob.post(URL, {"id": "same", "title": "Bob's"}).status_code == 201
    assert as_alice.get("/api/sessions/same/").json()["title"] == "Alice's"
    assert as_bob.get("/api/sessions/same/").json()["title"] == "Bob's"


def test_without_an_id_the_session_gets_its_own_number(as_alice: JsonClient):
    answer = as_alice.post(URL, {"title": "Numbered"})

    assert answer.status_code == 201
    assert answer.json()["id"] == str(Session.objects.get().pk)


def test_a_number_that_the_owner_uses_already_is_passed_over(as_alice: JsonClient, alice: User, bob: User):
    last = SessionFactory(owner=bob).pk
    SessionFactory(owner=alice, key=str(last + 3))
    SessionFactory(owner=bob, key=str(last + 4))  # Takes last + 2; somebody else's id is not in the way.

    assert as_alice.post(URL, {}).json()["id"] == str(last + 4)
    assert Session.objects.count() == 4
