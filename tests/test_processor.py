"""A batch without HTTP: the answer that a client would get, for a page, a command, a task."""

import asyncio
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import AnonymousUser, Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.template import Context, Template
from django.test import Client, RequestFactory, override_settings
from django.urls import get_script_prefix, include, path, reverse, set_script_prefix
from django.utils.translation import override
from django.views.decorators.csrf import csrf_exempt
from rest_framework.authentication import TokenAuthentication
from rest_framework.decorators import api_view, authentication_classes
from rest_framework.request import Request
from rest_framework.response import Response

from batchapi import EnvelopeError, batchable, get_batch_processor, handle_batch_request
from batchapi.conf import get_settings
from batchapi.exceptions import BadEnvelope, BadJson, DuplicateId, NestedBatch, TooDeep, TooLarge, TooMany
from batchapi.processor import override as override_said
from batchapi.signals import batch_finished
from project.urls import urlpatterns as of_the_project
from tests.factories import PASSWORD, SessionFactory, TokenFactory, UserFactory
from tests.urls import zoo

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

WHO = {"id": "who", "url": "/api/t/who/"}


# Views as a project would write them


def asked(request: HttpRequest) -> Any:
    return json.loads(request.GET["payload"])


@csrf_exempt
def page(request: HttpRequest) -> HttpResponse:
    """Shows the answer to a batch, asked as its reader or as somebody else."""
    as_user = User.objects.get(username=request.GET["as"]) if "as" in request.GET else None
    try:
        answer = handle_batch_request(request, asked(request), as_user=as_user)
    except EnvelopeError as error:
        return JsonResponse({"code": error.code}, status=error.status)
    response = JsonResponse(answer)
    response.cookies.update(answer.cookies)
    return response


@csrf_exempt
def form(request: HttpRequest) -> HttpResponse:
    """Has a batch answered, then shows a form."""
    handle_batch_request(request, asked(request))
    token = Template("{% csrf_token %}").render(Context({"csrf_token": get_token(request)}))
    return HttpResponse(token)


@csrf_exempt
def cart(request: HttpRequest) -> HttpResponse:
    """Writes into the session before the batch and after it."""
    request.session["before"] = 1
    answer = handle_batch_request(request, asked(request))
    request.session["after"] = 2
    return JsonResponse(answer)


@api_view(["GET", "POST"])
@authentication_classes([TokenAuthentication])
def drf_page(request: Request) -> Response:
    """A view of DRF's, which has authenticated somebody before."""
    given = request._request if "bare" in request.query_params else request
    return Response(handle_batch_request(given, asked(request._request)))


batchable_page = batchable(page)


@batchable
def address(request: HttpRequest) -> JsonResponse:
    """Where a sub-request went, and what came with it."""
    there = [name for name in ("session", "_messages", "site", "_force_auth_user") if hasattr(request, name)]
    headers = {name: value for name, value in request.headers.items() if value and name != "X-Request-Id"}
    return JsonResponse(
        {
            "url": request.build_absolute_uri(),
            "reversed": reverse("address"),
            "headers": headers,
            "cookies": request.COOKIES,
            "remote": [request.META.get("REMOTE_ADDR"), request.META.get("REMOTE_USER")],
            "there": there,
        }
    )


mounted = [
    path("page/", page),
    path("form/", form),
    path("cart/", cart),
    path("drf-page/", drf_page),
    path("api/batchable-page/", batchable_page),
    path("api/address/", address, name="address"),
    path("api/t/", include(zoo)),
]
urlpatterns = [*mounted, *of_the_project]


class Unmounted:
    """A URL configuration without a batch endpoint."""

    urlpatterns = mounted


class Versioned:
    """One whose batch endpoint is somewhere else."""

    urlpatterns = (*mounted, path("api/t/batch/", include("batchapi.urls")))


# What the tests ask


@pytest.fixture
def alice(db: None) -> User:
    return UserFactory(username="alice")


