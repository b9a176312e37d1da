"""A reader and a writer who overlap, in every order of their steps: nobody is given outdated rows after that.

The reader notes the generations, reads, and has its answer kept. The writer runs its statement, commits, has the
generations moved, and goes on. Each step waits until it is let go.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import combinations
from threading import Event, Thread

import pytest
from django.contrib.auth.models import Group
from django.db import connection, connections, transaction
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from batchapi import uncommitted
from batchapi.store import Store
from tests.cache.asking import Record, ask, said

PATIENCE = 20  # seconds
URL = "/api/names/"
READER = ("note", "read", "keep")
WRITER = ("write", "commit", "move", "return")


def orders(writer: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Every way in which the steps of both can follow each other."""
    steps = range(len(READER) + len(writer))
    return [woven(frozenset(places), steps, writer) for places in combinations(steps, len(READER))]


def woven(places: frozenset[int], steps: range, writer: tuple[str, ...]) -> tuple[str, ...]:
    """The reader's steps in these places, the writer's in the others."""
    left, right = iter(READER), iter(writer)
    return tuple(next(left if place in places else right) for place in steps)


class Steps:
    """Places where a thread stops until it is let go on."""

    def __init__(self) -> None:
        self.is_open = False  # Nobody stops: somebody else passes, while those who stop stand where they are.
        self.reached: dict[str, Event] = {}
        self.free: dict[str, Event] = {}

    def hold(self, *names: str) -> None:
        for name in names:
            self.reached[name], self.free[name] = Event(), Event()

    def stop_at(self, name: str) -> None:
        """Called by the thread; stops the first one only."""
        if not self.is_open and name in self.free and not self.reached[name].is_set():
            self.reached[name].set()
            assert self.free[name].wait(PATIENCE), name

    def wait_for(self, name: str) -> None:
        assert self.reached[name].wait(PATIENCE), name

    def let_go(self, name: str) -> None:
        self.free[name].set()


STEPS = Steps()


class Names(APIView):
    """Reads twice, and stops before, between and after."""

    authentication_classes = permission_classes = ()

    def get(self, request: Request) -> Response:
        STEPS.stop_at("before reading")
        first = names()
        STEPS.stop_at("between")
        second = names()
        STEPS.stop_at("after reading")
        return Response([first, second])


def names() -> list[str]:
    return sorted(Group.objects.values_list("name", flat=True))


urlpatterns = [path("api/names/", Names.as_view()), path("api/batch/", include("batchapi.urls"))]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.usefixtures("held")]


@pytest.fixture
def held(store: Store) -> Iterator[None]:
    """A group, and receivers that stand in front of the store's and behind it."""

    def before(_tables: frozenset[str]) -> None:
        STEPS.stop_at("committed")

    def after(_tables: frozenset[str]) -> None:
        STEPS.stop_at("moved")

    Group.objects.create(name="old")
    theirs = [*uncommitted.receivers]
    uncommitted.receivers[:] = [before, *theirs, after]
    yield
    uncommitted.receivers[:] = theirs
    for name in STEPS.free:
        STEPS.let_go(name)
    STEPS.reached.clear()
    STEPS.free.clear()


class Side:
    """Something that happens on a thread of its own."""

    def __init__(self, run: Callable[[], object]) -> None:
        self.failure: BaseException | None = None
        self.run = run
        self.thread = Thread(target=self.work)

    def work(self) -> None:
        try:
            self.run()
        except BaseException as error:
            self.failure = error
        finally:
            connections.close_all()

    def end(self) -> None:
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        assert self.failure is None


def in_transaction() -> None:
    with transaction.atomic():
        Group.objects.update(name="new")
        STEPS.stop_at("written")


def in_autocommit() -> None:
    STEPS.stop_at("written")
    Group.objects.update(name="new")


def with_rows() -> None:
    """SQLite commits this when its row has been read."""
    STEPS.stop_at("written")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE auth_group SET name = 'new' RETURNING id")
        assert len(cursor.fetchall()) == 1


def taken_back() -> None:
    with transaction.atomic():
        Group.objects.update(name="never")
        STEPS.stop_at("written")
        transaction.set_rollback(True)


