"""The admin of sessions and messages: every page opens, finds, and asks the database no more for more rows."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from chat.models import Session
from tests.factories import MessageFactory, SessionFactory


@pytest.mark.parametrize("model", ["session", "message"])
def test_a_list_takes_no_more_queries_for_more_rows(
    admin_client: Client, django_assert_num_queries: DjangoAssertNumQueries, model: str
):
    url = f"/admin/chat/{model}/"
    MessageFactory.create_batch(2)
    with django_assert_num_queries(5):  # session, user, two counts, one page
        assert admin_client.get(url).status_code == 200

    MessageFactory.create_batch(20)
    with django_assert_num_queries(5):
        assert admin_client.get(url).status_code == 200


@pytest.mark.parametrize("query", ["?q=needle", "?q=owner-of-it", "?updated_at__gte=2020-01-01T00:00:00Z"])
def test_a_session_is_found(admin_client: Client, query: str):
    MessageFactory(session__key="needle", session__title="A needle", session__owner__username="owner-of-it")
    SessionFactory.create_batch(2)

    page = admin_client.get(f"/admin/chat/session/{query}").content.decode()

    assert "A needle" in page
    assert ("3 sessions" in page) == query.startswith("?updated_at")


@pytest.mark.parametrize("query", ["?q=needle", "?q=owner-of-it", "?role__exact=system"])
def test_a_message_is_found(admin_client: Client, query: str):
    MessageFactory(content="A needle", role="system", session__owner__username="owner-of-it")
    MessageFactory.create_batch(2)

    page = admin_client.get(f"/admin/chat/message/{query}").content.decode()

    assert "A needle" in page
    assert "1 message" in page


def test_the_forms_open(admin_client: Client):
    message = MessageFactory()

    for url in (
        "session/add/",
        f"session/{message.session.pk}/change/",
        "message/add/",
        f"message/{message.pk}/change/",
    ):
        assert admin_client.get(f"/admin/chat/{url}").status_code == 200


def test_the_form_refuses_an_id_that_the_api_would_refuse(admin_client: Client, admin_user: User):
    page = admin_client.post("/admin/chat/session/add/", {"owner": admin_user.pk, "key": "a b", "title": ""})

    assert "An id is 1 to 64 of the characters" in page.content.decode()
    assert not Session.objects.exists()


def test_the_api_is_no_way_into_the_admin(client: Client, db: None):
    assert client.get("/admin/chat/session/").status_code == 302
