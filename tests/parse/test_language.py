"""The language that a URL is looked up in, and who chooses it."""

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.middleware.locale import LocaleMiddleware
from django.test import Client, RequestFactory, override_settings
from django.utils import translation

from batchapi.parent import Parent
from batchapi.route import choose_language
from tests.factories import UserFactory
from tests.security.asking import answer

pytestmark = [pytest.mark.urls("tests.security.urls_translated"), pytest.mark.django_db]

SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
USERS = "django.contrib.auth.middleware.AuthenticationMiddleware"


class OfTheUser(LocaleMiddleware):
    """A project's own: the user's name is the language."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        if request.session is not None and request.user.is_authenticated and request.headers.get("X-Own") is None:
            translation.activate(request.user.get_username())


@pytest.fixture
def german(db: None) -> User:
    return UserFactory(username="de")


def test_a_projects_own_middleware_may_ask_who_is_there(german: User):
    """It finds user, session and headers where it finds them on a real request."""
    client = Client()
    client.force_login(german)
    with translation.override("en"), override_settings(MIDDLEWARE=[SESSIONS, USERS, f"{__name__}.OfTheUser"]):
        assert answer({"url": "/de/api/items/x/"}, client=client, to="/batch/")["status"] == 200
        assert answer({"url": "/en/api/items/x/"}, client=client, to="/batch/")["status"] == 404


def test_choosing_a_language_leaves_the_thread_as_it_was():
    """The language of a URL is nobody else's."""
    parent = Parent.from_request(RequestFactory().post("/batch/"))
    with translation.override("fr"):
        assert choose_language("/de/api/items/x/", headers={}, parent=parent) == "de"
        assert translation.get_language() == "fr"
