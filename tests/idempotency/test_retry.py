"""What writes is tried again where its record makes that safe: each attempt is a transaction of its own."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client

from batchapi.execute.kept import ATTEMPTS
from batchapi.execute.retry import budget
from tests.execute.lanes import with_settings
from tests.idempotency.asking import ask, do, fates
from tests.idempotency.views import CALLS, kept

pytestmark = [
    pytest.mark.urls("tests.idempotency.views"),
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]


@pytest.fixture(autouse=True)
def _retries() -> Iterator[None]:
    budget.asked.clear()
    budget.spent.clear()
    with with_settings(RETRY_ATTEMPTS=3, RETRY_WAIT=0.01):
        yield


def test_a_write_under_a_key_is_tried_again_and_is_there_once(client: Client) -> None:
    [first] = ask(client, do("a", "busy"))
    assert (first["status"], first["headers"][ATTEMPTS]) == (201, "3")
    assert CALLS == ["a", "a", "a"]
    assert kept() == {"a": 1}
    assert fates(ask(client, do("a", "busy"))) == [(201, True)]
    assert kept() == {"a": 1}


def test_without_a_key_it_is_not(client: Client) -> None:
    assert fates(ask(client, do("a", "busy"), key=None)) == [(503, False)]
    assert CALLS == ["a"]


def test_a_view_that_wants_no_transaction_is_not(client: Client) -> None:
    assert fates(ask(client, do("a", "busy", view="loose"))) == [(503, False)]
    assert CALLS == ["a"]


def test_one_whose_writes_are_kept_is_not(client: Client) -> None:
    """Its answer says to come again, and not that what it did was taken back."""
    with with_settings(RETRY_ATTEMPTS=3, RETRY_WAIT=0.01, RETRY_STATUSES=(425, 503)):
        assert fates(ask(client, do("a", "425"))) == [(425, False)]
    assert kept() == {"a": 1}


def test_a_member_of_a_group_is_not(client: Client) -> None:
    ask(client, do("a", "busy", atomicityGroup="g"), do("b", atomicityGroup="g"))
    assert CALLS == ["a"]
    assert kept() == {}


def test_so_it_is_under_atomic_requests(client: Client) -> None:
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        assert fates(ask(client, do("a", "busy"))) == [(201, False)]
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
    assert kept() == {"a": 1}