@pytest.fixture
def bob(db: None) -> User:
    return UserFactory(username="bob")


def browser(user: User | None = None, **options: Any) -> Client:
    client = Client(**options)
    if user:
        client.force_login(user)
    return client


def show(client: Client, *requests: Any, to: str = "/page/", headers: Any = None, **query: str) -> Any:
    """What a page shows that has these sub-requests answered."""
    payload = json.dumps({"requests": requests})
    return client.get(to, {"payload": payload, **query}, headers=headers)


def bodies(answer: Any) -> list[Any]:
    return [record["body"] for record in answer["responses"]]


def statuses(answer: Any) -> list[int]:
    return [record["status"] for record in answer["responses"]]


def without_ids(answer: Any) -> Any:
    """An answer without the correlation ids, which are new each time."""
    text = json.dumps(answer)
    for record in answer["responses"]:
        if isinstance(record["body"], dict) and "correlation_id" in record["body"]:
            text = text.replace(record["body"]["correlation_id"].partition("/")[0], "")
    return json.loads(text)


EVERYTHING = [
    WHO,
    {"id": 7, "url": "/api/sessions/"},
    {"id": "stats", "url": "stats/"},
    {"id": "nowhere", "url": "/api/nowhere/"},
    {"id": "closed", "url": "/admin/"},
    {"id": "absolute", "url": "http://testserver/api/users/me/"},
    {"id": "bytes", "url": "/api/t/raw/bytes/"},
    {"id": "digits", "url": "/api/t/raw/big/"},
    {"id": "text", "url": "/api/t/raw/text/"},
    {"id": "post", "method": "POST", "url": "/api/sessions/", "body": {"title": "ä"}},
    {"id": "after", "url": "$post", "dependsOn": ["post"]},
    {"id": "crash", "method": "POST", "url": "/api/t/fail/crash/"},
]


# The same answer


@pytest.mark.parametrize("kind", ["nobody", "session", "token"])
def test_a_page_gets_the_answer_that_its_reader_would_get_over_http(kind: str, alice: User):
    """Member by member, for reads, writes, refusals and bodies of every kind."""
    SessionFactory(owner=alice)
    headers = {"Authorization": f"Token {TokenFactory(user=alice).key}"} if kind == "token" else {}
    client = browser(alice if kind == "session" else None, raise_request_exception=False)
    requests = [request for request in EVERYTHING if request["id"] not in ("post", "after")]
    there = client.post("/api/batch/", {"requests": requests}, content_type="application/json", headers=headers).json()
    here = show(client, *requests, headers=headers).json()
    assert without_ids(here) == without_ids(there)
    assert len({*statuses(here)}) > 2


def test_a_named_user_gets_the_answer_of_their_own_token(alice: User):
    """Writes and references too; only what a view tells of the authenticator differs."""
    requests = EVERYTHING[1:]
    client = Client(headers={"Authorization": f"Token {TokenFactory(user=alice).key}"}, raise_request_exception=False)
    with transaction.atomic():
        there = client.post("/api/batch/", {"requests": requests}, content_type="application/json").json()
        transaction.set_rollback(True)
    here = get_batch_processor(user=alice).handle({"requests": requests})
    assert statuses(here) == statuses(there)
    assert [set(record) for record in here["responses"]] == [set(record) for record in there["responses"]]
    assert bodies(here)[-3]["title"] == "ä"
    assert statuses(here)[-3:] == [201, 200, 500]


def test_the_answer_is_plain_data(alice: User):
    """As json.loads makes it: bodies are decoded, and it can be written as JSON again."""
    answer = get_batch_processor(user=alice).handle([WHO, {"url": "/api/t/raw/big/"}])
    assert isinstance(answer, dict)
    assert bodies(answer)[0]["user"] == "alice"
    assert bodies(answer)[1][0] == 123456789012345678901234567890
    assert json.loads(json.dumps(answer)) == answer