def taking(order: Iterable[str], reader: Side, writer: Side) -> Iterator[str]:
    """Have the steps happen in this order; each has, when its name comes out."""
    for step in order:
        match step:
            case "note":
                reader.thread.start()
                STEPS.wait_for("before reading")
            case "read":
                STEPS.let_go("before reading")
                STEPS.wait_for("after reading")
            case "keep":
                STEPS.let_go("after reading")
                reader.end()
            case "write":
                writer.thread.start()
                STEPS.wait_for("written")
            case "commit":
                STEPS.let_go("written")
                STEPS.wait_for("committed")
            case "move":
                STEPS.let_go("committed")
                STEPS.wait_for("moved")
            case "return":
                STEPS.let_go("moved")
                writer.end()
            case "roll back":
                STEPS.let_go("written")
                writer.end()
        yield step


def fresh_answer() -> Record:
    """What somebody is given now; on the way nobody stops."""
    [record] = ask(URL)
    return record


def pass_by() -> Record:
    """The same, while others stand where they are."""
    STEPS.is_open = True
    try:
        return fresh_answer()
    finally:
        STEPS.is_open = False


@pytest.mark.parametrize(
    ("write", "is_asked_between"),
    [(in_transaction, False), (in_transaction, True), (in_autocommit, False), (with_rows, False)],
    ids=["transaction", "transaction, asked between", "autocommit", "rows"],
)
@pytest.mark.parametrize("order", list(orders(WRITER)), ids=" ".join)
def test_after_the_move_nobody_is_given_old_rows(
    order: tuple[str, ...], write: Callable[[], None], is_asked_between: bool
) -> None:
    STEPS.hold("before reading", "after reading", "written", "committed", "moved")
    reader, writer = Side(fresh_answer), Side(write)
    is_moved = False
    for step in taking(order, reader, writer):
        is_moved |= step == "move"
        has_noted = order.index("note") <= order.index(step)  # Before that, the reader would find this answer.
        if is_asked_between and has_noted:
            body = pass_by()["body"]
            assert body in ([["new"]] * 2, *([] if is_moved else [[["old"]] * 2]))
    assert [fresh_answer()["body"], fresh_answer()["body"]] == [[["new"]] * 2] * 2
    assert said(fresh_answer()) == "hit"


@pytest.mark.parametrize("order", list(orders(("write", "roll back"))), ids=" ".join)
def test_what_is_rolled_back_is_never_seen(order: tuple[str, ...]) -> None:
    STEPS.hold("before reading", "after reading", "written")
    for _ in taking(order, Side(fresh_answer), Side(taken_back)):
        pass
    assert fresh_answer()["body"] == [["old"]] * 2
    assert said(fresh_answer()) == "hit"


def test_an_answer_from_both_sides_of_a_commit_is_never_given_again() -> None:
    STEPS.hold("before reading", "between")
    reader = Side(fresh_answer)
    reader.thread.start()
    STEPS.wait_for("before reading")
    STEPS.let_go("before reading")
    STEPS.wait_for("between")
    Group.objects.update(name="new")
    STEPS.let_go("between")
    reader.end()
    assert fresh_answer()["body"] == [["new"]] * 2


def test_while_a_commit_has_not_been_told_of_the_old_answer_is_given_as_if_asked_before(store: Store) -> None:
    """For microseconds, and on SQLite files in one process not even that."""
    fresh_answer()
    STEPS.hold("written", "committed")
    writer = Side(in_transaction)
    with ExitStack() as stack:
        stack.callback(lambda: [STEPS.let_go(name) for name in ("written", "committed")])
        writer.thread.start()
        STEPS.wait_for("written")
        assert fresh_answer()["body"] == [["old"]] * 2
        assert said(fresh_answer()) == "hit"
        STEPS.let_go("written")
        STEPS.wait_for("committed")
        assert fresh_answer()["body"] == [["old"] if store.is_shared else ["new"]] * 2
    writer.end()
    assert fresh_answer()["body"] == [["new"]] * 2


def test_every_lane_of_a_batch_waits_for_what_is_known() -> None:
    """One looks the wave up; those that come meanwhile do not go on without it."""
    urls = [f"{URL}?{n}" for n in range(8)]
    ask(*urls)
    for _ in range(20):
        assert [said(record) for record in ask(*urls)] == ["hit"] * 8
