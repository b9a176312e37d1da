"""Atomic groups: all of it or nothing of it, whichever way a member ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session as Login
from django.db import connection, connections, transaction
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.test import Client, override_settings

from tests.execute.groups import HAPPENED, answers, kept, member, post, told, write
from tests.factories import UserFactory

pytestmark = [
    pytest.mark.urls("tests.execute.groups"),
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]
ROLLED_BACK, CALLED = (424, "rolled_back", False), (424, "rolled_back", True)


@pytest.fixture(autouse=True)
def _nothing_happened() -> None:
    HAPPENED.clear()


@pytest.fixture(params=[False, True], ids=["", "ATOMIC_REQUESTS"])
def _atomic_requests(request: pytest.FixtureRequest) -> Iterator[None]:
    connection.settings_dict["ATOMIC_REQUESTS"] = request.param
    yield
    connection.settings_dict["ATOMIC_REQUESTS"] = False


FAILURES = {  # how a member ends: what it is told
    "refuse": (400, None, None),
    "409": (409, None, None),
    "crash": (500, "crashed", True),
    "duplicate": (500, "crashed", True),
    "elsewhere": (500, "crashed", True),
}


@pytest.mark.usefixtures("_atomic_requests")
@pytest.mark.parametrize("end", FAILURES)
@pytest.mark.parametrize("index", range(4))
def test_a_failure_at_any_index_takes_everything_back(index: int, end: str):
    """The one that failed keeps its own answer, and the others say truly whether their views were called."""
    group = [write(f"k{i}", end if i == index else "well") for i in range(4)]
    outside = [write("before") | {"atomicityGroup": None}, *group, write("after") | {"atomicityGroup": None}]
    before, *records, after = answers(*outside)
    assert (before["status"], after["status"]) == (201, 201)
    assert [told(record) for record in records] == [CALLED] * index + [FAILURES[end]] + [ROLLED_BACK] * (3 - index)
    assert {record["atomicityGroup"] for record in records} == {"g"}
    assert "atomicityGroup" not in before
    assert kept() == {"before", "after"}
    assert User.objects.using("other").count() == 0
    assert [line for line in HAPPENED if line.startswith("committed")] == ["committed before", "committed after"]


@pytest.mark.usefixtures("_atomic_requests")
def test_hooks_run_once_in_order_after_the_commit():
    records = answers(*(write(f"k{i}") for i in range(3)))
    assert [record["status"] for record in records] == [201] * 3
    assert [f"called k{i}" for i in range(3)] + [f"committed k{i}" for i in range(3)] == HAPPENED
    assert kept() == {"k0", "k1", "k2"}


def test_each_member_has_a_savepoint():
    """A view finds itself in a transaction, as deep as the one before it was."""
    assert [record["body"]["depth"] for record in answers(write("a"), write("b"))] == [1, 1]


@pytest.mark.usefixtures("_atomic_requests")
def test_a_view_that_catches_an_error_in_a_savepoint_is_well():
    assert [record["status"] for record in answers(write("a", "recover"), write("b", "read_elsewhere"))] == [201] * 2
    assert kept() == {"a", "b"}


def test_writes_that_the_database_dropped_are_no_success():
    """A view that goes on after an error answers well, but its rows are gone: so is the group."""
    records = answers(write("a"), write("b", "swallow"), write("c"))
    assert [told(record) for record in records] == [CALLED, (500, "crashed", True), ROLLED_BACK]
    assert kept() == set()


def test_an_aborted_transaction_is_no_success():
    """PostgreSQL refuses everything after an error; SQLite goes on, and then nothing is lost."""
    records = answers(write("a"), write("b", "swallow_raw"), write("c"))
    if connection.vendor == "postgresql":
        assert [told(record) for record in records] == [CALLED, (500, "crashed", True), ROLLED_BACK]
        assert kept() == set()
    else:
        assert [record["status"] for record in records] == [201] * 3


@pytest.mark.usefixtures("_atomic_requests")
def test_a_constraint_that_fails_at_the_commit_takes_everything_back():
    """The member that ran last is told, as none can be blamed."""
    records = answers(write("a", "orphan"), write("b"))
    assert [told(record) for record in records] == [CALLED, (500, "crashed", True)]
    assert kept() == set()
    assert HAPPENED == ["called a", "called b"]


def test_a_hook_that_raises_takes_nothing_back():
    records = answers(write("a", "hook"), write("b"), write("c") | {"atomicityGroup": "h"})
    assert [record["status"] for record in records] == [201] * 3
    assert kept() == {"a", "b", "c"}


def test_a_hook_may_write_to_another_database():
    """What is committed is committed."""
    assert answers(write("a", "hook-elsewhere"))[0]["status"] == 201
    assert User.objects.using("other").get().username == "elsewhere"


def test_what_a_hook_writes_outdates_what_was_looked_up():
    client = Client()
    client.force_login(UserFactory(username="alice"))
    before = {"id": "before", "url": "/api/me/"}
    records = answers(before, write("a", "renaming-hook"), ME, client=client)
    assert [record["body"] for record in records if record["id"] != "a"] == ["alice", "by a hook"]


def test_a_batch_that_a_hook_posts_is_nested():
    """And afterwards it is none any more."""
    answers(write("a", "posting-hook"))
    assert HAPPENED[-1] == "nested_batch"
    assert answers(write("b"))[0]["status"] == 201


def test_a_database_that_cannot_be_reached_is_the_groups_failure_alone(tmp_path: Path):
    """No member was called: the first is told so, and what stands outside is not harmed."""
    other = connections["other"]
    there = other.settings_dict | {"NAME": str(tmp_path / "no" / "folder.sqlite3")}
    connections["other"] = DatabaseWrapper(there, alias="other")
    try:
        with override_settings(BATCHAPI={"ATOMIC_GROUP_ALIAS": "other"}):
            first, second, outside = answers(write("a"), write("b"), write("c") | {"atomicityGroup": None})
    finally:
        connections["other"] = other
    assert [told(first), told(second)] == [(500, "crashed", False), ROLLED_BACK]
    assert outside["status"] == 201
    assert kept() == {"c"}


def test_outside_of_groups_another_database_is_nobodys_business():
    answers(write("a", "elsewhere") | {"atomicityGroup": None})
    assert User.objects.using("other").count() == 1


def test_a_condition_that_does_not_hold_rolls_nothing_back():
    group = [write("a"), write("b", **{"if": "not $a/$succeeded"}), write("c")]
    records = answers(*group)
    assert [told(record)[:2] for record in records] == [(201, None), (424, "condition_false"), (201, None)]
    assert kept() == {"a", "c"}


def test_one_whose_condition_did_not_hold_was_not_executed():
    group = [write("a"), write("b", **{"if": "not $a/$succeeded"}), write("c", "refuse")]
    assert [told(record) for record in answers(*group)] == [CALLED, ROLLED_BACK, FAILURES["refuse"]]


def test_what_waits_for_a_group_waits_for_all_of_it():
    """By its name or by a member's; and a group that fails lets the other plan run."""
    after = [
        {"id": "by-name", "url": "/api/me/", "dependsOn": ["g"]},
        {"id": "by-member", "url": "/api/me/", "dependsOn": ["a"]},
        {"id": "plan-b", "url": "/api/me/", "if": "not $g/$succeeded"},
    ]
    statuses = [record["status"] for record in answers(*after, write("a"), write("b"))]
    assert statuses == [200, 200, 424, 201, 201]
    statuses = [record["status"] for record in answers(*after, member("write/c/well", id="a"), write("d", "refuse"))]
    assert statuses == [424, 424, 200, 424, 400]