def test_signals_tell_of_it_as_of_any_batch(alice: User):
    totals: list[int] = []

    def note(*, total: int, **_kwargs: object) -> None:
        totals.append(total)

    batch_finished.connect(note)
    try:
        get_batch_processor(user=alice).handle([WHO, {"url": "/api/t/who/"}])
    finally:
        batch_finished.disconnect(note)
    assert totals == [2]


def test_a_pages_own_prefer_and_idempotency_key_are_about_the_page(alice: User):
    """Over HTTP they would be about the batch, which refuses them."""
    headers = {"Idempotency-Key": "k", "Prefer": "continue-on-error=false", "Accept-Language": "de"}
    assert show(browser(alice), WHO, headers=headers).json()["responses"][0]["body"]["user"] == "alice"


# Whoever trusted code names


@pytest.mark.parametrize("url", ["/api/t/who/", "/api/t/plain-user/", "/api/t/who/session/", "/api/t/who/token/"])
def test_a_named_user_is_who_asks_every_view(url: str, alice: User):
    """DRF's with whatever authenticators, and Django's own."""
    assert bodies(get_batch_processor(user=alice).handle([{"url": url}]))[0]["user"] == "alice"


STRANGER = [{"url": url} for url in ("/api/t/who/", "/api/t/plain-user/", "/api/t/who/remote/", "/api/t/who/chosen/")]


@pytest.mark.parametrize("named", ["alice", "nobody"])
def test_nothing_of_the_pages_reader_reaches_the_views(named: str, alice: User, bob: User):
    """Neither a session, nor a token, nor what a proxy or a header of the project's says."""
    request = RequestFactory(
        headers={"Authorization": f"Token {TokenFactory(user=bob).key}", "X-Who": "bob", "Cookie": "sessionid=s; a=b"}
    ).get("/page/", REMOTE_USER="bob", REMOTE_ADDR="192.0.2.7", SSL_CLIENT_S_DN="bob", HTTP_X_FORWARDED_USER="bob")
    request.user, request.session, request.site = bob, SessionStore(browser(bob).cookies["sessionid"].value), "bob's"
    as_user = alice if named == "alice" else AnonymousUser()
    answer = handle_batch_request(request, [*STRANGER, {"url": "/api/address/"}], as_user=as_user)
    *seen, told = bodies(answer)
    assert [body["user"] for body in seen] == ([named] * 4 if named == "alice" else [None] * 4)
    assert told["headers"] == {"Accept-Language": "en"}
    assert told["cookies"] == {}
    assert told["remote"] == ["192.0.2.7", None]
    assert "site" not in told["there"]
    assert ("_force_auth_user" in told["there"]) is (named == "alice")


@pytest.mark.parametrize("end", ["deactivated", "deleted"])
def test_somebody_who_is_no_more_is_anonymous(end: str, alice: User):
    """Although the instance that was handed in knows nothing of it; the views say their own 401 or 403."""
    rows = User.objects.filter(pk=alice.pk)
    rows.delete() if end == "deleted" else rows.update(is_active=False)
    answer = get_batch_processor(user=alice).handle(
        [WHO, {"url": "/api/t/closed/token/"}, {"url": "/api/t/plain-user/"}, {"url": "/api/t/closed/session/"}]
    )
    assert bodies(answer)[0]["user"] is bodies(answer)[2]["user"] is None
    assert [statuses(answer)[1], statuses(answer)[3]] == [401, 403]


def test_rights_are_those_of_the_row_and_not_of_the_instance(alice: User):
    """Given or taken between two batches of one processor, and inside one."""
    processor = get_batch_processor(user=alice)
    staff = {"url": "/api/t/staff/"}
    assert statuses(processor.handle([staff])) == [403]
    promote = {"method": "POST", "url": "/api/t/change/promote/"}
    assert statuses(processor.handle([promote, staff])) == [200, 200]
    assert alice.is_staff is False
    User.objects.update(is_staff=False)
    alice.is_staff = True
    assert statuses(processor.handle([staff])) == [403]


