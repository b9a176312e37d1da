"""`manage.py purge_idempotency_records`: what goes, what stays, and how it is told."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from batchapi.management.commands import purge_idempotency_records as command
from batchapi.models import IdempotencyRecord
from tests.idempotency.asking import ask, do, fates, let_time_pass
from tests.idempotency.views import kept

pytestmark = [pytest.mark.urls("tests.idempotency.views"), pytest.mark.django_db(transaction=True)]


def purge(*arguments: str) -> str:
    out = StringIO()
    call_command("purge_idempotency_records", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue().strip()


@pytest.fixture
def _records(client: Client, bob: Client) -> None:
    """Two of alice's are over, two are not; two are bob's."""
    ask(client, do("a"), key="old")
    let_time_pass(expires=timezone.now() - timedelta(seconds=1))
    ask(client, do("a"), key="new")
    ask(bob, do("a"))


def left() -> set[tuple[str, str]]:
    names = {f"user auth.user {user.pk}": user.username for user in User.objects.all()}
    return {(names[caller], key) for caller, key in IdempotencyRecord.objects.values_list("caller", "key")}


@pytest.mark.usefixtures("_records")
def test_what_has_expired_goes() -> None:
    assert purge("--dry-run") == "2 would be deleted: expired records."
    assert purge() == "2 deleted: expired records."
    assert left() == {("alice", "new"), ("bob", "k")}
    assert purge() == "0 deleted: expired records."


@pytest.mark.usefixtures("_records")
def test_all_of_a_user_go(alice: User) -> None:
    assert purge("--user", str(alice.pk), "--no-input") == f"4 deleted: records of user {alice.pk}."
    assert left() == {("bob", "k")}


@pytest.mark.usefixtures("_records")
def test_everything_goes_but_what_a_batch_holds() -> None:
    IdempotencyRecord.objects.filter(key="new", part="").update(lease=timezone.now() + timedelta(seconds=9))
    assert json.loads(purge("--all", "--json")) == {"dry_run": False, "what": "all records", "deleted": 4}
    assert left() == {("alice", "new")}


@pytest.mark.usefixtures("_records")
def test_it_goes_on_until_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk at a time, with a word after each."""
    monkeypatch.setattr(command, "CHUNK", 2)
    err = StringIO()
    call_command("purge_idempotency_records", "--all", "--no-input", stdout=StringIO(), stderr=err)
    assert [line.split()[1] for line in err.getvalue().splitlines()] == ["2", "4", "6"]
    assert left() == set()


@pytest.mark.usefixtures("_records")
@pytest.mark.parametrize(("said", "remain"), [("n", 6), ("y", 0)])
def test_it_asks_before_anything_of_use_goes(monkeypatch: pytest.MonkeyPatch, said: str, remain: int) -> None:
    monkeypatch.setattr("builtins.input", lambda _: said)
    purge("--all")
    assert IdempotencyRecord.objects.count() == remain


def no_one(_: str) -> Any:
    raise EOFError


def test_it_says_why_nothing_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", no_one)
    with pytest.raises(CommandError, match="--no-input"):
        purge("--all")
    with pytest.raises(CommandError, match="primary key"):
        purge("--user", "x")
    with pytest.raises(CommandError, match="not allowed with"):
        purge("--user", "1", "--all")


def test_what_was_answered_under_a_key_that_is_held_is_left_alone(client: Client) -> None:
    """Its batch is at work, and counts on it."""
    ask(client, do("a"), do("b"))
    let_time_pass(lease=timezone.now() + timedelta(seconds=20))
    call_command("purge_idempotency_records", "--all", "--no-input", stdout=StringIO())
    let_time_pass()
    assert fates(ask(client, do("a"), do("b"))) == [(201, True), (201, True)]
    assert kept() == {"a": 1, "b": 1}
