"""Strong ETags: 304 for a copy that is still good, 412 for a write on something that has changed."""

import pytest
from django.contrib.auth.models import User

from chat.models import Message, Session
from tests.chat.conftest import JsonClient
from tests.factories import MessageFactory


@pytest.fixture(params=["session", "message"])
def url(request: pytest.FixtureRequest, alice: User) -> str:
    message = MessageFactory(session__owner=alice)
    return {"session": f"/api/sessions/{message.session.key}/", "message": f"/api/messages/{message.pk}/"}[
        request.param
    ]


def change(client: JsonClient, url: str, **headers: str) -> int:
    return client.patch(url, {"title": "Changed", "content": "Changed"}, headers=headers).status_code


def test_a_detail_carries_a_strong_etag(as_alice: JsonClient, url: str):
    first, second = as_alice.get(url), as_alice.get(url)

    assert first["ETag"] == second["ETag"] == as_alice.head(url)["ETag"]
    assert first["ETag"].startswith('"')


@pytest.mark.parametrize("known", ["{}", "W/{}", '"other", {}', "*"])
def test_a_copy_that_is_still_good_is_304_and_empty(as_alice: JsonClient, url: str, known: str):
    etag = as_alice.get(url)["ETag"]

    answer = as_alice.get(url, headers={"If-None-Match": known.format(etag)})

    assert (answer.status_code, answer["ETag"], answer.content) == (304, etag, b"")
    assert "Accept" in answer["Vary"]


def test_a_copy_that_is_outdated_is_answered_in_full(as_alice: JsonClient, url: str):
    etag = as_alice.get(url)["ETag"]
    change(as_alice, url)

    answer = as_alice.get(url, headers={"If-None-Match": etag})

    assert answer.status_code == 200
    assert answer["ETag"] != etag


def test_a_write_on_the_version_that_was_seen_is_done(as_alice: JsonClient, url: str):
    etag = as_alice.get(url)["ETag"]

    assert change(as_alice, url, **{"If-Match": etag}) == 200
    assert as_alice.delete(url, headers={"If-Match": as_alice.get(url)["ETag"]}).status_code == 204


@pytest.mark.parametrize("wanted", ['"other"', "W/{}", "no quotes", ""])
def test_a_write_on_another_version_is_412_and_changes_nothing(as_alice: JsonClient, url: str, wanted: str):
    before = as_alice.get(url)
    headers = {"If-Match": wanted.format(before["ETag"])}

    assert change(as_alice, url, **headers) == 412
    assert as_alice.delete(url, headers=headers).status_code == 412
    assert as_alice.get(url, headers=headers).status_code == 412
    assert as_alice.get(url).json() == before.json()


def test_a_write_that_must_not_find_this_version_is_412(as_alice: JsonClient, url: str):
    assert change(as_alice, url, **{"If-None-Match": as_alice.get(url)["ETag"]}) == 412
    assert change(as_alice, url, **{"If-None-Match": '"other"'}) == 200


def test_a_body_that_is_wrong_is_400_whatever_the_version(as_alice: JsonClient, url: str):
    """RFC 9110, section 13.2.1: preconditions come after the checks that a request has to pass anyway."""
    answer = as_alice.patch(url, {"title": None, "content": None}, headers={"If-Match": '"other"'})
    assert answer.status_code == 400


def test_a_new_message_is_a_new_version_of_its_session(as_alice: JsonClient, alice: User):
    session = MessageFactory(session__owner=alice).session
    url = f"/api/sessions/{session.key}/"
    seen = [as_alice.get(url)["ETag"]]

    message = as_alice.post(f"{url}messages/", {"content": "More"})["Location"]
    seen.append(as_alice.get(url)["ETag"])
    as_alice.patch(message, {"content": "Edited"})
    seen.append(as_alice.get(url)["ETag"])
    as_alice.delete(message)
    seen.append(as_alice.get(url)["ETag"])

    assert len(set(seen)) == 4


def test_put_can_be_told_to_create_only(as_alice: JsonClient):
    once = {"If-None-Match": "*"}

    assert as_alice.put("/api/sessions/new/", {"title": "Mine"}, headers=once).status_code == 201
    assert as_alice.put("/api/sessions/new/", {"title": "Again"}, headers=once).status_code == 412
    assert Session.objects.get().title == "Mine"


@pytest.mark.parametrize("wanted", ["*", '"any"'])
def test_put_can_be_told_not_to_create(as_alice: JsonClient, wanted: str):
    assert as_alice.put("/api/sessions/new/", {}, headers={"If-Match": wanted}).status_code == 412
    assert not Session.objects.exists()


def test_what_a_write_answers_can_be_the_condition_of_the_next(as_alice: JsonClient):
    created = as_alice.post("/api/sessions/", {"id": "mine"})
    assert created["ETag"] == as_alice.get("/api/sessions/mine/")["ETag"]

    patched = as_alice.patch("/api/sessions/mine/", {"title": "x"}, headers={"If-Match": created["ETag"]})
    assert patched["ETag"] == as_alice.get("/api/sessions/mine/")["ETag"]


def test_put_answers_no_etag(as_alice: JsonClient):
    """RFC 9110, section 9.3.4: what is stored is more than what was sent."""
    assert "ETag" not in as_alice.put("/api/sessions/mine/", {})
    assert "ETag" not in as_alice.put("/api/sessions/mine/", {})


def test_other_bytes_have_another_etag(as_alice: JsonClient, url: str):
    plain, indented = as_alice.get(url), as_alice.get(url, headers={"Accept": "application/json; indent=2"})

    assert plain.content != indented.content
    assert plain["ETag"] != indented["ETag"]


def test_the_browsable_page_has_no_etag(as_alice: JsonClient, url: str):
    page = as_alice.get(url, headers={"Accept": "text/html", "If-None-Match": as_alice.get(url)["ETag"]})

    assert page.status_code == 200
    assert "ETag" not in page
    assert Message.objects.exists()