@pytest.mark.parametrize("what", ["deactivate", "delete"])
def test_somebody_who_ends_inside_the_batch_is_anonymous_from_then_on(what: str, alice: User):
    answer = get_batch_processor(user=alice).handle(
        [WHO, {"method": "POST", "url": f"/api/t/change/{what}/"}, {"url": "/api/t/who/"}]
    )
    assert [bodies(answer)[0]["user"], bodies(answer)[2]["user"]] == ["alice", None]


def test_each_sub_request_gets_an_instance_of_its_own(alice: User):
    """What one view scribbles on its user no other view sees, nor the caller."""
    scribble = {"method": "POST", "url": "/api/t/scribble/"}
    first, *others = bodies(get_batch_processor(user=alice).handle([scribble, WHO, {"url": "/api/t/plain-user/"}]))
    assert (first["name"], first["staff"]) == ("Scribbled", True)
    assert [(body["name"], body["staff"]) for body in others] == [("", False)] * 2
    assert (alice.first_name, alice.is_staff) == ("", False)


def test_a_named_users_row_is_read_once(alice: User, django_assert_num_queries: Any):
    """As long as nobody writes to its table. In a test's transaction each sub-request has a savepoint: two queries."""
    with django_assert_num_queries(1 + 10 * 2):
        get_batch_processor(user=alice).handle([{"url": "/api/address/"}] * 10)


@pytest.mark.parametrize(("named", "status"), [(True, 200), (False, 403)])
def test_no_csrf_token_is_asked_for_where_trusted_code_named_somebody(named: bool, status: int, alice: User):
    """Else it is asked for as over HTTP, in plain views and in those of DRF."""
    client = browser(alice, enforce_csrf_checks=True)
    posts = [{"method": "POST", "url": url} for url in ("/api/t/guarded/", "/api/t/who/session/")]
    answer = show(client, *posts, **({"as": "alice"} if named else {})).json()
    assert statuses(answer) == [status, status]


def test_a_login_inside_changes_nothing_about_who_was_named(alice: User, bob: User):
    """Neither for the sub-requests after it, nor for the page's reader, who gets no cookie of theirs."""
    client = browser(bob)
    become = {"method": "POST", "url": "/api/t/become/bob/"}
    cookie = {"url": "/api/t/cookie/set/"}
    shown = show(client, become, cookie, WHO, {"url": "/api/t/plain-user/"}, **{"as": "alice"})
    assert [body["user"] for body in bodies(shown.json())[2:]] == ["alice", "alice"]
    assert not shown.cookies
    assert bodies(show(client, WHO).json())[0]["user"] == "bob"


def test_a_view_finds_an_empty_session(alice: User):
    """As alone, where a client brings no cookie; a view that counts in it does not break."""
    add = {"method": "POST", "url": "/api/t/counter/"}
    assert bodies(get_batch_processor(user=alice).handle([add, {"url": "/api/t/counter/"}]))[0]["n"] == 1


def test_a_lazy_user_is_as_good_as_any(alice: User):
    """`request.user` is one."""
    client = browser(alice)
    shown = client.get("/page/", {"payload": json.dumps([WHO])})
    assert bodies(shown.json())[0]["user"] == "alice"
    request = shown.wsgi_request
    assert bodies(handle_batch_request(request, [WHO], as_user=request.user))[0]["user"] == "alice"
    assert bodies(handle_batch_request(request, [WHO], as_user=AnonymousUser()))[0]["user"] is None


# In a view of DRF's


