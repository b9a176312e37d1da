"""A group that the database gave up begins again once: two real connections that want each other's rows."""

from collections.abc import Iterator
from threading import Event, Thread

import pytest
from django.db import connection, transaction
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chat.models import Session
from tests.execute import groups
from tests.execute.groups import HAPPENED, Open, answers, kept, member, told, write
from tests.factories import SessionFactory

STATE = "DO $$ BEGIN RAISE EXCEPTION 'made' USING ERRCODE = '{}'; END $$"
mine, theirs = Event(), Event()


class Lock(Open):
    """Locks a row as one of two who go opposite ways."""

    def post(self, _request: Request, key: str) -> Response:
        HAPPENED.append(f"locks {key}")
        Session.objects.select_for_update().get(key=key)
        if key == "one":
            mine.set()
            assert theirs.wait(10)
        return Response()


class GiveUp(APIView):
    """The database gives up with an SQLSTATE, so many times."""

    authentication_classes = permission_classes = ()

    def post(self, _request: Request, state: str, times: int) -> Response:
        HAPPENED.append(f"tries {state}")
        if HAPPENED.count(f"tries {state}") <= times:
            with connection.cursor() as cursor:
                cursor.execute(STATE.format(state))
        return Response()


urlpatterns = [
    path("api/lock/<str:key>/", Lock.as_view()),
    path("api/give-up/<str:state>/<int:times>/", GiveUp.as_view()),
    *groups.urlpatterns,
]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True, databases=["default", "other"])]


@pytest.fixture(autouse=True)
def _nothing_happened() -> Iterator[None]:
    HAPPENED.clear()
    mine.clear()
    theirs.clear()
    return


def go_the_other_way() -> None:
    """Lock "two", then "one": waits for the group, which waits for us, and is told so first."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL deadlock_timeout = '60s'")
            Session.objects.select_for_update().get(key="two")
            assert mine.wait(10)
            theirs.set()
            Session.objects.select_for_update().get(key="one")
    finally:
        connection.close()


def test_a_deadlock_is_tried_again():
    owner = SessionFactory(key="one").owner
    SessionFactory(key="two", owner=owner)
    other = Thread(target=go_the_other_way)
    other.start()
    records = answers(write("a"), member("lock/one"), member("lock/two"))
    other.join(20)
    assert not other.is_alive()
    assert [record["status"] for record in records] == [201, 200, 200]
    assert kept() == {"one", "two", "a"}
    locks = ["locks one", "locks two"]
    assert [line for line in HAPPENED if "hook" not in line] == ["called a", *locks, "called a", *locks, "committed a"]


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_a_group_is_tried_twice_and_no_more(state: str):
    assert [r["status"] for r in answers(write("a"), member(f"give-up/{state}/1"))] == [201, 200]
    HAPPENED.clear()
    records = answers(write("b"), member(f"give-up/{state}/9"))
    assert [told(record) for record in records] == [(424, "rolled_back", True), (500, "crashed", True)]
    assert HAPPENED.count(f"tries {state}") == 2
    assert kept() == {"a"}


def test_any_other_error_is_not_tried_again():
    answers(write("a"), member("give-up/55P03/9"))
    assert HAPPENED.count("tries 55P03") == 1


def test_inside_the_callers_transaction_nothing_is_tried_again():
    """It may be lost as a whole, and is not ours to begin again."""
    with transaction.atomic():
        answers(write("a"), member("give-up/40001/1"))
        transaction.set_rollback(True)
    assert HAPPENED.count("tries 40001") == 1
