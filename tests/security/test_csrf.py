"""S5: the CSRF protection that a view has alone, it has in a batch."""

from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.middleware.csrf import _mask_cipher_secret as mask
from django.test import Client, override_settings
from rest_framework.test import APIClient

from tests.factories import TokenFactory
from tests.security.asking import answer, answers
from tests.security.views import CALLS

pytestmark = [pytest.mark.urls("tests.security.urls"), pytest.mark.django_db]

SECRET = "a" * 32
TOKENS = {"no token": None, "a wrong token": "b" * 32, "a right token": SECRET, "a masked token": mask(SECRET)}
VIEWS = {  # POST to a view: its status without and with a right token
    "/api/whoami/": (403, 200),
    "/api/session-only/": (403, 200),
    "/api/batchable/": (403, 200),
    "/api/batchable-exempt/": (200, 200),
    "/api/no-authentication/": (200, 200),
    "/api/token-only/": (401, 401),
}


@pytest.fixture(params=["in a cookie", "in the session"])
def surfer(request: pytest.FixtureRequest, browser: Client) -> Any:
    """A browser whose CSRF secret is known, in either place where Django keeps it."""
    if request.param == "in a cookie":
        browser.cookies["csrftoken"] = SECRET
        yield browser
        return
    with override_settings(CSRF_USE_SESSIONS=True):
        session = browser.session
        session["_csrftoken"] = SECRET
        session.save()
        yield browser


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("url", VIEWS)
def test_a_post_needs_the_token_that_it_needs_alone(surfer: Client, url: str, token: str):
    """A DRF view, a plain one, an exempt one; with the header of the batch."""
    headers = {"X-CSRFToken": TOKENS[token]} if TOKENS[token] else {}
    alone = surfer.post(url, headers=headers)
    CALLS.clear()
    inside = answer({"url": url, "method": "POST"}, client=surfer, headers=headers)
    assert inside["status"] == alone.status_code == VIEWS[url]["right" in token or "masked" in token]
    assert inside["status"] == 200 or url != "/api/batchable/" or CALLS == []


@pytest.mark.parametrize("url", VIEWS)
def test_a_token_inside_a_sub_request_counts_for_nothing(browser: Client, url: str):
    """Only the batch carries the header, as only the batch carries the cookie."""
    browser.cookies["csrftoken"] = SECRET
    request = {"url": url, "method": "POST", "headers": {"X-CSRFToken": SECRET, "Cookie": f"csrftoken={SECRET}"}}
    assert answer(request, client=browser)["status"] == VIEWS[url][False]


def test_a_form_field_counts_as_it_does_alone(browser: Client):
    """For a plain view, and for no other sub-request of the batch."""
    browser.cookies["csrftoken"] = SECRET
    form = {"headers": {"Content-Type": "application/x-www-form-urlencoded"}, "body": f"csrfmiddlewaretoken={SECRET}"}
    plain = {"url": "/api/batchable/", "method": "POST"}
    with_token, without = answers([{**plain, **form}, plain], client=browser)
    assert (with_token["status"], without["status"]) == (200, 403)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://testserver", "http://testserver:81"])
@pytest.mark.parametrize("url", ["/api/whoami/", "/api/batchable/"])
def test_another_site_is_refused_with_the_right_token(browser: Client, url: str, origin: str):
    """The Origin of the batch is the Origin of its parts."""
    browser.cookies["csrftoken"] = SECRET
    headers = {"X-CSRFToken": SECRET, "Origin": origin}
    assert browser.post(url, headers=headers).status_code == 403
    request = {"url": url, "method": "POST", "headers": {"Origin": "http://testserver"}}
    assert answer(request, client=browser, headers=headers)["status"] == 403


def test_a_safe_first_sub_request_opens_nothing(browser: Client):
    """Memory of who is asking is no memory of having been checked."""
    for url in ("/api/whoami/", "/api/batchable/", "/api/session-only/"):
        first, second = answers([{"url": url}, {"url": url, "method": "POST"}], client=browser)
        assert (first["status"], second["status"]) == (200, 403)


def test_logging_in_inside_the_batch_opens_nothing(alice: User, bob: User, browser: Client):
    """The new session's token is known to nobody yet."""
    browser.cookies["csrftoken"] = SECRET
    headers = {"X-CSRFToken": "b" * 32}
    login = {"url": "/api/login/", "method": "POST", "body": {"username": "bob"}}
    post = {"url": "/api/whoami/", "method": "POST"}
    assert answers([login, post], client=Client(enforce_csrf_checks=True), headers=headers)[1]["status"] == 403


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_form_of_another_site_is_no_batch(browser: Client, content_type: str):
    """What a browser sends across sites without asking is not read."""
    response = browser.generic("POST", "/api/batch/", '{"requests":[{"url":"/api/whoami/"}]}', content_type)
    assert response.status_code in (400, 415)
    assert CALLS == []


def pretend_it_was_checked(get_response: Any) -> Any:
    """Middleware that settles the question for the batch itself."""

    def respond(request: Any) -> Any:
        request.csrf_processing_done = request.path == "/api/batch/"
        return get_response(request)

    return respond


def test_what_was_decided_for_the_batch_is_not_decided_for_its_parts(browser: Client):
    """A sub-request is checked for itself."""
    middleware = [*settings.MIDDLEWARE, f"{__name__}.pretend_it_was_checked"]
    with override_settings(MIDDLEWARE=middleware):
        assert answer({"url": "/api/batchable/", "method": "POST"}, client=browser)["status"] == 403


def test_a_token_client_needs_no_csrf_token(alice: User):
    """As alone."""
    client = Client(enforce_csrf_checks=True, headers={"Authorization": f"Token {TokenFactory(user=alice).key}"})
    assert answer({"url": "/api/whoami/", "method": "POST"}, client=client)["body"] == {"user": "alice"}


def test_nothing_that_switches_a_protection_off_is_set_by_us(browser: Client, alice: User):
    """Only a test client's own flags are handed on."""
    assert answer({"url": "/api/flags/"}, client=browser)["body"] == {"_dont_enforce_csrf_checks": "False"}
    assert answer({"url": "/api/flags/"}, client=Client())["body"] == {"_dont_enforce_csrf_checks": "True"}
    forced = APIClient(enforce_csrf_checks=True)
    forced.force_authenticate(alice)
    response = forced.post("/api/batch/", {"requests": [{"url": "/api/flags/"}]}, format="json")
    told = response.json()["responses"][0]["body"]
    assert (told["_force_auth_user"], told["_dont_enforce_csrf_checks"]) == ("alice", "False")
