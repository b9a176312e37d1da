"""How many queries an answer takes: the same for one row as for many."""

import pytest
from django.contrib.auth.models import User
from pytest_django import DjangoAssertNumQueries

from tests.chat.conftest import JsonClient
from tests.factories import MessageFactory, SessionFactory

TOKEN = 1  # The look-up of the token and its user, in one query.


def talk(owner: User, *, sessions: int, messages: int) -> None:
    for number in range(sessions):
        session = SessionFactory(owner=owner, key=f"talk-{number}")
        MessageFactory.create_batch(messages, session=session)


@pytest.mark.parametrize("rows", [1, 20])
@pytest.mark.parametrize(
    ("url", "queries"),
    [
        ("/api/sessions/", 2),  # count, page
        ("/api/sessions/?search=session&ordering=title", 2),
        ("/api/sessions/talk-0/", 1),
        ("/api/sessions/talk-0/messages/", 3),  # session, count, page
        ("/api/stats/", 2),  # sessions, messages
        ("/api/users/me/", 0),
    ],
)
def test_reading_takes(
    as_alice: JsonClient,
    alice: User,
    django_assert_num_queries: DjangoAssertNumQueries,
    url: str,
    queries: int,
    rows: int,
):
    talk(alice, sessions=rows, messages=rows)

    with django_assert_num_queries(TOKEN + queries):
        assert as_alice.get(url).status_code == 200


def test_reading_one_message_takes_one_query(
    as_alice: JsonClient, alice: User, django_assert_num_queries: DjangoAssertNumQueries
):
    message = MessageFactory(session__owner=alice)

    with django_assert_num_queries(TOKEN + 1):
        assert as_alice.get(f"/api/messages/{message.pk}/").status_code == 200