@pytest.mark.parametrize("given", ["wrapped", "bare"])
def test_in_a_view_of_drf_the_reader_is_who_the_middleware_says(given: str, alice: User):
    """DRF has written its user onto Django's request: a session-only view would take a token for a session."""
    client = Client(headers={"Authorization": f"Token {TokenFactory(user=alice).key}"})
    views = [{"url": "/api/t/who/token/"}, {"url": "/api/t/who/session/"}]
    answer = show(client, *views, to="/drf-page/", **({"bare": "1"} if given == "bare" else {})).json()
    assert [body["user"] for body in bodies(answer)] == ["alice", None]


def test_a_view_of_drf_that_a_test_calls_itself_is_one_too(alice: User):
    """Nobody has resolved its URL."""
    payload = json.dumps([{"url": "/api/t/who/token/"}, {"url": "/api/t/who/session/"}])
    headers = {"Authorization": f"Token {TokenFactory(user=alice).key}"}
    request = RequestFactory(headers=headers).get("/drf-page/", {"payload": payload})
    request.session, request.user = SessionStore(), AnonymousUser()
    assert [body["user"] for body in bodies(drf_page(request).data)] == ["alice", None]


def test_in_a_view_of_drf_a_session_is_still_one(alice: User, bob: User):
    """Also where the view was told somebody else by a token."""
    client = browser(bob, headers={"Authorization": f"Token {TokenFactory(user=alice).key}"})
    answer = show(client, {"url": "/api/t/who/session/"}, {"url": "/api/t/plain-user/"}, to="/drf-page/").json()
    assert [body["user"] for body in bodies(answer)] == ["bob", "bob"]


# What sub-requests leave in a browser


def test_a_login_by_a_sub_request_logs_the_pages_reader_in(alice: User):
    login = {"method": "POST", "url": "/api/auth/login/", "body": {"username": "alice", "password": PASSWORD}}
    client = browser()
    assert statuses(show(client, login).json()) == [200]
    assert bodies(show(client, WHO).json())[0]["user"] == "alice"


def test_a_logout_by_a_sub_request_logs_the_pages_reader_out(alice: User):
    client = browser(alice)
    key = client.cookies["sessionid"].value
    show(client, {"method": "POST", "url": "/api/t/leave/"})
    assert bodies(show(client, WHO).json())[0]["user"] is None
    assert not SessionStore().exists(key)


def test_what_view_and_sub_requests_write_into_the_session_is_all_kept():
    """Before the batch, in it and after it."""
    client = browser()
    shown = show(client, {"method": "POST", "url": "/api/t/counter/"}, to="/cart/").json()
    assert bodies(shown)[0]["names"] == ["before", "list", "n"]
    assert dict(client.session.items()) == {"before": 1, "n": 1, "list": [1], "after": 2}


def test_cookies_of_sub_requests_are_the_callers_to_send_on():
    """All but those of the session and of CSRF, which the page's own middleware sends."""
    client = browser()
    shown = show(client, {"url": "/api/t/cookie/set/"}, {"url": "/api/t/cookie/look/"})
    assert bodies(shown.json()) == ["none", "vanilla"]
    assert shown.cookies["flavour"].value == "vanilla"
    assert shown.cookies["flavour"]["httponly"] is True
    answer = get_batch_processor().handle([{"method": "POST", "url": "/api/t/counter/"}])
    assert SessionStore(answer.cookies["sessionid"].value)["n"] == 1


def test_a_form_on_the_page_holds_a_token_of_the_secret_that_a_sub_request_made():
    """The cookie that the browser then has fits the form, and is not the one that it came with."""
    client = browser(enforce_csrf_checks=True)
    client.cookies["csrftoken"] = "a" * 32
    token = show(client, {"url": "/api/t/new-token/"}, to="/form/").content.decode().split('value="')[1].split('"')[0]
    assert client.cookies["csrftoken"].value != "a" * 32
    assert client.post("/api/t/guarded/", {"csrfmiddlewaretoken": token}).status_code == 200


# Without a request


def where(answer: Any) -> Any:
    return bodies(answer)[0]["url"]


