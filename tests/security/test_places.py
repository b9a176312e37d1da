"""How many batches one caller may have running in a process; while there are few, nobody is asked who they are."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Condition
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connections
from django.http import HttpRequest
from django.test import Client, override_settings
from django.urls import path
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from batchapi.places import places
from batchapi.views import BatchView
from tests.factories import TokenFactory
from tests.security import urls
from tests.security.asking import BATCH, refusal, send
from tests.store.test_processes import run

PATIENCE = 20.0  # Seconds until a test gives up.
MOST = 2


class House:
    """Lets those in stay until it is told to open."""

    def __init__(self) -> None:
        self.changed = Condition()
        self.start()

    def start(self) -> None:
        self.inside, self.most, self.is_open = 0, 0, False

    def stay(self) -> None:
        with self.changed:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.is_open, PATIENCE)
            self.inside -= 1

    def wait_for(self, number: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.inside >= number, PATIENCE)

    def open(self) -> None:
        with self.changed:
            self.is_open = True
            self.changed.notify_all()


house = House()
ASKED: list[str] = []


class Stay(APIView):
    """Whoever comes stays a while; it asks nobody who they are."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        house.stay()
        return Response({})


class StayAsUser(Stay):
    """The same for those who have said who they are."""

    authentication_classes = APIView.authentication_classes
    permission_classes = (IsAuthenticated,)


class Noted(BaseAuthentication):
    """Notes that somebody was asked."""

    def authenticate(self, request: Request) -> None:
        ASKED.append(request.path)


class Leaves(BaseException):
    """Ends a thread, as SystemExit does."""


class BreaksOff(BatchView):
    """Ends in the middle of it."""

    def post(self, request: Request) -> Response:
        raise Leaves


urlpatterns = [
    path("api/stay/", Stay.as_view()),
    path("api/stay-as-user/", StayAsUser.as_view()),
    path("api/noting/", BatchView.as_view(authentication_classes=[Noted])),
    path("api/breaking-off/", BreaksOff.as_view()),
    *urls.urlpatterns,
]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _most() -> Iterator[None]:
    ASKED.clear()
    house.start()
    with override_settings(BATCHAPI={**settings.BATCHAPI, "MAX_CONCURRENT_BATCHES": MOST}):
        yield
    assert not places.taken


@contextmanager
def staying(*asks: Callable[[], Any]) -> Iterator[list[Future[int]]]:
    """So many batches run for the length of the block; their statuses are there at its end."""

    def ask(one: Callable[[], Any]) -> int:
        try:
            return int(one().status_code)
        finally:
            connections.close_all()

    already = house.inside
    with ThreadPoolExecutor(len(asks)) as pool:
        running = [pool.submit(ask, one) for one in asks]
        try:
            house.wait_for(already + len(asks))
            yield running
        finally:
            house.open()
    assert [one.result() for one in running] == [200] * len(asks)


def stay(view: str = "stay", **options: Any) -> Callable[[], Any]:
    return lambda: send([{"url": f"/api/{view}/"}], **options)


def is_let_in(**options: Any) -> bool:
    """Whether one more is; one that is not is told to try again soon, and has called nobody."""
    response = send([{"url": "/api/items/x/"}], **options)
    if response.status_code == 200:
        return True
    assert (response.status_code, response.json()["code"]) == (429, "batch_throttled")
    assert (response.json()["executed"], response["Retry-After"]) == (False, "1")
    refusal([{"url": "/api/items/x/"}], **options)
    return False


def with_token(user: User) -> Client:
    return Client(headers={"Authorization": f"Token {TokenFactory(user=user).key}"})


