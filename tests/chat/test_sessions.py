"""A session's life, and the list of all of them: its shape, its pages, its order, its search."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User

from chat.models import Message, Session
from tests.chat.conftest import JsonClient
from tests.factories import MessageFactory, SessionFactory

URL = "/api/sessions/"


def titles(client: JsonClient, query: str = "") -> list[str]:
    return [session["title"] for session in client.get(f"{URL}{query}").json()["results"]]


def make_titled(owner: User, *names: str) -> None:
    """In this order, an hour apart; bulk, because saving would move `updated_at` to now."""
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    for hours, name in enumerate(names):
        session = SessionFactory(owner=owner, title=name, created_at=noon - timedelta(hours=hours))
        Session.objects.filter(pk=session.pk).update(updated_at=noon + timedelta(hours=hours))


def test_a_session_has_exactly_these_members(as_alice: JsonClient):
    session = as_alice.post(URL, {"title": "Plans"}).json()

    assert list(session) == ["id", "title", "message_count", "last_message", "created_at", "updated_at"]
    assert session["title"] == "Plans"
    assert (session["message_count"], session["last_message"]) == (0, None)


def test_a_session_needs_no_title(as_alice: JsonClient):
    assert as_alice.post(URL, {}).json()["title"] == ""


def test_the_last_message_is_the_newest_and_looks_like_any_message(as_alice: JsonClient, alice: User):
    session = SessionFactory(owner=alice, key="talk")
    MessageFactory.create_batch(3, session=session)
    newest = MessageFactory(session=session, role="assistant", content="Bye")
    MessageFactory(session=session, created_at=newest.created_at - timedelta(days=1))

    shown = as_alice.get("/api/sessions/talk/").json()

    assert shown["message_count"] == 5
    assert shown["last_message"] == as_alice.get(f"/api/messages/{newest.pk}/").json()
    assert shown == as_alice.get(URL).json()["results"][0]


def test_put_creates_and_then_replaces(as_alice: JsonClient):
    created = as_alice.put("/api/sessions/mine/", {"title": "First"})
    replaced = as_alice.put("/api/sessions/mine/", {})

    assert (created.status_code, created["Location"]) == (201, "/api/sessions/mine/")
    assert (replaced.status_code, replaced.json()["title"]) == (200, "")
    assert Session.objects.count() == 1


def test_put_takes_an_id_in_the_body_only_if_it_is_the_one_in_the_url(as_alice: JsonClient):
    mismatch = as_alice.put("/api/sessions/42/", {"id": 43})

    assert (mismatch.status_code, mismatch.json()) == (400, {"id": ["This is not the id in the URL."]})
    assert as_alice.put("/api/sessions/42/", {"id": 42}).status_code == 201
    assert as_alice.patch("/api/sessions/42/", {"id": "43"}).status_code == 400


def test_patch_changes_what_it_names(as_alice: JsonClient, alice: User):
    SessionFactory(owner=alice, key="mine", title="Before")

    assert as_alice.patch("/api/sessions/mine/", {}).json()["title"] == "Before"
    assert as_alice.patch("/api/sessions/mine/", {"title": "After"}).json()["title"] == "After"


def test_delete_takes_the_messages_along(as_alice: JsonClient, alice: User):
    MessageFactory(session__owner=alice, session__key="mine")

    assert as_alice.delete("/api/sessions/mine/").status_code == 204
    assert as_alice.get("/api/sessions/mine/").status_code == 404
    assert not Message.objects.exists()


def test_no_rows_is_an_empty_list(as_alice: JsonClient):
    assert as_alice.get(URL).json() == {"count": 0, "next": None, "previous": None, "results": []}


def test_a_page_has_twenty_unless_the_client_says_otherwise(as_alice: JsonClient, alice: User):
    SessionFactory.create_batch(101, owner=alice)

    sizes = {size: len(titles(as_alice, f"?page_size={size}")) for size in ("7", "100", "5000", "0", "-1", "x")}

    assert len(titles(as_alice)) == 20
    assert sizes == {"7": 7, "100": 100, "5000": 100, "0": 20, "-1": 20, "x": 20}


def test_pages_follow_each_other_without_a_gap(as_alice: JsonClient, alice: User):
    SessionFactory.create_batch(45, owner=alice)
    seen, url = [], URL

    while url:
        page = as_alice.get(url).json()
        seen += [session["id"] for session in page["results"]]
        url = page["next"]

    assert len(seen) == len(set(seen)) == page["count"] == 45


@pytest.mark.parametrize("page", ["0", "-1", "abc", "9" * 30, "9" * 5000, "²"])
def test_a_page_that_does_not_exist_is_404(as_alice: JsonClient, page: str):
    assert as_alice.get(f"{URL}?page={page}").status_code == 404


def test_the_session_that_was_touched_last_comes_first(as_alice: JsonClient, alice: User):
    make_titled(alice, "old", "middle", "new")
    assert titles(as_alice) == ["new", "middle", "old"]


def test_sessions_of_the_same_moment_come_newest_first(as_alice: JsonClient, alice: User):
    sessions = SessionFactory.create_batch(3, owner=alice, title="same")
    Session.objects.update(updated_at=datetime(2026, 5, 1, tzinfo=UTC))
    newest_first = [session.key for session in reversed(sessions)]

    for query in ("", "?ordering=title", "?ordering=-updated_at"):
        assert [session["id"] for session in as_alice.get(URL + query).json()["results"]] == newest_first


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?ordering=title", ["a", "b", "c"]),
        ("?ordering=-title", ["c", "b", "a"]),
        ("?ordering=created_at", ["a", "c", "b"]),
        ("?ordering=updated_at", ["b", "c", "a"]),
        ("?ordering=owner__password", ["a", "c", "b"]),  # Not among the fields to order by: the default.
        ("?ordering=", ["a", "c", "b"]),
    ],
)
def test_the_list_can_be_ordered(as_alice: JsonClient, alice: User, query: str, expected: list[str]):
    make_titled(alice, "b", "c", "a")
    assert titles(as_alice, query) == expected


def test_search_looks_into_titles_in_any_case(as_alice: JsonClient, alice: User):
    make_titled(alice, "Sourdough bread", "Which bicycle?", "Rye bread")

    assert titles(as_alice, "?search=BREAD") == ["Rye bread", "Sourdough bread"]
    assert titles(as_alice, "?search=rye+bread") == ["Rye bread"]
    assert titles(as_alice, "?search=nothing") == []
    assert titles(as_alice, "?search=%25") == []