def test_a_member_takes_from_an_earlier_one():
    bind = {"bind": {"{x}": "$a.body#/key"}}
    records = answers(write("a"), member("write/{x}2/well", id="b", **bind))
    assert [record["status"] for record in records] == [201, 201]
    assert kept() == {"a", "a2"}


def test_what_was_answered_in_a_group_that_failed_is_not_to_be_had():
    """A member took it; whoever asks afterwards finds the answer that the client got."""
    taking = member("write/{x}2/refuse", id="b", bind={"{x}": "$a.body#/key"})
    outside = {"id": "c", "method": "POST", "if": "not $a/$succeeded", "url": "/api/write/{x}/well/"}
    answer = answers(write("a"), taking, outside | {"bind": {"{x}": "$a.body#/key"}})[-1]
    assert told(answer) == (400, "unresolved_reference", False)
    answer = answers(write("a"), taking, outside | {"bind": {"{x}": "$a.body#/code"}})[-1]
    assert answer["body"]["key"] == "rolled_back"


def test_a_member_without_a_view_rolls_the_group_back():
    records = answers(write("a"), member("nowhere"))
    assert [told(record) for record in records] == [CALLED, (404, "not_found", False)]
    assert kept() == set()


def test_a_view_that_wants_no_transaction_cannot_be_in_a_group():
    """It could not be taken back; told before anything runs, or as soon as it is known."""
    refused = post(write("a"), member("loose/b/well"), status=400).json()
    assert (refused["code"], refused["errors"][0]["pointer"]) == ("bad_envelope", "#/requests/1/atomicityGroup")
    assert answers(member("loose/b/well") | {"atomicityGroup": None})[0]["status"] == 201
    later = member("{x}/c/well", bind={"{x}": "$e.body#/key"})
    records = answers({**write("loose"), "id": "e", "atomicityGroup": None}, write("a"), later)
    assert [told(record) for record in records[1:]] == [CALLED, (400, "bad_url_after_bind", False)]
    assert kept() == {"b", "loose"}


