"""Eight clients at the same moment, each with a database connection of its own: no 500, and one winner."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpResponse

from chat.models import Message, Session
from tests.chat.conftest import JsonClient, client_of
from tests.factories import SessionFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

CONTENDERS = 8
ROUNDS = range(5)
Outcome = TypeVar("Outcome")


def race(user: User, attempt: Callable[[JsonClient, int], Outcome]) -> list[Outcome]:
    """Let all of them try at once, as the same user."""
    authorization = client_of(user)._credentials
    gate = Barrier(CONTENDERS)

    def contend(number: int) -> Outcome:
        client = JsonClient(raise_request_exception=False)
        client.credentials(**authorization)
        gate.wait()
        try:
            return attempt(client, number)
        finally:
            connection.close()

    with ThreadPoolExecutor(CONTENDERS) as pool:
        return list(pool.map(contend, range(CONTENDERS)))


def statuses(answers: list[HttpResponse]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


@pytest.mark.parametrize("round_", ROUNDS)
def test_of_many_posts_with_one_id_one_creates(round_: int):
    answers = race(
        UserFactory(), lambda client, number: client.post("/api/sessions/", {"id": "x", "title": f"{number}"})
    )

    assert statuses(answers) == {201: 1, 200: CONTENDERS - 1}
    assert len({answer.content for answer in answers}) == 1
    assert Session.objects.count() == 1


@pytest.mark.parametrize("round_", ROUNDS)
def test_of_many_puts_to_one_id_one_creates(round_: int):
    answers = race(UserFactory(), lambda client, number: client.put("/api/sessions/x/", {"title": f"{number}"}))

    assert statuses(answers) == {201: 1, 200: CONTENDERS - 1}


@pytest.mark.parametrize("round_", ROUNDS)
def test_of_many_writes_on_one_version_one_is_done(round_: int):
    session = SessionFactory(key="x")
    seen = {"If-Match": client_of(session.owner).get("/api/sessions/x/")["ETag"]}
    session.owner.auth_token.delete()

    answers = race(session.owner, lambda client, n: client.patch("/api/sessions/x/", {"title": f"{n}"}, headers=seen))

    assert statuses(answers) == {200: 1, 412: CONTENDERS - 1}


@pytest.mark.parametrize("round_", ROUNDS)
def test_a_number_is_dealt_once_even_while_clients_ask_for_it_by_name(round_: int):
    user = UserFactory()
    last = SessionFactory(owner=user).pk

    def attempt(client: JsonClient, number: int) -> HttpResponse:
        wanted = {"id": last + number} if number % 2 else {}
        return client.post("/api/sessions/", wanted)

    answers = race(user, attempt)

    assert set(statuses(answers)) <= {200, 201}
    created = [answer.json()["id"] for answer in answers if answer.status_code == 201]
    assert len(created) == len(set(created)) == Session.objects.count() - 1


def test_a_session_that_comes_and_goes_is_created_shown_or_gone():
    def attempt(client: JsonClient, number: int) -> Counter[int]:
        """Again and again, so that each step of one request falls between any two of another."""
        if number % 2:
            return Counter(client.delete("/api/sessions/x/").status_code for _ in range(25))
        return Counter(client.post("/api/sessions/", {"id": "x"}).status_code for _ in range(25))

    seen = sum(race(UserFactory(), attempt), Counter())

    assert set(seen) <= {200, 201, 204, 404}
    assert seen[201] - seen[204] == Session.objects.count()


@pytest.mark.parametrize("round_", ROUNDS)
def test_a_message_is_said_or_its_session_is_gone(round_: int):
    def attempt(client: JsonClient, number: int) -> HttpResponse:
        if number == CONTENDERS // 2:
            return client.delete("/api/sessions/x/")
        return client.post("/api/sessions/x/messages/", {"content": "Hello"})

    answers = race(SessionFactory(key="x").owner, attempt)

    assert set(statuses(answers)) <= {201, 204, 404}
    assert not Message.objects.exists()


def test_everybody_gets_the_same_token():
    user = UserFactory()
    answers = race(user, lambda client, number: client.post("/api/auth/token/"))

    assert {answer.json()["token"] for answer in answers} == {user.auth_token.key}