HOSTS = [
    ({"ALLOWED_HOSTS": ["shop.example.com", "testserver"]}, "http://shop.example.com"),
    ({"ALLOWED_HOSTS": [".example.com"]}, "http://example.com"),
    ({"ALLOWED_HOSTS": ["*"]}, "http://localhost"),
    ({"ALLOWED_HOSTS": [], "DEBUG": True}, "http://localhost"),
    ({"ALLOWED_HOSTS": ["example.com"], "SECURE_SSL_REDIRECT": True}, "https://example.com"),
    (
        {
            "ALLOWED_HOSTS": ["example.com"],
            "SECURE_SSL_REDIRECT": True,
            "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https"),
        },
        "https://example.com",
    ),
]


@pytest.mark.parametrize(("said", "origin"), HOSTS)
def test_without_a_request_it_goes_to_a_host_that_the_project_trusts(said: dict[str, Any], origin: str):
    """An absolute URL there is at home, another host's is refused."""
    with override_settings(**said):
        processor = get_batch_processor()
        assert where(processor.handle([{"url": "/api/address/"}])) == f"{origin}/api/address/"
        assert where(processor.handle([{"url": f"{origin}/api/address/"}])) == f"{origin}/api/address/"
        with pytest.raises(EnvelopeError):
            processor.handle([{"url": "http://elsewhere.example/api/address/"}])


def test_without_a_request_and_a_user_nobody_asks():
    answer = get_batch_processor().handle([WHO, {"url": "/api/sessions/"}, {"url": "/api/t/plain-user/"}])
    assert (bodies(answer)[0]["user"], statuses(answer)[1], bodies(answer)[2]["user"]) == (None, 401, None)


def test_without_a_request_somebody_may_log_in_inside(alice: User):
    """From then on the session says who asks, as in a browser."""
    login = {"method": "POST", "url": "/api/auth/login/", "body": {"username": "alice", "password": PASSWORD}}
    answer = get_batch_processor().handle([WHO, login, {"url": "/api/t/who/"}])
    assert [bodies(answer)[0]["user"], bodies(answer)[2]["user"]] == [None, "alice"]


def test_it_speaks_the_language_that_is_active_where_it_is_called(alice: User):
    """Unless the sub-request says another; what is active stays so."""
    asks = [{"url": "/api/address/"}, {"url": "/api/address/", "headers": {"Accept-Language": "fr"}}]
    with override("de"):
        answer = get_batch_processor(user=alice).handle(asks)
    assert [body["headers"]["Accept-Language"] for body in bodies(answer)] == ["de", "fr"]


@pytest.mark.parametrize(
    ("urlconf", "url"),
    [(__name__, "t/who/"), (Versioned, "who/"), (Unmounted, "api/t/who/"), (Unmounted, "/api/t/who/")],
)
@pytest.mark.parametrize("has_request", [True, False])
def test_a_relative_url_is_relative_to_where_the_endpoint_is_mounted(urlconf: Any, url: str, has_request: bool):
    """To the root of the site where it is not mounted."""
    request = RequestFactory().get("/some/page/") if has_request else None
    with override_settings(ROOT_URLCONF=urlconf):
        assert statuses(get_batch_processor().handle([{"url": url}], request)) == [200]


@pytest.mark.parametrize("as_user", [None, AnonymousUser()])
def test_a_request_may_have_a_url_configuration_of_its_own(as_user: Any):
    """As middleware chooses one by host: also where nothing else of the request is taken over."""
    request = RequestFactory().get("/some/page/")
    request.urlconf = Versioned
    assert statuses(handle_batch_request(request, [{"url": "who/"}, {"url": "/livez"}], as_user=as_user)) == [200, 404]
    request.urlconf = Unmounted
    assert statuses(handle_batch_request(request, [{"url": "who/"}], as_user=as_user)) == [404]


