"""Who asks the same, and who does not: what an answer is found by."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.test import Client, RequestFactory, override_settings
from django.utils.functional import SimpleLazyObject
from hypothesis import assume, given
from hypothesis import strategies as st
from rest_framework.authtoken.models import Token

from batchapi.batch import Route, SubRequest
from batchapi.execute.describe import IndescribableError, describe
from batchapi.execute.identity import Identities
from batchapi.execute.manners import Manners
from batchapi.parent import Parent
from batchapi.policy import Policy
from chat.models import Session
from tests.cache.asking import ask, fate, fates, said
from tests.cache.conftest import caching
from tests.cache.middleware import Mute, Opaque
from tests.cache.views import RAN
from tests.factories import SessionFactory, UserFactory

pytestmark = pytest.mark.urls("tests.cache.views_private")
URL = "/api/surroundings/"
MISS = "fwd=miss; stored"
in_redis = pytest.mark.parametrize("store", ["redis"], indirect=True)  # It does not depend on where an answer is kept.


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    RAN.clear()


def asked_by(**environ: Any) -> Client:
    """A browser whose requests have these variables in their environ."""
    return Client(raise_request_exception=False, **environ)


class Secure(Client):
    """A browser that asks over TLS."""

    def generic(self, *args: Any, **kwargs: Any) -> Any:
        return super().generic(*args, **{**kwargs, "secure": True})


with_cookie = Client()
with_cookie.cookies["shop"] = "a"
with_other_cookie = Client()
with_other_cookie.cookies["shop"] = "A"
in_german = Client()
in_german.cookies[settings.LANGUAGE_COOKIE_NAME] = "de"


@in_redis
@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(asked_by(), asked_by(HTTP_X_SHOP=""), id="absent and empty"),
        pytest.param(asked_by(HTTP_X_SHOP="a"), asked_by(HTTP_X_SHOP="A"), id="letter case"),
        pytest.param(asked_by(HTTP_X_SHOP="a, b"), asked_by(HTTP_X_SHOP="a,b"), id="a space"),
        pytest.param(asked_by(HTTP_X_A="a", HTTP_X_B="b"), asked_by(HTTP_X_A="ab", HTTP_X_B=""), id="no delimiter"),
        pytest.param(asked_by(HTTP_X_A="a'='b"), asked_by(HTTP_X_A="a", HTTP_X_B="b"), id="a delimiter in a value"),
        pytest.param(asked_by(**{"HTTP_X.SHOP": "a"}), asked_by(**{"HTTP_X.SHOP": "b"}), id="a dot in a name"),
        pytest.param(asked_by(**{"shop.name": "a"}), asked_by(**{"shop.name": "b"}), id="by WSGI middleware"),
        pytest.param(asked_by(HTTP_X_LONG="a" * 9000), asked_by(HTTP_X_LONG="a" * 8999 + "b"), id="the last letter"),
        pytest.param(asked_by(HTTP_AUTHORIZATION="X a"), asked_by(HTTP_AUTHORIZATION="X b"), id="Authorization"),
        pytest.param(asked_by(REMOTE_ADDR="10.0.0.1"), asked_by(REMOTE_ADDR="10.0.0.2"), id="address"),
        pytest.param(asked_by(REMOTE_USER="a"), asked_by(REMOTE_USER="b"), id="the server's user"),
        pytest.param(asked_by(HTTP_HOST="localhost"), asked_by(HTTP_HOST="127.0.0.1"), id="host"),
        pytest.param(asked_by(HTTP_X_FORWARDED_HOST="a"), asked_by(HTTP_X_FORWARDED_HOST="b"), id="forwarded host"),
        pytest.param(asked_by(), asked_by(HTTP_X_FORWARDED_PROTO="https"), id="forwarded scheme"),
        pytest.param(asked_by(), Secure(), id="scheme"),
        pytest.param(with_cookie, with_other_cookie, id="cookie"),
        pytest.param(asked_by(), in_german, id="language"),
    ],
)
def test_who_differs_in_one_thing_asks_something_else(one: Client, other: Client) -> None:
    assert [fate(URL, one), fate(URL, other), fate(URL, one), fate(URL, other)] == [MISS, MISS, "hit", "hit"]
    assert ask(URL, client=one)[0]["body"] != ask(URL, client=other)[0]["body"]


@in_redis
@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"{URL}?a=1&b=2", f"{URL}?b=2&a=1"),
        (f"{URL}?a=1&a=2", f"{URL}?a=2&a=1"),
        (f"{URL}?a=1", f"{URL}?a=1&a=1"),
        (f"{URL}?a", f"{URL}?a="),
        (f"{URL}?a=%41", f"{URL}?a=A"),
        (f"{URL}A/", f"{URL}a/"),
        (f"{URL}a%3Fb/", f"{URL}a/?b"),
        (f"{URL}a/", f"{URL}a"),  # The second one is repaired, and says so in Content-Location.
        (URL, {"url": URL, "headers": {"Accept-Language": ""}}),
        (URL, {"url": URL, "headers": {"Accept-Language": "de"}}),
        (
            {"url": URL, "headers": {"Accept-Language": "de"}},
            {"url": URL, "headers": {"Accept-Language": "DE"}},
        ),
        ({"url": URL, "headers": {"Accept": "application/json"}}, {"url": URL, "headers": {"Accept": "*/*"}}),
        ({"url": URL, "headers": {"Prefer": "a"}}, {"url": URL, "headers": {"Priority": "a"}}),
    ],
)
def test_two_questions_are_two(one: Any, other: Any) -> None:
    assert fates(one, other) == [MISS, MISS]
    assert fates(other, one) == ["hit", "hit"]
    assert sum(RAN.values()) == 2


@in_redis
@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    "other",
    [
        f"{URL}?",
        "/api/surroundin%67s/",
        "/api/%73urroundings/",
        f"http://testserver{URL}",
        f"HTTP://TESTSERVER:80{URL}",
    ],
)
def test_one_question_is_one_however_it_is_written(other: str) -> None:
    """No view could tell them apart."""
    assert [fate(URL), fate(other)] == [MISS, "hit"]


@in_redis
@pytest.mark.usefixtures("store")
def test_an_answer_is_of_the_prefix_that_the_project_is_mounted_under() -> None:
    clients = [asked_by(), asked_by(SCRIPT_NAME="/shop"), asked_by(SCRIPT_NAME="/stop")]
    assert [fate("surroundings/", client) for client in clients * 2] == [MISS] * 3 + ["hit"] * 3


@in_redis
@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("url", ["/api/names/", "/api/only-get/", "/api/own-head/", "/api/function/", "/api/plain/"])
def test_head_is_what_the_view_would_have_said(url: str) -> None:
    """Also where it has its own, or refuses it, as a function that says `GET` only does."""
    before = ask({"url": url, "method": "HEAD"})[0]
    assert fate(url) == MISS
    after = ask({"url": url, "method": "HEAD"})[0]
    assert (after["status"], after.get("body")) == (before["status"], before.get("body"))
    assert said(ask(url)[0]) == "hit", "a HEAD has spoiled what was kept of GET"


# -- what middleware does


@pytest.fixture(params=["redis"])
def hanging(request: pytest.FixtureRequest, transactional_db: None) -> Iterator[Callable[[str], Client]]:
    """Browsers for which a middleware that the project knows hangs something on the request."""
    name = "tests.cache.middleware.hanging"
    with (
        caching(request.param, request, KNOWN_MIDDLEWARE=(name,)),
        override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, name]),
    ):
        yield lambda words: asked_by(HTTP_X_HANG=words)


@pytest.mark.parametrize("kind", ["text", "mute", "row", "zone", "urlconf"])
def test_what_middleware_hangs_on_the_request_is_told_apart(hanging: Callable[[str], Client], kind: str) -> None:
    names = ["Europe/Berlin", "Asia/Tokyo"]
    for name in names:
        SessionFactory(key=name)
    if kind == "urlconf":
        names = ["tests.cache.views_private", "tests.cache.views_elsewhere"]
    one, other = (hanging(f"{kind} {name}") for name in names)
    assert [fate(URL, one), fate(URL, other), fate(URL, one), fate(URL, other)] == [MISS, MISS, "hit", "hit"]


def test_what_cannot_be_described_is_not_kept(hanging: Callable[[str], Client]) -> None:
    assert [fate(URL, hanging("object x")), fate(URL, hanging("object x"))] == ["", ""]


@pytest.mark.parametrize("kind", ["row", "related"])
def test_what_was_loaded_along_with_a_row_is_told_apart(hanging: Callable[[str], Client], kind: str) -> None:
    """By middleware, or by the view before: the one behind it asks the database nothing about it."""
    shop = SessionFactory(key="shop")
    client, urls = hanging(f"{kind} shop"), ["/api/related/?1", "/api/related/?2"]
    assert [record["body"][0] for record in ask(*urls, client=client)] == [shop.owner.email] * 2
    User.objects.filter(pk=shop.owner_id).update(email="new@example.com")
    assert [record["body"][0] for record in ask(*urls, client=client)] == ["new@example.com"] * 2


@in_redis
@pytest.mark.usefixtures("store")
def test_what_a_backend_loads_along_with_a_user_is_told_apart() -> None:
    with override_settings(AUTHENTICATION_BACKENDS=["tests.cache.views_private.Loading"]):
        user = UserFactory()
        client = asked_by()
        client.force_login(user)
        Token.objects.create(user=user, key="first")
        assert ask("/api/my-token/", client=client)[0]["body"][0] == "first"
        Token.objects.all().delete()
        Token.objects.create(user=user, key="second")
        assert ask("/api/my-token/", client=client)[0]["body"][0] == "second"


# -- the text


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.dates()
    | st.uuids()
    | st.decimals(allow_nan=False)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
awkward = st.text(alphabet="ab',=:[]{}()\\\"\n \x00", max_size=12)


def told_apart(value: Any) -> Any:
    """A value with its types, as Python's own 1 == True == 1.0 would call them one; and -0.0 is another than 0.0."""
    if isinstance(value, list):
        return [told_apart(item) for item in value]
    if isinstance(value, dict):
        return {key: told_apart(item) for key, item in value.items()}
    return type(value).__name__, repr(value)


