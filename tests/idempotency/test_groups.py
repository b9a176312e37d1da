"""A group under a key is done once as a whole, and answered again as a whole."""

from threading import Event, Thread
from typing import Any

import pytest
from django.test import Client

from batchapi.execute.idempotency.answers import NOTHING
from batchapi.models import IdempotencyRecord
from tests.idempotency.asking import Item, ask, do, fates, own, refusal
from tests.idempotency.views import CALLS, OUTCOMES, kept

pytestmark = [
    pytest.mark.urls("tests.idempotency.views"),
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]


def member(name: str, end: str = "201", **more: Any) -> Item:
    return do(name, end, atomicityGroup="g", **more)


def test_a_group_that_is_done_is_answered_again(client: Client):
    """With the answers of its reads, and of a member that was not to run; later ones see that it succeeded."""
    items = [
        member("a"),
        {"id": "r", "url": "/api/read/a/", "atomicityGroup": "g"},
        member("never", **{"if": "not $a/$succeeded"}),
        do("after", dependsOn=["g"]),
    ]
    first = ask(client, *items)
    assert fates(first) == [(201, False), (200, False), (424, False), (201, False)]
    IdempotencyRecord.objects.filter(part="id:after").delete()
    second = ask(client, *items)
    assert fates(second) == [(201, True), (200, True), (424, True), (201, False)]
    assert [record["body"] for record in second[:3]] == [record["body"] for record in first[:3]]
    assert kept() == {"a": 1, "after": 2}


@pytest.mark.parametrize("end", ["400", "crash", "429", "elsewhere"])
def test_a_group_that_failed_stores_nothing_and_runs_again(client: Client, end: str):
    OUTCOMES["b"] = end
    statuses = [record["status"] for record in ask(client, member("a"), member("b"), member("c"))]
    assert statuses == [424, 500 if end in ("crash", "elsewhere") else int(end), 424]
    assert kept() == {}
    OUTCOMES.clear()
    assert fates(ask(client, member("a"), member("b"), member("c"))) == [(201, False)] * 3
    assert fates(ask(client, member("a"), member("b"), member("c"))) == [(201, True)] * 3
    assert kept() == {"a": 1, "b": 1, "c": 1}


def test_a_key_on_one_member_is_the_groups(client: Client):
    """It may come again in another batch, with the same members."""
    items = [member("a", **own("mine")), member("b")]
    assert fates(ask(client, *items, key=None)) == [(201, False)] * 2
    assert fates(ask(client, do("c"), *items, key=None)) == [(201, False), (201, True), (201, True)]
    changed = [member("a", **own("mine")), member("b", "202")]
    assert refusal(client, *changed, key=None) == (422, "key_reused", {"pointer": "#/requests/0/headers"})
    assert kept() == {"a": 1, "b": 1, "c": 1}


def test_members_cannot_have_different_keys(client: Client):
    """One transaction is done or not, whatever its keys say."""
    items = [member("a", **own("one")), member("b", **own("two"))]
    assert refusal(client, *items, key=None) == (400, "bad_header", {"pointer": "#/requests/1/headers"})
    same = [member("a", **own("one")), member("b", **own("one"))]
    assert fates(ask(client, *same, key=None)) == [(201, False)] * 2


def test_a_member_that_set_a_cookie_or_logged_in_is_not_done_again(client: Client):
    items = [
        member("a"),
        member("b", "cookie"),
        {"id": "l", "method": "POST", "url": "/api/login/", "atomicityGroup": "g"},
    ]
    assert fates(ask(client, *items)) == [(201, False), (201, False), (200, False)]
    calls = list(CALLS)
    records = ask(client, *items)
    assert fates(records) == [(201, True), (409, False), (409, False)]
    assert [record["body"]["outcome"] for record in records[1:]] == ["committed", "committed"]
    assert calls == CALLS


def test_without_a_key_a_group_takes_no_lock_of_the_whole_process():
    """One that is held while the process forks stays so in the new one for ever."""
    is_entered = Event()

    def enter() -> None:
        with NOTHING.counted():
            is_entered.set()

    with NOTHING.hold.lock:
        Thread(target=enter, daemon=True).start()
        assert is_entered.wait(5)