def with_session(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_as_many_as_the_setting_says_run_at_the_same_time():
    with staying(*[stay()] * (MOST - 1)):
        assert is_let_in()
    house.start()
    with staying(*[stay()] * MOST):
        assert not is_let_in()
    assert is_let_in()


def test_others_are_let_in_meanwhile(alice: User, bob: User):
    client, other = with_token(alice), with_token(bob)
    with staying(*[stay("stay-as-user", client=client)] * MOST):
        assert not is_let_in(client=client)
        assert is_let_in(client=other)
        assert is_let_in()


def test_while_fewer_run_nobody_is_asked(django_assert_num_queries: Any, alice: User):
    """Not even whoever brings a session and a token."""
    client = with_session(alice)
    with staying(stay(to="/api/noting/")), django_assert_num_queries(0):
        assert send([{"url": "/nowhere/"}], client=client, to="/api/noting/").status_code == 200
    assert ASKED == []


def test_when_more_run_only_the_newcomer_is_asked():
    with staying(*[stay(to="/api/noting/")] * MOST):
        assert not is_let_in(REMOTE_ADDR="127.0.0.1", to="/api/noting/")
        assert len(ASKED) == 2  # It came twice.


# -- who is whose


@pytest.mark.parametrize("view", ["stay", "stay-as-user"])
@pytest.mark.parametrize("come", [with_token, with_session])
def test_the_same_credentials_are_the_same_caller(alice: User, come: Callable[[User], Client], view: str):
    """Also where no view has asked who that is."""
    client = come(alice)
    with staying(*[stay(view, client=client)] * MOST):
        assert not is_let_in(client=client, REMOTE_ADDR="198.51.100.1")


def test_whom_a_view_has_authenticated_is_known_by_other_credentials_too(alice: User):
    client = with_session(alice)
    with staying(*[stay("stay-as-user", client=client)] * MOST):
        assert not is_let_in(client=with_token(alice))


def test_whom_no_view_has_authenticated_is_not_known_by_other_credentials(alice: User):
    """Nobody asks them for that."""
    client = with_session(alice)
    with staying(*[stay(client=client)] * MOST):
        assert is_let_in(client=with_token(alice))


def test_who_was_asked_is_known_from_then_on(alice: User, bob: User):
    session, token = with_session(alice), with_token(alice)
    with staying(*[stay("stay-as-user", client=with_token(bob))] * MOST), staying(*[stay(client=session)] * MOST):
        assert not is_let_in(client=token)


def test_made_up_credentials_are_one_caller():
    """By the address that they come from."""
    made_up = [Client(headers={"Authorization": f"Token made-up-{number}"}) for number in range(MOST + 1)]
    with staying(*[stay(client=client) for client in made_up[:MOST]]):
        assert not is_let_in(client=made_up[MOST])
        assert is_let_in(client=made_up[MOST], REMOTE_ADDR="198.51.100.1")


def test_a_user_whom_a_view_has_authenticated_does_not_count_for_the_address(alice: User):
    client = with_token(alice)
    with staying(*[stay("stay-as-user", client=client)] * MOST):
        assert is_let_in()


# -- places become free


def test_sixteen_at_once_are_never_more_inside_than_the_setting_says():
    """Each is answered at once: the ones with 429, the others when the house opens."""
    together = Barrier(16)

    def ask(_: int) -> int:
        together.wait(PATIENCE)
        return int(stay()().status_code)

    with ThreadPoolExecutor(16) as pool:
        found = pool.map(ask, range(16))
        house.wait_for(MOST)
        house.open()
        statuses = list(found)
    assert house.most <= MOST
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) >= MOST


@pytest.mark.parametrize("payload", ["{broken", "[]", [{"url": "//wrong"}], [{"url": "/api/crash/view/"}]])
def test_a_place_is_free_after_whatever_came_of_the_batch(payload: Any):
    for _ in range(MOST + 1):
        assert send(payload).status_code in (200, 400)
    assert not places.taken


def test_a_place_is_free_after_the_thread_was_ended_in_the_middle():
    for _ in range(MOST + 1):
        with pytest.raises(Leaves):
            Client().post("/api/breaking-off/", "[]", content_type="application/json")
    assert not places.taken


def test_a_place_is_free_although_nobody_reads_the_answer(rf: Any):
    """The view has returned, and nobody has rendered what it returned."""
    view = BatchView.as_view()
    answers = [view(rf.post(BATCH, "[]", content_type="application/json")) for _ in range(MOST + 1)]
    assert [answer.status_code for answer in answers] == [200] * (MOST + 1)


def test_a_place_is_held_while_the_body_comes_in(rf: Any):
    """A client that sends slowly takes a thread of the server as well."""
    held: list[int] = []

    class Body:
        def read(self, *_: int) -> bytes:
            held.append(len(places.taken))
            return b""

    request: HttpRequest = rf.post(BATCH, content_type="application/json")
    request.META["CONTENT_LENGTH"] = "2"
    request._stream = Body()  # type: ignore[attr-defined] # as the server's own stream stands there
    assert BatchView.as_view()(request).status_code == 400
    assert set(held) == {1}


def test_a_batch_in_a_batch_is_refused_as_that_and_not_for_the_place_of_the_outer_one():
    with override_settings(BATCHAPI={**settings.BATCHAPI, "MAX_CONCURRENT_BATCHES": 1}):
        [record] = send([{"url": "/api/posting/", "method": "POST", "body": {}}]).json()["responses"]
    assert (record["status"], record["body"]["code"]) == (400, "nested_batch")


def test_a_forked_process_begins_with_every_place_free():
    told = run("""
from django.test import RequestFactory
from batchapi.places import places
request = RequestFactory().post("/")
with places.place(request) as place:
    places.take(place, most=1, identify=str)
    told["parent"] = len(places.taken)
    told["child"] = in_child(lambda: not places.taken and places.lock.acquire(blocking=False))
    told["after"] = len(places.taken)
told["end"] = len(places.taken)
""")
    assert told == {"parent": 1, "child": 0, "after": 1, "end": 0}
