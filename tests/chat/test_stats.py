"""What a user has, in numbers."""

from django.contrib.auth.models import User

from tests.chat.conftest import JsonClient
from tests.factories import MessageFactory, SessionFactory


def test_somebody_new_has_zeros_and_null(as_alice: JsonClient, bob: User):
    MessageFactory(session__owner=bob)

    assert as_alice.get("/api/stats/").json() == {
        "sessions": 0,
        "messages": 0,
        "messages_by_role": {"user": 0, "assistant": 0, "system": 0},
        "last_activity": None,
    }


def test_stats_count_what_is_mine(as_alice: JsonClient, alice: User, bob: User):
    first, last = SessionFactory.create_batch(2, owner=alice)
    for session, role in ((first, "user"), (first, "assistant"), (last, "user")):
        MessageFactory(session=session, role=role)
    MessageFactory(session__owner=bob)

    stats = as_alice.get("/api/stats/").json()

    assert (stats["sessions"], stats["messages"]) == (2, 3)
    assert stats["messages_by_role"] == {"user": 2, "assistant": 1, "system": 0}
    assert stats["last_activity"] == as_alice.get(f"/api/sessions/{last.key}/").json()["updated_at"]


def test_a_new_message_is_activity(as_alice: JsonClient, alice: User):
    session = SessionFactory(owner=alice)
    before = as_alice.get("/api/stats/").json()["last_activity"]

    as_alice.post(f"/api/sessions/{session.key}/messages/", {"content": "Hello"})

    assert as_alice.get("/api/stats/").json()["last_activity"] > before
