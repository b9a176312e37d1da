"""What is said in a session: said once, in order, by a role; edited and deleted under its own number."""

from datetime import timedelta

from django.contrib.auth.models import User

from chat.models import Message, Session
from tests.chat.conftest import JsonClient
from tests.factories import MessageFactory, SessionFactory

URL = "/api/sessions/talk/messages/"


def test_a_message_has_exactly_these_members(as_alice: JsonClient, alice: User):
    SessionFactory(owner=alice, key="talk")

    answer = as_alice.post(URL, {"content": "Hello"})

    stored = Message.objects.get()
    assert answer.status_code == 201
    assert list(answer.json()) == ["id", "session", "role", "content", "created_at"]
    assert answer.json() == {**answer.json(), "id": stored.pk, "session": "talk", "role": "user", "content": "Hello"}
    assert as_alice.get(answer["Location"]).json() == answer.json()


def test_the_session_of_a_message_is_a_string_even_where_it_is_a_number(as_alice: JsonClient):
    session = as_alice.post("/api/sessions/", {}).json()["id"]
    assert as_alice.post(f"/api/sessions/{session}/messages/", {"content": "Hi"}).json()["session"] == session


def test_content_keeps_its_white_space_and_any_length_up_to_the_limit(as_alice: JsonClient, alice: User):
    SessionFactory(owner=alice, key="talk")

    for content in ("    indented = True\n", " ", "x" * 32_000, "😀" * 32_000):
        assert as_alice.post(URL, {"content": content}).json()["content"] == content
    assert as_alice.post(URL, {"content": "x" * 32_001}).status_code == 400


def test_messages_come_in_the_order_in_which_they_were_said(as_alice: JsonClient, alice: User):
    session = SessionFactory(owner=alice, key="talk")
    second = MessageFactory(session=session)
    third = MessageFactory(session=session, created_at=second.created_at)
    first = MessageFactory(session=session, created_at=second.created_at - timedelta(hours=1))
    MessageFactory(session__owner=alice)

    page = as_alice.get(URL).json()

    assert [message["id"] for message in page["results"]] == [first.pk, second.pk, third.pk]
    assert {**page, "results": ...} == {"count": 3, "next": None, "previous": None, "results": ...}


def test_a_list_of_messages_can_be_narrowed_to_a_role(as_alice: JsonClient, alice: User):
    session = SessionFactory(owner=alice, key="talk")
    for role in ("user", "assistant", "system", "assistant"):
        MessageFactory(session=session, role=role)

    counts = {role: as_alice.get(f"{URL}?role={role}").json()["count"] for role in ("user", "assistant", "")}

    assert counts == {"user": 1, "assistant": 2, "": 4}


def test_messages_come_in_pages(as_alice: JsonClient, alice: User):
    MessageFactory.create_batch(25, session=SessionFactory(owner=alice, key="talk"))

    assert len(as_alice.get(URL).json()["results"]) == 20
    assert len(as_alice.get(f"{URL}?page=2").json()["results"]) == 5
    assert len(as_alice.get(f"{URL}?page_size=25").json()["results"]) == 25
    assert as_alice.get(f"{URL}?page=3").status_code == 404


def test_a_new_message_brings_its_session_to_the_top(as_alice: JsonClient, alice: User):
    SessionFactory(owner=alice, key="talk")
    SessionFactory(owner=alice, key="newer")

    as_alice.post(URL, {"content": "Hello"})

    assert [session["id"] for session in as_alice.get("/api/sessions/").json()["results"]] == ["talk", "newer"]


def test_an_edited_or_deleted_message_leaves_its_session_where_it_is(as_alice: JsonClient, alice: User):
    message = MessageFactory(session__owner=alice)
    before = Session.objects.get().updated_at

    as_alice.patch(f"/api/messages/{message.pk}/", {"content": "Edited"})
    as_alice.delete(f"/api/messages/{message.pk}/")

    assert Session.objects.get().updated_at == before


def test_patch_changes_the_content_and_nothing_else(as_alice: JsonClient, alice: User):
    message = MessageFactory(session__owner=alice, session__key="talk")
    other = SessionFactory(owner=alice)

    sent = {"content": "After", "role": "system", "session": other.key, "id": 1, "created_at": None}
    answer = as_alice.patch(f"/api/messages/{message.pk}/", sent)

    assert answer.status_code == 200
    assert answer.json() == {**answer.json(), "content": "After", "role": "user", "session": "talk", "id": message.pk}


def test_a_deleted_message_is_gone(as_alice: JsonClient, alice: User):
    url = f"/api/messages/{MessageFactory(session__owner=alice).pk}/"

    assert as_alice.delete(url).status_code == 204
    assert as_alice.get(url).status_code == 404
    assert Session.objects.count() == 1


def test_a_message_cannot_be_replaced(as_alice: JsonClient, alice: User):
    url = f"/api/messages/{MessageFactory(session__owner=alice).pk}/"
    assert as_alice.put(url, {"content": "x"}).status_code == 405