def test_a_project_needs_neither_sessions_nor_messages(alice: User):
    """What its middleware does not bring, sub-requests do not have."""
    with override_settings(MIDDLEWARE=[]):
        answer = get_batch_processor(user=alice).handle([{"url": "/api/address/"}, {"url": "/api/t/plain-user/"}])
    assert bodies(answer)[0]["there"] == ["_force_auth_user"]
    assert bodies(answer)[1]["user"] == "alice"


@pytest.mark.parametrize("has_request", [True, False])
def test_a_script_prefix_is_part_of_every_url(has_request: bool):
    """The request's, or the one that is active."""
    try:
        if not has_request:
            set_script_prefix("/a b/")
        request = RequestFactory().get("/page/", SCRIPT_NAME="/a b") if has_request else None
        before = get_script_prefix()
        answer = get_batch_processor().handle([{"url": "/a%20b/api/address/"}, {"url": "address/"}], request)
        assert get_script_prefix() == before
    finally:
        set_script_prefix("/")
    host = "testserver" if has_request else settings.ALLOWED_HOSTS[0]
    assert [body["url"] for body in bodies(answer)] == [f"http://{host}/a%20b/api/address/"] * 2
    assert bodies(answer)[0]["reversed"] == "/a%20b/api/address/"


# Wherever it is called


@pytest.mark.parametrize("query", ["", "&as=alice"])
def test_a_page_that_is_itself_in_a_batch_is_refused(query: str, client: Client, alice: User):
    """Whoever it names: a batch in a batch is one too many."""
    batch = {"requests": [{"url": f"/api/batchable-page/?payload=%5B%5D{query}"}, WHO]}
    for answer in (
        client.post("/api/batch/", batch, content_type="application/json").json(),
        get_batch_processor(user=alice).handle(batch),
    ):
        assert (statuses(answer)[0], bodies(answer)[0]["code"]) == (400, "nested_batch")
        assert statuses(answer)[1] == 200


def test_a_url_of_the_endpoint_is_refused(alice: User):
    with pytest.raises(NestedBatch):
        get_batch_processor(user=alice).handle([{"method": "POST", "url": "/api/batch/"}])


def test_it_leaves_nothing_behind_for_the_code_that_called_it(alice: User):
    """A batch is over when it is answered; the next one is not nested."""
    for _ in range(2):
        assert statuses(get_batch_processor(user=alice).handle([WHO])) == [200]


@pytest.mark.django_db(transaction=True)
def test_threads_may_share_a_processor(alice: User):
    """Each has its own connection, and closes it as any thread must."""

    def ask(number: int) -> Any:
        try:
            return bodies(processor.handle([{"id": number, "url": "/api/t/plain-user/"}]))[0]["user"]
        finally:
            connections.close_all()

    processor = get_batch_processor(user=alice)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(ask, range(16))) == {"alice"}


def test_from_async_code_it_says_how_to_call_it(alice: User):
    """Rather than answering 500 for each view that touches the database."""

    async def ask() -> None:
        get_batch_processor(user=alice).handle([WHO])

    with pytest.raises(SynchronousOnlyOperation, match="sync_to_async"):
        asyncio.run(ask())