@given(values, values)
def test_two_values_have_one_text_exactly_if_they_are_the_same(one: Any, other: Any) -> None:
    assert (describe(one) == describe(other)) is (told_apart(one) == told_apart(other))


@given(st.dictionaries(awkward, awkward, max_size=4), st.dictionaries(awkward, awkward, max_size=4))
def test_no_delimiter_in_a_value_makes_two_dicts_one(one: dict[str, str], other: dict[str, str]) -> None:
    assert (describe(one) == describe(other)) is (one == other)


def test_each_kind_of_value_has_a_text_of_its_own() -> None:
    moment, uuid = datetime(2026, 1, 2, tzinfo=UTC), UUID(int=1)
    found = [None, True, 1, 1.0, "1", b"1", moment, date(2026, 1, 2), uuid, str(uuid), [1], {"1": 1}, {1}, "None", {}]
    assert len({describe(value) for value in found}) == len(found)
    assert describe(Mute("a")) != describe(Mute("b"))
    assert describe(SimpleLazyObject(lambda: Mute("a"))) == describe(Mute("a"))
    with pytest.raises(IndescribableError):
        describe([Opaque()])


def test_a_row_has_another_text_when_a_field_or_what_hangs_on_it_differs() -> None:
    def row(**more: Any) -> Session:
        session = Session(pk=1, key="a", owner_id=2, created_at=datetime(2026, 1, 2, tzinfo=UTC))
        vars(session).update(more)
        return session

    owner, other = User(pk=2, email="a"), User(pk=2, email="b")
    found = [row(), row(key="b"), row(title=None), row(count=1), row(count=2)]
    for who in (owner, other):
        session = row()
        session.owner = who
        found.append(session)
    assert len({describe(session) for session in found}) == len(found)
    assert describe(row()) == describe(row())


