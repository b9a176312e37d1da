"""A database that fails costs a keyed batch what it has to, in time: others are answered, or nothing has run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client

from batchapi.signals import subrequest_finished
from tests.idempotency.asking import ask, do, send
from tests.idempotency.stage import stage_on
from tests.idempotency.views import CALLS, kept
from tests.serving.server import postgres_database

in_process = [
    pytest.mark.urls("tests.idempotency.views"),
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]
TABLE = "batchapi_idempotencyrecord"


@contextmanager
def after(name: str, harm: Any) -> Iterator[None]:
    """Something is done as soon as one is answered."""

    def receiver(*, response: Any, **_: object) -> None:
        if response.request.key == name:
            harm()

    subrequest_finished.connect(receiver)
    try:
        yield
    finally:
        subrequest_finished.disconnect(receiver)


@pytest.mark.urls("tests.idempotency.views")
@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_record_that_cannot_be_written_costs_its_own_sub_request_only(client: Client) -> None:
    """The view that wants no transaction is not called, since nobody would know of it afterwards."""

    def rename(old: str, new: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    with after("a", lambda: rename(TABLE, "moved")):
        try:
            records = ask(client, do("a"), do("b", view="loose"), {"id": "r", "url": "/api/read/a/"})
        finally:
            rename("moved", TABLE)
    assert [record["status"] for record in records] == [201, 500, 200]
    assert records[1]["body"]["executed"] is False
    assert CALLS == ["a"]


@pytest.mark.urls("tests.idempotency.views")
@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_key_that_cannot_be_looked_up_is_refused_in_words(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {TABLE} RENAME TO moved")
    try:
        response = send(client, do("a"))
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE moved RENAME TO {TABLE}")
    assert (response.status_code, response.json()["code"], response.json()["executed"]) == (409, "key_in_use", False)
    assert response["Retry-After"] == "1"
    assert kept() == {}


@contextmanager
def locked(url: str, *, seconds: float) -> Iterator[None]:
    """The table of the records is locked by somebody else for so long."""
    with psycopg.connect(url) as other:
        other.execute(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")

        def let_go() -> None:
            time.sleep(seconds)
            other.commit()

        thread = Thread(target=let_go)
        thread.start()
        yield
        thread.join()


def test_a_claim_waits_no_longer_than_the_batch_may_take(postgres_url: str) -> None:
    """Then it is refused, and nothing has run; sent again later, it is done once."""
    with postgres_database(postgres_url) as url, stage_on(url) as stage:
        with locked(url, seconds=5):
            begun = time.monotonic()
            refused = stage.send(do("a"), settings={"DEADLINE": 1})
            assert (refused.status, refused.code) == (409, "key_in_use")
            assert time.monotonic() - begun < 4
        stage.let_time_pass()
        assert stage.send(do("a")).records["a"]["status"] == 201
        assert stage.kept() == {"a": 1}


def test_what_is_answered_does_not_wait_for_its_key_to_be_given_back(postgres_url: str) -> None:
    with postgres_database(postgres_url) as url, stage_on(url) as stage:
        stopped = stage.send(do("a"), at="finished a", how="SIGSTOP", settings={"DEADLINE": 3})
        with locked(url, seconds=8):
            begun = time.monotonic()
            answered = stage.resume(stopped.pid)
            assert answered.records["a"]["status"] == 201
            assert time.monotonic() - begun < 6