# What it refuses


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({}, BadEnvelope),
        (None, BadEnvelope),
        ({"requests": [{"id": 1, "url": "/"}, {"id": 1, "url": "/"}]}, DuplicateId),
        ({"requests": [{"url": "/"}] * 101}, TooMany),
        ([{"url": "/", "body": float("nan")}], BadJson),
        ([{"url": "/", "body": "ä" * (5 * 1024 * 1024 // 2)}], TooLarge),
    ],
)
def test_a_batch_that_makes_no_sense_raises_the_refusal_of_the_endpoint(payload: Any, error: type[EnvelopeError]):
    """Nothing has run; the exception says all that the problem would say."""
    with pytest.raises(error) as caught:
        get_batch_processor().handle(payload)
    assert caught.value.errors[0].pointer.startswith("#")


def test_a_payload_is_as_deep_as_a_client_may_send_it():
    """Far deeper than Python could write too."""
    for depth in (65, 100_000):
        body: list[Any] = []
        for _ in range(depth):
            body = [body]
        with pytest.raises(TooDeep):
            get_batch_processor().handle([{"url": "/", "body": body}])


def test_a_payload_has_as_many_bytes_as_a_client_would_send():
    """Escaped, this one would be too large; half a character can only be sent escaped."""
    count = {"method": "POST", "url": "/api/t/counter/"}
    answer = get_batch_processor().handle([{**count, "body": "ä" * 2_000_000}])
    assert statuses(answer) == [200]
    answer = get_batch_processor().handle([{**count, "body": ["\ud800"]}, {"url": "/api/t/raw/surrogate/"}])
    assert bodies(answer)[1] == ["\ud800", "\udc00\ud800"]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: handle_batch_request(None, []), TypeError, "get_batch_processor"),
        (lambda: handle_batch_request({"requests": []}, []), TypeError, "not dict"),
        (lambda: get_batch_processor().handle('{"requests": []}'), TypeError, "json.loads"),
        (lambda: get_batch_processor().handle([{"url": "/", "body": {1, 2}}]), TypeError, "set"),
        (lambda: get_batch_processor(user="alice"), TypeError, "not str"),
        (lambda: get_batch_processor(user=7), TypeError, "not int"),
        (lambda: get_batch_processor(user=User()), ValueError, "save it first"),
        (lambda: get_batch_processor(user=Group(pk=1)), TypeError, "not Group"),
        (lambda: get_batch_processor(max_concurrent=0), ValueError, "max_concurrent must be a whole number above 0"),
        (lambda: get_batch_processor(cache_ttl=True), ValueError, "cache_ttl must be"),
        (lambda: setattr(get_batch_processor(), "cache_ttl", 1.5), ValueError, "cache_ttl must be"),
        (lambda: setattr(get_batch_processor(), "max_concurent", 5), AttributeError, "max_concurent"),
    ],
)
def test_a_wrong_argument_is_told_in_words(call: Any, error: type[Exception], words: str):
    with pytest.raises(error, match=words):
        call()


# A processor's own settings


def test_what_is_assigned_holds_for_this_processor_only():
    """As in the documents; None is what the settings say."""
    processor, other = get_batch_processor(), get_batch_processor(max_concurrent=5)
    processor.max_concurrent = 20
    processor.cache_ttl = 120
    assert (processor.max_concurrent, processor.cache_ttl) == (20, 120)
    assert (other.max_concurrent, other.cache_ttl) == (5, None)
    processor.max_concurrent = None
    assert processor.settings == get_settings()


def test_a_value_of_a_processors_own_stands_in_for_the_setting():
    """The project's settings stay what they are; a group that does not exist has nothing to act on."""
    said = override_said(get_settings(), {("limits", "MAX_BATCH_SIZE"): 1, ("nowhere", "AT_ALL"): 2})
    assert said.limits.MAX_BATCH_SIZE == 1
    assert said.limits.MAX_DEPTH == get_settings().limits.MAX_DEPTH
    assert get_settings().limits.MAX_BATCH_SIZE == 100


def test_settings_are_read_when_a_batch_is_answered():
    processor = get_batch_processor()
    with override_settings(BATCHAPI={"MAX_BATCH_SIZE": 1}), pytest.raises(TooMany):
        processor.handle([WHO, {"url": "/"}])


# The face


def test_the_package_is_imported_without_settings():
    """A module of views, or a tool, may import it before Django is set up; only a batch needs Django."""
    script = "import batchapi; from batchapi import batchable, EnvelopeError; print(batchapi.__all__)"
    missing = "try:\n    batchapi.nothing\nexcept AttributeError as error:\n    print(error)"
    run = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", f"{script}\n{missing}"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "handle_batch_request" in run.stdout
    assert "no attribute 'nothing'" in run.stdout