def test_rows_that_know_each_other_have_a_text() -> None:
    owner = User(pk=2)
    session = Session(pk=1, key="a", owner=owner)
    owner._state.fields_cache["last"] = session
    assert describe(session) == describe(session)


def test_a_user_who_is_nobody_is_not_one_on_whom_something_hangs() -> None:
    named = AnonymousUser()
    named.tenant = "a"  # type: ignore[attr-defined] # That is what middleware does.
    with pytest.raises(IndescribableError):
        describe(named)
    assert describe(AnonymousUser()) == "anonymous"


MANNERS = Manners(None, False, False, False, is_opaque=True, has_checks=False)
parts = st.tuples(
    st.dictionaries(awkward.map("HTTP_{}".format), awkward, max_size=3),  # of the batch
    st.dictionaries(awkward.map("HTTP_{}".format), awkward, max_size=3),  # of the sub-request
    awkward,  # path
    awkward,  # query
    st.sampled_from(range(4)),
)
USERS = [AnonymousUser(), User(pk=1, username="a"), User(pk=1, username="a'"), User(pk=11, username="")]


def text_of(part: Any) -> str:
    environ, headers, path, query, number = part
    request = RequestFactory().get("/")
    request.META = {"wsgi.url_scheme": "http", "SERVER_NAME": "testserver", "SERVER_PORT": "80", **environ}
    request.user = USERS[number]
    parent = Parent.from_request(request)
    route = Route(
        path=path,
        path_info=path,
        query=query,
        language=None,
        urlconf=None,
        match=None,  # type: ignore[arg-type] # It is of the view, and no part of the text.
        policy=Policy(),
        location=None,
        is_non_atomic=False,
    )
    asked = SubRequest(
        index=0,
        id=0,
        key="0",
        correlation_id="",
        method="GET",
        url="",
        headers=headers,
        body=b"",
        depends_on=(),
        priority=None,
        route=route,
    )
    identities = Identities(parent, lambda _: request, ignores=(), allowed=())
    return identities.of(asked, MANNERS).text


@given(parts, parts)
def test_no_two_questions_have_one_text(one: Any, other: Any) -> None:
    assert text_of(one) == text_of(one)
    assume(one != other)
    assert text_of(one) != text_of(other)
