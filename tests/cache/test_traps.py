"""What could slip into a kept answer, or keep one that should not be: each trap by its name."""

from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.test import Client, override_settings

from batchapi import get_batch_processor
from tests.cache.asking import ask, fate, fates, said
from tests.cache.conftest import caching
from tests.cache.views import RAN
from tests.cache.views_private import Flag
from tests.factories import SessionFactory, UserFactory, permission_to_change_groups

pytestmark = [
    pytest.mark.urls("tests.cache.views_traps"),
    pytest.mark.usefixtures("store"),
    pytest.mark.parametrize("store", ["redis"], indirect=True),
]
MISS = "fwd=miss; stored"


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    RAN.clear()
    Flag.is_on, Flag.is_broken = True, False


@pytest.fixture
def alice(db: None) -> User:
    return UserFactory(username="alice")


@pytest.fixture
def client(alice: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    return client


@pytest.mark.parametrize("loads", ["groups", "permissions"])
def test_what_one_view_has_loaded_along_with_the_user_is_no_part_of_another_answer(
    client: Client, alice: User, loads: str
) -> None:
    """The second view would ask the database nothing, and nothing would tell when its answer is outdated."""
    group = Group.objects.create(name="members")
    alice.groups.add(group)
    alice.user_permissions.add(permission_to_change_groups())
    urls = [f"/api/loads/{loads}/?1", f"/api/loads/{loads}/?2"]
    before = [record["body"][0] for record in ask(*urls, client=client)]
    alice.groups.clear()
    alice.user_permissions.clear()
    after = [record["body"][0] for record in ask(*urls, client=client)]
    assert before in ([["members"]] * 2, [["auth.change_group"]] * 2)
    assert after == [[], []]


def test_inside_a_transaction_of_the_caller_nothing_is_given_or_kept(alice: User) -> None:
    processor = get_batch_processor(user=alice)
    payload = {"requests": [{"url": "/api/names/"}]}
    with transaction.atomic():
        assert said(processor.handle(payload)["responses"][0]) == ""
    assert said(processor.handle(payload)["responses"][0]) == MISS
    with transaction.atomic():
        Group.objects.create(name="not committed")
        [record] = processor.handle(payload)["responses"]
        assert (said(record), record["body"]) == ("", ["not committed"])
        transaction.set_rollback(True)
    assert said(processor.handle(payload)["responses"][0]) == "hit"


def test_a_transaction_that_raw_sql_has_begun_is_one_too() -> None:
    """An old snapshot: what others commit meanwhile this connection does not see."""
    ask("/api/names/")
    connection.set_autocommit(False)
    try:
        payload = {"requests": [{"url": "/api/names/"}]}
        assert said(get_batch_processor().handle(payload)["responses"][0]) == ""
    finally:
        connection.rollback()
        connection.set_autocommit(True)


def test_a_user_whose_row_the_batch_itself_changes(client: Client) -> None:
    ask("/api/mine/", client=client)
    change = {"method": "POST", "url": "/api/rename/", "body": {"email": "new@example.com"}}
    first, _, second = ask("/api/mine/", change, {"url": "/api/mine/", "id": "after"}, client=client)
    assert (first["body"][1], second["body"][1]) == ("alice@example.com", "new@example.com")
    assert ask("/api/mine/", client=client)[0]["body"][1] == "new@example.com"


def test_views_in_a_transaction_of_their_own_are_kept_as_others(settings: Any) -> None:
    was = connection.settings_dict["ATOMIC_REQUESTS"]
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        assert [fate("/api/names/"), fate("/api/names/")] == [MISS, "hit"]
        write = {"method": "POST", "url": "/api/names/", "body": {"name": "b"}}
        *_, record = ask(write, "/api/names/")
        assert record["body"] == ["b"]
        assert ask("/api/names/")[0]["body"] == ["b"]
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = was


def test_without_autocommit_nothing_is_kept() -> None:
    was = connection.settings_dict["AUTOCOMMIT"]
    connection.settings_dict["AUTOCOMMIT"] = False
    try:
        assert [fate("/api/names/"), fate("/api/names/")] == ["", ""]
    finally:
        connection.settings_dict["AUTOCOMMIT"] = was


def test_with_middleware_around_each_sub_request_nothing_is_kept(request: Any) -> None:
    with caching("redis", request, SUBREQUEST_MIDDLEWARE=("tests.cache.middleware.hanging",)):
        assert [fate("/api/names/"), fate("/api/names/")] == ["", ""]


def test_with_middleware_that_nobody_knows_nothing_is_kept() -> None:
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, "tests.cache.middleware.hanging"]):
        assert [fate("/api/names/"), fate("/api/names/")] == ["", ""]


