"""The API in a browser: a page for every route, with its forms and without a crash."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.factories import MessageFactory

ROUTES = [
    "sessions/",
    "sessions/mine/",
    "sessions/mine/messages/",
    "messages/{}/",
    "stats/",
    "users/me/",
    "auth/token/",
]


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_has_a_page(client: Client, alice: User, route: str):
    message = MessageFactory(session__owner=alice, session__key="mine")
    client.force_login(alice)

    page = client.get("/api/" + route.format(message.pk), headers={"Accept": "text/html"})

    assert page.status_code in {200, 405}
    assert page["Content-Type"] == "text/html; charset=utf-8"


def test_a_form_without_an_id_makes_a_numbered_session(client: Client, alice: User):
    client.force_login(alice)

    answer = client.post("/api/sessions/", {"id": "", "title": "From a form"})

    assert answer.status_code == 201
    assert answer.json()["id"].isdecimal()
