"""An old answer in place of a failure: when, for whom, and how that is told."""

import time
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client, override_settings

from batchapi.store import Store, get_store
from tests.cache.asking import Record, ask, said
from tests.cache.conftest import caching
from tests.cache.views import RAN
from tests.cache.views_stale import Trouble
from tests.factories import UserFactory

pytestmark = [
    pytest.mark.urls("tests.cache.views_stale"),
    pytest.mark.usefixtures("store"),
    pytest.mark.parametrize("store", ["redis"], indirect=True),
]
STOOD_IN = "fwd=stale; fwd-status={}; detail=stale-if-error"


@pytest.fixture(autouse=True)
def _no_trouble() -> None:
    RAN.clear()
    Trouble.kind, Trouble.is_locked = "", False


@pytest.fixture
def client(db: None) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(UserFactory(username="alice"))
    return client


def too_old(url: str) -> Record:
    """A sub-request for which nothing that is kept is young enough."""
    return {"url": url, "headers": {"Cache-Control": "max-age=0"}}


def ask_in_trouble(url: str | Record, kind: str, client: Client) -> Record:
    Trouble.kind = kind
    [record] = ask(too_old(url) if isinstance(url, str) else url, client=client)
    return record


@pytest.mark.parametrize(
    ("kind", "status"), [("raise", 500), ("500", 500), ("502", 502), ("503", 503), ("599", 599), ("slow", 504)]
)
def test_an_old_answer_stands_in_for_a_failure_and_says_so(client: Client, kind: str, status: int) -> None:
    [fresh] = ask("/api/fragile/", client=client)
    record = ask_in_trouble("/api/fragile/", kind, client)
    assert (record["status"], record["body"]) == (200, fresh["body"])
    assert said(record) == STOOD_IN.format(status)
    assert int(record["headers"]["Age"]) >= 0


def test_it_stands_in_for_a_view_that_is_left_alone(client: Client, request: Any) -> None:
    """Without a call of it, as soon as it has failed often enough."""
    with caching("redis", request, CIRCUIT_THRESHOLD=0.5, CIRCUIT_MIN_CALLS=2):
        [fresh] = ask("/api/fragile/", client=client)
        ask_in_trouble("/api/fragile/", "503", client)
        before = RAN.copy()
        record = ask_in_trouble("/api/fragile/", "503", client)
    assert (record["status"], record["body"]) == (200, fresh["body"])
    assert said(record) == STOOD_IN.format(503)
    assert before == RAN


def test_what_is_kept_does_not_say_how_often_it_was_tried(client: Client, request: Any) -> None:
    with caching("redis", request, RETRY_ATTEMPTS=2, RETRY_WAIT=0.001):
        Trouble.kind = "once"
        [first] = ask("/api/fragile/", client=client)
        [again] = ask("/api/fragile/", client=client)
    assert first["headers"]["Batch-Attempts"] == "2"
    assert said(again).startswith("hit")
    assert "Batch-Attempts" not in again["headers"]


def test_what_is_kept_and_fresh_is_given_whatever_became_of_its_view(client: Client, request: Any) -> None:
    with caching("redis", request, CIRCUIT_THRESHOLD=0.5, CIRCUIT_MIN_CALLS=2):
        for url in ("/api/fragile/", "/api/fragile/?other"):
            ask(url, client=client)
        ask_in_trouble("/api/fragile/", "503", client)
        ask_in_trouble("/api/fragile/", "503", client)
        [record] = ask("/api/fragile/?other", client=client)
    assert said(record).startswith("hit")


@pytest.mark.parametrize("status", [301, 304, 400, 401, 403, 404, 409, 410, 429])
def test_what_is_no_failure_of_the_server_is_told(client: Client, status: int) -> None:
    ask("/api/fragile/", client=client)
    assert ask_in_trouble("/api/fragile/", str(status), client)["status"] == status


def test_an_answer_of_rows_that_were_written_since_does_not_stand_in(client: Client) -> None:
    ask("/api/fragile/", client=client)
    Group.objects.create(name="new")
    assert ask_in_trouble("/api/fragile/", "raise", client)["status"] == 500


def test_it_does_where_the_policy_says_rather_old_rows_than_none(client: Client) -> None:
    ask("/api/rather-old/", client=client)
    Group.objects.create(name="new")
    record = ask_in_trouble("/api/rather-old/", "raise", client)
    assert (record["status"], record["body"]) == (200, ["alice", 0])