def test_behind_a_cookie_that_the_batch_has_set_nothing_is_given_or_kept() -> None:
    ask("/api/echo-cookie/")
    sets = {"method": "POST", "url": "/api/echo-cookie/"}
    _, record = ask(sets, {"url": "/api/echo-cookie/", "id": "after"})
    assert (record["body"][0], said(record)) == ("yes", "")
    assert ask("/api/echo-cookie/")[0]["body"][0] is None


def test_in_relaxed_order_a_write_of_the_batch_is_not_hidden() -> None:
    """Where reads and writes run beside each other, nobody knows what is old."""
    ask("/api/names/")
    write = {"id": "write", "method": "POST", "url": "/api/names/", "body": {"name": "b"}}
    payload = {"requests": [write, {"url": "/api/names/", "dependsOn": ["write"]}], "ordering": "relaxed"}
    for _ in range(2):
        records = Client().post("/api/batch/", payload, content_type="application/json").json()["responses"]
        by_id = {str(record["id"]): record for record in records}
        assert "b" in by_id["1"]["body"]
        Group.objects.all().delete()


def test_a_read_whose_url_comes_from_another_answer_is_of_the_url_that_it_gets() -> None:
    one, other = SessionFactory(title="one"), SessionFactory(title="other")
    for session in (one, other, one):
        first = {"id": "first", "url": f"/api/pick/{session.pk}/"}
        bound = {"url": "/api/title/{pk}/", "bind": {"{pk}": "$first.body#/pk"}}
        _, record = ask(first, bound)
        assert record["body"] == [session.title]


@pytest.mark.parametrize("is_wanted", [True, False])
def test_a_kept_answer_is_given_only_where_its_condition_is_met(is_wanted: bool) -> None:
    ask("/api/names/", "/api/nothing/")
    first = {"url": "/api/nothing/" if is_wanted else "/api/pick/0/", "id": "first"}
    _, record = ask(first, {"url": "/api/names/", "if": "$first/$succeeded"})
    assert record["status"] == (200 if is_wanted else 424)
    _, record = ask(first, {"url": "/api/names/", "dependsOn": ["first"]})
    assert record["status"] == (200 if is_wanted else 424)


def test_session_content_is_part_of_who_asks(client: Client) -> None:
    """Through `request.user` and middleware a view may depend on it without touching it."""
    assert [fate("/api/mine/", client), fate("/api/mine/", client)] == [MISS, "hit"]
    session = client.session
    session["impersonates"] = 5
    session.save()
    assert fate("/api/mine/", client) == MISS


def test_many_lanes_do_not_mix_up_who_gets_what(client: Client) -> None:
    bob = Client(raise_request_exception=False)
    bob.force_login(UserFactory(username="bob"))
    urls = [f"/api/mine/?{n}" for n in range(30)]
    for _ in range(2):
        for asking, name in ((client, "alice"), (bob, "bob")):
            records = ask(*urls, client=asking)
            assert {record["body"][0] for record in records} == {name}
    assert fates(*urls, client=client) == ["hit"] * 30


@pytest.mark.parametrize("url", ["/api/plain/", "/api/mine/"])
def test_one_who_is_logged_in_or_out_in_the_batch_is_another_behind_it(client: Client, url: str) -> None:
    """What was kept for whom they were before is theirs no more."""
    ask(url, client=client)
    behind = {"url": "/api/plain/", "id": "behind"}
    before, _, after = ask(url, {"method": "POST", "url": "/api/leave/"}, behind, client=client)
    assert (before["body"][0], said(before), after["body"][0]) == ("alice", "hit", "")
    stranger = Client()
    ask("/api/plain/", client=stranger)
    before, _, after = ask("/api/plain/", {"method": "POST", "url": "/api/enter/"}, behind, client=stranger)
    assert (before["body"][0], said(before), after["body"][0]) == ("", "hit", "alice")
