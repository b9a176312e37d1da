"""What HTTP asks of caches, through whole batches: what is kept, for whom, and what becomes of it."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.test import Client, override_settings
from django.utils.http import http_date
from redis import Redis

from batchapi.store import Store
from batchapi.store.shared import RedisStore
from tests.cache.asking import Record, ask, fate, fates, said
from tests.cache.views import RAN
from tests.cache.views_http import MODIFIED
from tests.factories import TokenFactory, UserFactory

pytestmark = [
    pytest.mark.urls("tests.cache.views_http"),
    pytest.mark.usefixtures("store"),
    pytest.mark.parametrize("store", ["redis"], indirect=True),  # None of this depends on where an answer is kept.
]
MISS = "fwd=miss; stored"


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    RAN.clear()


def saying(url: str = "/api/said/", **headers: str) -> str:
    return f"{url}?{urlencode({name.replace('_', '-'): value for name, value in headers.items()})}"


def with_headers(url: str, **headers: str) -> Record:
    return {"url": url, "headers": {name.replace("_", "-"): value for name, value in headers.items()}}


def logged_in(**fields: Any) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(UserFactory(**fields))
    return client


def by_token() -> Client:
    key = TokenFactory().key
    return Client(raise_request_exception=False, headers={"Authorization": f"Token {key}"})


# -- what Django's own cache has given to others, in 2026 alone. `public=True` is where ours could do the same.


@pytest.mark.parametrize("vary", ["*", "Accept, *", "*, Cookie"])
@pytest.mark.parametrize("url", ["/api/said/", "/api/public-said/"])
def test_what_varies_by_everything_is_not_kept(url: str, vary: str) -> None:
    """The class of CVE-2026-6907."""
    assert fates(saying(url, Vary=vary)) == ["fwd=miss; detail=vary"]


@pytest.mark.parametrize("vary", [" *", "* ", "Accept ,\t* ", "  Cookie "])
def test_spaces_in_vary_hide_nothing(vary: str) -> None:
    """The class of CVE-2026-48587."""
    assert fates(saying("/api/public-said/", Vary=vary)) == ["fwd=miss; detail=vary"]


@pytest.mark.parametrize("control", ["PRIVATE", "Private", "No-Store", "max-age=60, pRIVATE", 'Private="x"'])
@pytest.mark.parametrize("url", ["/api/said/", "/api/public-said/"])
def test_a_directive_counts_in_any_letter_case(url: str, control: str) -> None:
    """The class of CVE-2026-8404."""
    assert fates(saying(url, Cache_Control=control)) == ["fwd=miss; detail=cache-control"]


@pytest.mark.parametrize("control", ["", "max-age=60", "public, max-age=60"])
def test_two_credentials_never_share_an_answer(control: str) -> None:
    """The class of CVE-2026-35193: nothing says Vary, nothing says private. Nor do they where it says `public`."""
    url = saying(Cache_Control=control)
    one, other, nobody = by_token(), by_token(), Client()
    names = [ask(url, client=client)[0]["body"][0] for client in (one, other, nobody)]
    assert len(set(names)) == 3
    assert [fate(url, client) for client in (one, other, nobody)] == ["hit"] * 3


def test_what_the_policy_calls_public_is_shared_by_all_credentials() -> None:
    assert [fate("/api/public-said/", client) for client in (by_token(), by_token(), Client())] == [MISS, "hit", "hit"]


def test_what_varies_by_the_credential_is_not_public() -> None:
    assert fates(saying("/api/public-said/", Vary="Authorization")) == ["fwd=miss; detail=vary"]


@pytest.mark.parametrize("url", ["/api/said/", "/api/public-said/"])
def test_a_session_cookie_is_never_kept(url: str) -> None:
    """The class of CVE-2026-35192: a session that is saved each time sets its cookie, and nothing says Vary."""
    with override_settings(SESSION_SAVE_EVERY_REQUEST=True):
        alice, bob = logged_in(), Client()
        [record] = ask(url, client=alice)
        assert said(record) == "fwd=miss; detail=wrote"
        response = bob.post("/api/batch/", {"requests": [{"url": url}]}, content_type="application/json")
    assert settings.SESSION_COOKIE_NAME not in response.cookies
    assert "Set-Cookie" not in response.content.decode()


def test_what_varies_by_a_cookie_is_told_apart_by_it_beside_others() -> None:
    """The class of CVE-2026-48588: the request has a cookie already, though not the one that matters."""
    url, clients = saying(Vary="Cookie"), [logged_in(username=name) for name in ("alice", "bob")]
    for client in (*clients, Client()):
        client.cookies["unrelated"] = "1"
    assert [ask(url, client=client)[0]["body"][0] for client in clients] == ["alice", "bob"]
    assert [record["status"] for record in ask(saying("/api/public-said/", Vary="Cookie"), client=clients[0])] == [200]
    assert fates(saying("/api/public-said/", Vary="Cookie"), client=clients[1]) == ["fwd=miss; detail=vary"]


def test_a_header_that_is_absent_is_another_than_an_empty_one() -> None:
    """The class of CVE-2026-113593."""
    absent, empty = Client(), Client(headers={"Authorization": ""})
    url = saying(Vary="Authorization")
    assert [fate(url, absent), fate(url, empty), fate(url, absent)] == [MISS, MISS, "hit"]
    spoken = with_headers("/api/public-said/", Accept_Language="")
    assert [fate("/api/public-said/"), fate(spoken)] == [MISS, MISS]


def test_values_of_several_headers_do_not_run_together() -> None:
    """A key that joins what it varies by without a delimiter takes "ab" + "c" for "a" + "bc"."""
    url = saying("/api/public-said/", Vary="Accept, Accept-Language")
    one = with_headers(url, Accept="*/*;q=1", Accept_Language="0, de")
    other = with_headers(url, Accept="*/*;q=10", Accept_Language=", de")
    assert fates(one, other) == [MISS, MISS]


# -- what else could carry something private


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("/api/template/?session", "session"),  # touched when the view is done
        ("/api/template/?csrf", "wrote"),
        ("/api/token/", "wrote"),
        ("/api/raw-cookie/", "set-cookie"),
        ("/api/lines/", "stream"),
    ],
)
def test_what_carries_something_private_is_not_kept(url: str, word: str) -> None:
    client = logged_in()
    assert [fate(url, client), fate(url, client)] == [f"fwd=miss; detail={word}"] * 2


def test_a_csrf_token_is_not_kept_with_a_cookie_that_is_there_already() -> None:
    client = logged_in()
    tokens = {ask("/api/token/", client=client)[0]["body"][0] for _ in range(3)}
    assert len(tokens) == 3


@pytest.mark.parametrize(
    "status", [201, 202, 203, 204, 205, 206, 300, 301, 302, 304, 307, 400, 404, 410, 429, 500, 503]
)
def test_only_200_is_kept(status: int) -> None:
    """Whatever its headers promise."""
    url = saying(status=str(status), Cache_Control="public, max-age=60", ETag='"a"')
    assert fate(url) == fate(url)
    assert "stored" not in fate(url)
    assert RAN["Said"] == 3


def test_a_part_is_not_kept() -> None:
    assert [fate("/api/lines/?part"), fate("/api/lines/?part")] == ["fwd=miss", "fwd=miss"]


def test_a_copy_is_not_kept_a_second_time() -> None:
    assert fates("/api/said/", "/api/said/") == [MISS, "fwd=miss; collapsed"]
    assert fates("/api/said/", "/api/said/") == ["hit", "hit"]
    assert RAN["Said"] == 1


def test_a_post_is_never_answered_by_what_was_kept() -> None:
    assert fate("/api/both/") == MISS
    post, get = ask({"url": "/api/both/", "method": "POST", "body": {}}, "/api/both/")
    assert (post["body"][0], get["body"][0]) == ("POST", "GET")
    assert fate({"url": "/api/both/", "method": "OPTIONS"}) == ""


# -- age


def test_an_answer_tells_its_age_and_whose_it_is() -> None:
    [record] = ask(saying(Cache_Status="origin; hit", Cache_Control="max-age=60"))
    assert "Age" not in record["headers"]
    assert record["headers"]["Cache-Status"] == "origin; hit, batchapi; fwd=miss; stored"
    [record] = ask(saying(Cache_Status="origin; hit", Cache_Control="max-age=60"))
    assert 0 <= int(record["headers"]["Age"]) < 60
    assert record["headers"]["Cache-Status"].startswith("origin; hit, batchapi; hit; ttl=")


def test_the_age_that_an_answer_brings_shortens_its_time() -> None:
    url = saying(Age="90", Cache_Control="max-age=95")
    ask(url)
    [record] = ask(url)
    assert int(record["headers"]["Cache-Status"].partition("ttl=")[2]) <= 5


# -- what clients say


@pytest.mark.parametrize("header", ["Cache_Control", "Pragma"])
def test_a_client_may_ask_the_view_itself_and_what_it_says_is_kept(header: str) -> None:
    ask("/api/said/")
    assert fate(with_headers("/api/said/", **{header: "no-cache"})) == "fwd=request; stored"
    [record] = ask("/api/said/")
    assert record["body"][1] == 2


def test_a_client_may_keep_its_answer_out_of_the_store() -> None:
    asked = with_headers("/api/said/", Cache_Control="no-store")
    assert "stored" not in fate(asked)
    assert fate("/api/said/") == MISS
    assert "hit" not in fate(asked)


def test_what_the_batch_says_is_said_of_all() -> None:
    ask("/api/said/")
    assert fates("/api/said/", "/api/tagged/", cache_control="no-cache") == ["fwd=request; stored"] * 2
    assert fates("/api/said/", cache_control="no-store") == [""]
    again = with_headers("/api/said/", Cache_Control="max-age=60")
    assert fate(again, cache_control="no-cache") == "hit", "what the sub-request says goes before"


@pytest.mark.parametrize(
    ("said_of_it", "expected"),
    [
        ("max-age=0", "fwd=stale; stored"),
        ("max-age=60", "hit"),
        ("min-fresh=60", "hit"),
        ("min-fresh=121", "fwd=stale; stored"),
        ("max-age=x", "fwd=stale; stored"),
        ("max-age=60, min-fresh=1000", "fwd=stale; stored"),
    ],
)
def test_a_client_says_how_old_it_may_be(said_of_it: str, expected: str) -> None:
    ask("/api/said/")
    assert fate(with_headers("/api/said/", Cache_Control=said_of_it)) == expected


# -- conditions


LATER, EARLIER = http_date(MODIFIED + 3600), http_date(MODIFIED - 3600)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If_None_Match": '"0"'}, 304),
        ({"If_None_Match": 'W/"0"'}, 304),
        ({"If_None_Match": '"a", W/"b", "0"'}, 304),
        ({"If_None_Match": "*"}, 304),
        ({"If_None_Match": '"a"'}, 200),
        ({"If_None_Match": "0"}, 200),
        ({"If_None_Match": ""}, 200),
        ({"If_None_Match": '"0'}, 200),
        ({"If_Modified_Since": http_date(MODIFIED)}, 304),
        ({"If_Modified_Since": LATER}, 304),
        ({"If_Modified_Since": EARLIER}, 200),
        ({"If_Modified_Since": "yesterday"}, 200),
        ({"If_None_Match": '"a"', "If_Modified_Since": LATER}, 200),  # The first of them counts.
        ({"If_None_Match": '"0"', "If_Modified_Since": EARLIER}, 304),
    ],
)
@pytest.mark.parametrize("weak", ["", "W/"])
def test_a_condition_is_answered_from_what_is_kept(headers: dict[str, str], status: int, weak: str) -> None:
    url = saying("/api/tagged/", weak=weak)
    ask(url)
    [record] = ask(with_headers(url, **headers))
    assert (record["status"], said(record), RAN["Tagged"]) == (status, "hit", 1)
    assert record["headers"]["Etag"] == f'{weak}"0"'
    assert record.get("body") == (0 if status == 200 else None)


def test_a_condition_is_judged_by_the_answer_that_is_current() -> None:
    ask("/api/tagged/")
    Group.objects.create(name="a")
    [record] = ask(with_headers("/api/tagged/", If_None_Match='"0"'))
    assert (record["status"], record["body"]) == (200, 1)
    assert ask(with_headers("/api/tagged/", If_None_Match='"1"'))[0]["status"] == 304


@pytest.mark.parametrize(
    "headers",
    [{"If_Match": '"0"'}, {"If_Unmodified_Since": LATER}, {"If_Range": '"0"'}, {"If_Match": "*", "If_None_Match": "*"}],
)
def test_other_conditions_go_to_the_view(headers: dict[str, str]) -> None:
    ask("/api/conditional/")
    for _ in range(2):
        [record] = ask(with_headers("/api/conditional/", **headers))
        assert any(record["body"][1:4])
        assert said(record) == ""
    assert RAN["Conditional"] == 3
    assert ask("/api/conditional/")[0]["body"] == [0, None, None, None, None]


# -- what is found in Redis and is no answer of ours


def overwrite(redis: "Redis[bytes]", key: bytes, change: Callable[[bytes], bytes]) -> None:
    redis.set(key, change(redis.get(key) or b""))


@pytest.mark.parametrize(
    "change",
    [
        lambda value: b"",
        lambda value: b"\x80\x04N.",  # pickled
        lambda value: b"null\n",
        lambda value: b'{"v": 1}\n',
        lambda value: value[:-1],
        lambda value: value + b"x",
        lambda value: value.replace(b'"status":200', b'"status":"200"'),
        lambda value: value.replace(b'"v":1', b'"v":0'),
        lambda value: value.replace(b'"identity":"', b'"identity":"x'),
        lambda value: value.replace(b'"epoch":"', b'"epoch":"x'),
        lambda value: value.replace(b'"ttl":', b'"ttl":"'),
    ],
)
def test_a_value_that_is_no_answer_to_this_question_is_a_miss_and_is_overwritten(
    store: Store, redis_url: str, change: Callable[[bytes], bytes]
) -> None:
    assert isinstance(store, RedisStore)
    ask("/api/said/")
    with Redis.from_url(redis_url) as redis:
        [key] = [key for key in redis.keys("*:entry:*") if store.cache.make_key("").encode()[:10] in key]
        before = redis.get(key)
        overwrite(redis, key, change)
        assert redis.get(key) != before
    assert fate("/api/said/").endswith("stored")
    assert fate("/api/said/") == "hit"
    assert RAN["Said"] == 2


def test_an_answer_of_another_question_under_this_key_is_a_miss(store: Store, redis_url: str) -> None:
    """A collision of keys, or somebody's attempt at one: alice's answer put where bob looks."""
    assert isinstance(store, RedisStore)
    prefix = store.cache.make_key("").encode()[:10]
    alice, bob = logged_in(username="alice"), logged_in(username="bob")
    with Redis.from_url(redis_url) as redis:
        ask("/api/said/", client=alice)
        [hers] = [key for key in redis.keys("*:entry:*") if prefix in key]
        ask("/api/said/", client=bob)
        [his] = [key for key in redis.keys("*:entry:*") if prefix in key and key != hers]
        redis.copy(hers, his, replace=True)
    [record] = ask("/api/said/", client=bob)
    assert (record["body"][0], said(record)) == ("bob", MISS)
    assert User.objects.count() == 2


def test_a_hit_is_as_old_as_the_view_said_and_some() -> None:
    """RFC 9111, section 4.2.3."""
    url = "/api/headers/?Age=90&Cache_Control=max-age%3D100"
    assert fate(url) == "fwd=miss; stored"
    [record] = ask(url)
    assert 90 <= int(record["headers"]["Age"]) < 100
    young = {"url": url, "headers": {"Cache-Control": "max-age=50"}}
    assert fate(young).startswith("fwd=")