def test_it_never_does_where_the_policy_says_so(client: Client) -> None:
    ask("/api/never-old/", client=client)
    assert ask_in_trouble("/api/never-old/", "raise", client)["status"] == 500


def test_it_does_not_where_its_headers_say_so(client: Client) -> None:
    """By then all are past their time: a ttl of one second."""
    words = ("must-revalidate", "proxy-revalidate", "stale-if-error=0")
    urls = [f"/api/short/?Cache-Control={word}" for word in words]
    ask(*urls, "/api/short/", client=client)
    time.sleep(1.2)
    Trouble.kind = "raise"
    *forbidden, allowed = ask(*urls, "/api/short/", client=client)
    assert [record["status"] for record in (*forbidden, allowed)] == [500, 500, 500, 200]
    assert "ttl=-" in allowed["headers"]["Cache-Status"]
    assert int(allowed["headers"]["Age"]) >= 1


def test_it_does_not_where_the_project_says_zero_seconds(request: Any, client: Client) -> None:
    with caching("redis", request, STALE_IF_ERROR=0):
        ask("/api/short/", client=client)
        time.sleep(1.2)
        assert ask_in_trouble({"url": "/api/short/"}, "raise", client)["status"] == 500


def test_a_client_that_wants_nothing_old_gets_none(client: Client) -> None:
    ask("/api/fragile/", client=client)
    for wish in ("no-cache", "no-store"):
        asked = {"url": "/api/fragile/", "headers": {"Cache-Control": wish}}
        assert ask_in_trouble(asked, "raise", client)["status"] == 500


def test_it_is_not_kept_as_if_it_were_new(client: Client) -> None:
    ask("/api/fragile/", client=client)
    first = ask_in_trouble("/api/fragile/", "raise", client)
    time.sleep(1.1)
    second = ask_in_trouble("/api/fragile/", "raise", client)
    assert int(second["headers"]["Age"]) > int(first["headers"]["Age"])


def test_the_answer_of_another_never_stands_in(client: Client) -> None:
    bob = Client(raise_request_exception=False)
    bob.force_login(UserFactory(username="bob"))
    ask("/api/fragile/", client=client)
    for other in (bob, Client(raise_request_exception=False)):
        record = ask_in_trouble("/api/fragile/", "raise", other)
        assert record["status"] == 500
        assert "alice" not in str(record)


@pytest.mark.parametrize("url", ["/api/guarded/", "/api/public-guarded/"])
def test_who_is_not_let_in_any_more_gets_nothing_old(client: Client, url: str) -> None:
    """However the view fails, before it has asked its permissions or after."""
    ask(url, client=client)
    Trouble.is_locked = True
    assert ask_in_trouble(url, "raise", client)["status"] == 403
    assert ask_in_trouble(url, "guard", client)["status"] == 500
    Trouble.is_locked = False
    assert ask_in_trouble(url, "guard", client)["status"] == 500
    assert ask_in_trouble(url, "raise", client)["status"] == 200


def test_old_rows_are_not_for_one_whose_rights_may_be_among_what_was_written(client: Client) -> None:
    """DRF's own permissions need not run again while no table has changed; one has."""
    User.objects.update(is_staff=True)
    ask("/api/staff-rather-old/", client=client)
    Group.objects.create(name="new")
    assert ask_in_trouble("/api/staff-rather-old/", "before", client)["status"] == 500
    assert ask_in_trouble("/api/staff-rather-old/", "raise", client)["status"] == 200
    User.objects.update(is_staff=False)
    assert ask_in_trouble("/api/staff-rather-old/", "before", client)["status"] in (403, 500)


def test_what_a_view_has_written_before_it_failed_is_not_hidden(client: Client) -> None:
    ask("/api/fragile/", client=client)
    assert ask_in_trouble("/api/fragile/", "write", client)["status"] == 500


def test_one_that_times_out_in_the_database_gets_the_old_answer_in_time(client: Client) -> None:
    begun = time.monotonic()
    ask("/api/fragile/", client=client)
    record = ask_in_trouble("/api/fragile/", "slow", client)
    assert said(record) == STOOD_IN.format(504)
    assert time.monotonic() - begun < 30


def test_a_store_that_is_away_has_nothing_old(client: Client, store: Store) -> None:
    ask("/api/fragile/", client=client)
    with override_settings(
        CACHES={"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://127.0.0.1:1"}}
    ):
        assert get_store("default", 100) is not store
        assert ask_in_trouble("/api/fragile/", "raise", client)["status"] == 500
