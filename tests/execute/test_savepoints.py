"""In a transaction that somebody opened around the batch, one bad view harms neither them nor the others."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client, TestCase
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from batchapi import batchable, get_batch_processor
from chat.models import Session
from tests.execute.groups import HAPPENED, answers, kept, swallow, told, write
from tests.execute.groups import urlpatterns as of_groups
from tests.factories import UserFactory


@batchable
@csrf_exempt
def late(request: HttpRequest, status: int) -> HttpResponse:
    """Renames everybody, looks at the user only then, and goes on after an error."""
    User.objects.update(username="renamed")
    name = request.user.get_username()
    swallow()
    response = HttpResponse(name, status=status)
    response.set_cookie("name", name)
    return response


urlpatterns = [path("api/late/<int:status>/", late), *of_groups]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def owner(transactional_db: None) -> User:
    HAPPENED.clear()
    return UserFactory(username="alice")


def alone(key: str, end: str = "well") -> dict[str, Any]:
    """A write that is in no group."""
    return {name: value for name, value in write(key, end).items() if name != "atomicityGroup"}


def batch(*requests: dict[str, Any]) -> Any:
    return get_batch_processor().handle(requests)["responses"]


@pytest.mark.parametrize(
    ("end", "status", "is_kept"),
    [
        ("well", 201, True),
        ("recover", 201, True),
        ("409", 409, True),
        ("crash", 500, True),
        ("refuse", 400, True),
        ("duplicate", 500, False),  # its IntegrityError would have ended the transaction
        ("swallow", 500, False),
    ],
)
def test_a_view_keeps_what_it_would_keep_alone_unless_the_database_gave_up(
    end: str, status: int, is_kept: bool, owner: User
):
    """Whatever becomes of it, the others' rows and the caller's are there."""
    with transaction.atomic():
        Session.objects.create(owner=owner, key="before")
        records = batch(alone("first"), alone("bad", end), alone("last"))
        Session.objects.create(owner=owner, key="after")
    assert [record["status"] for record in records] == [201, status, 201]
    assert {"before", "first", "last", "after"} <= kept()
    assert ("bad" in kept()) is is_kept
    assert "twice" not in kept() or end == "recover"


def test_an_error_that_only_the_database_has_seen_is_one_too(owner: User):
    """PostgreSQL takes no statement after it, not even the end of the savepoint; SQLite has forgotten it."""
    with transaction.atomic():
        bad, last = batch(alone("bad", "swallow_raw"), alone("last"))
    is_lost = connection.vendor == "postgresql"
    assert told(bad) == ((500, "crashed", True) if is_lost else (201, None, None))
    assert last["status"] == 201
    assert kept() == ({"last"} if is_lost else {"bad", "last"})


def test_hooks_wait_for_the_callers_commit():
    """They run once, and only if it comes."""
    with transaction.atomic():
        batch(alone("one"), alone("two", "swallow"))
        assert HAPPENED == ["called one", "called two"]
    assert HAPPENED == ["called one", "called two", "committed one"]


def test_a_callers_rollback_takes_the_whole_batch_back():
    """Groups too, which are savepoints of it."""
    with transaction.atomic():
        assert [record["status"] for record in batch(alone("one"), write("two"), write("three"))] == [201] * 3
        transaction.set_rollback(True)
    assert kept() == set()


@pytest.mark.parametrize("end", ["crash", "duplicate", "swallow"])
def test_a_group_in_the_callers_transaction_is_all_or_nothing(end: str):
    """The caller goes on."""
    with transaction.atomic():
        records = batch(write("one"), write("two", end), alone("last"))
        assert kept() == {"last"}
    assert [record["status"] for record in records] == [424, 500, 201]


@pytest.mark.parametrize(("said", "status"), [(200, 500), (409, 409)])
def test_what_a_lost_savepoint_took_back_was_never_seen(said: int, status: int, client: Client, owner: User):
    """The user that a later view gets is the row that is there, and no cookie tells of another."""
    client.force_login(owner)
    with transaction.atomic():
        bad, who = answers({"method": "POST", "url": f"/api/late/{said}/"}, {"url": "/api/me/"}, client=client)
    assert bad["status"] == status
    assert who["body"] == "alice"
    assert "name" not in client.cookies


def test_without_a_transaction_there_is_no_savepoint(django_assert_num_queries: Any):
    """Each view is on its own, as over HTTP: two queries of its own here."""
    with django_assert_num_queries(2):
        assert batch(alone("one"))[0]["body"]["depth"] == 0


class InATestCase(TestCase):
    """Django's own transaction around a test is one, over HTTP too."""

    def test_a_broken_view_does_not_break_the_test(self) -> None:
        records = answers(alone("one"), alone("bad", "duplicate"), alone("two"))
        assert [record["status"] for record in records] == [201, 500, 201]
        assert kept() == {"one", "two"}