def test_cookies_of_a_group_that_failed_are_dropped():
    assert set(post(write("a"), write("b")).cookies) == {"a", "b"}
    failed = post(write("c"), write("d", "409"), write("e") | {"atomicityGroup": None})
    assert set(failed.cookies) == {"e"}


ME = {"id": "me", "url": "/api/me/", "dependsOn": []}


def test_a_login_holds_after_a_group_that_succeeded():
    UserFactory(username="alice")
    client = Client()
    records = answers(member("login", body={"name": "alice"}), write("a"), ME, client=client)
    assert records[-1]["body"] == "alice"
    assert client.get("/api/me/").json() == "alice"


def test_a_login_is_taken_back_with_its_group():
    """Its session row, its cookie, and who is asking afterwards."""
    UserFactory(username="alice")
    inside = member("me", id="inside", method="GET")
    response = post(member("login", body={"name": "alice"}), inside, write("a", "refuse"), ME)
    records = response.json()["responses"]
    assert [record["status"] for record in records] == [424, 424, 400, 200]
    assert records[-1]["body"] == ""
    assert (Login.objects.count(), dict(response.cookies)) == (0, {})


def test_a_logout_is_taken_back_with_its_group():
    client = Client()
    client.force_login(UserFactory(username="alice"))
    records = answers(member("login", method="DELETE"), write("a", "refuse"), ME, client=client)
    assert [record["status"] for record in records] == [424, 400, 200]
    assert records[-1]["body"] == "alice"
    assert client.get("/api/me/").json() == "alice"


def test_what_was_looked_up_in_a_group_that_failed_is_forgotten():
    """A name that was never committed."""
    client = Client(headers={"X-CSRFToken": "x" * 32})
    client.force_login(UserFactory(username="alice"))
    inside = member("me", id="inside", method="GET")
    records = answers(member("me"), inside, write("a", "refuse"), ME, client=client)
    assert [record["status"] for record in records] == [424, 424, 400, 200]
    assert records[-1]["body"] == "alice"


def test_groups_do_not_take_each_other_back():
    """Nor does a failed one the writes around it."""
    records = answers(write("a"), write("b") | {"atomicityGroup": "h"}, write("c", "refuse"))
    assert [record["status"] for record in records] == [424, 201, 400]
    assert kept() == {"b"}


def test_inside_the_callers_own_transaction_a_group_is_a_savepoint():
    """As in a TestCase, or in a view that posts a batch under its own transaction; hooks are then the caller's."""
    with transaction.atomic():
        assert [record["status"] for record in answers(write("a"), write("b"))] == [201, 201]
        failed = answers(write("c") | {"atomicityGroup": "h"}, write("d", "duplicate") | {"atomicityGroup": "h"})
        assert [record["status"] for record in failed] == [424, 500]
        assert kept() == {"a", "b"}
        assert not [line for line in HAPPENED if line.startswith("committed")]
    assert [line for line in HAPPENED if line.startswith("committed")] == ["committed a", "committed b"]


@pytest.mark.django_db(databases=["default", "other"])
def test_a_test_case_of_a_project_sees_its_rows():
    """Its own fixtures, in a transaction that never commits."""
    assert [record["status"] for record in answers(write("a"), write("b", "hook"))] == [201, 201]
    assert kept() == {"a", "b"}
