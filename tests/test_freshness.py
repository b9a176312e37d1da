"""How answers may be kept, and what clients say of kept ones: RFC 9111, by what caches are known to get wrong.

Where it says so, a case has the name that it has in the public test suite of HTTP caches (cache-tests.fyi).
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchapi.freshness import Terms, read_directives, read_terms, read_wish

DATE = ("Date", "Tue, 24 Nov 2026 10:00:00 GMT")
SEEN = frozenset({"accept", "accept-language", "cookie", "authorization"})


def terms(*headers: tuple[str, str], ttl: float = 100.0, stale: float = 50.0) -> Terms | str:
    return read_terms(headers, ttl=ttl, stale=stale, is_seen=SEEN.__contains__)


def ttl_of(*headers: tuple[str, str]) -> float | str:
    found = terms(*headers)
    return found if isinstance(found, str) else found.ttl


def controlled(value: str) -> tuple[str, str]:
    return ("Cache-Control", value)


@pytest.mark.parametrize(
    ("value", "ttl"),
    [
        ("", 100),
        ("max-age=60", 60),  # freshness-max-age
        ("max-age=3600", 100),  # Never longer than the server says.
        ("max-age=0", "expired"),  # freshness-max-age-0
        ("max-age=00060", 60),
        ("MAX-AGE=60", 60),  # freshness-max-age-case
        ("mAx-AgE=60", 60),
        ("max-age = 60", 60),
        (" max-age=60 , public ", 60),
        ('max-age="60"', 60),  # freshness-max-age-quoted
        ("public,max-age=60", 60),
        ("a=b, max-age=60", 60),  # freshness-max-age-extension
        ('a="b, max-age=10", max-age=60', 60),  # what is in quotes is no directive
        ('a="\\", max-age=10", max-age=60', 60),
        ("max-age=99999999999999999", 100),  # freshness-max-age-max
        ("max-age=-1", "expired"),  # freshness-max-age-negative
        ("max-age=60.5", "expired"),
        ("max-age=6x", "expired"),
        ("max-age=x", "expired"),
        ("max-age=", "expired"),
        ("max-age", "expired"),
        ("max-age='60'", "expired"),  # freshness-max-age-single-quoted
        ("max-age=٦٠", "expired"),  # digits, but not those of HTTP
        ("s-maxage=60", 60),  # freshness-s-maxage-shared
        ("s-maxage=60, max-age=10", 60),
        ("max-age=10, s-maxage=60", 60),  # freshness-max-age-s-maxage-shared-longer
        ("max-age=60, s-maxage=0", "expired"),
        ("s-maxage=x, max-age=60", "expired"),
        ("max-age=60, max-age=10", 60),  # the first one counts
        ("max-age:60", "expired"),
        ("max-stale=0, min-fresh=600", 100),  # of requests
        ("no-transform", 100),
        ("immutable", 100),
    ],
)
def test_how_long_by_cache_control(value: str, ttl: float | str) -> None:
    assert ttl_of(controlled(value)) == ttl


@pytest.mark.parametrize(
    ("expires", "ttl"),
    [
        ("Tue, 24 Nov 2026 10:01:00 GMT", 60),  # freshness-expires-future
        ("Tue, 24 Nov 2026 11:00:00 +0100", "expired"),
        ("Tue, 24 Nov 2026 10:00:00 GMT", "expired"),  # freshness-expires-present
        ("Tue, 24 Nov 2026 09:00:00 GMT", "expired"),  # freshness-expires-past
        ("0", "expired"),  # freshness-expires-invalid
        ("", "expired"),
        ("-1", "expired"),
        ("Thu, 18 Aug 2050 02:01:18 GMT", 100),
        ("Tuesday, 24-Nov-26 10:01:00 GMT", 60),  # freshness-expires-rfc850
        ("Tue, 24 Nov 99999999999999999999 10:01:00 GMT", "expired"),  # more than a number of C holds
        ("Tue, 24 Nov 2026 10:01:00 +99999999999999999999", "expired"),
        ("Tue, 24 Nov 2026 10:01:00", "expired"),  # of no zone, unlike its Date
    ],
)
def test_how_long_by_expires(expires: str, ttl: float | str) -> None:
    assert ttl_of(DATE, ("Expires", expires)) == ttl


@pytest.mark.parametrize(
    ("headers", "ttl"),
    [
        ([("Expires", "Tue, 24 Nov 2026 10:01:00 GMT")], "expired"),  # with nothing to hold it against
        ([DATE, ("Expires", "0"), controlled("max-age=60")], 60),  # freshness-max-age-expires
        ([DATE, ("Expires", "Tue, 24 Nov 2026 10:01:00 GMT"), controlled("max-age=0")], "expired"),
        ([controlled("max-age=60"), ("Age", "20")], 40),  # freshness-max-age-age
        ([controlled("max-age=60"), ("Age", "60")], "expired"),
        ([("Age", "30")], 70),
        ([("Age", "-5")], 100),
        ([("Pragma", "no-cache")], 100),  # pragma-response-no-cache: that means nothing in an answer
    ],
)
def test_how_long_by_several_headers(headers: list[tuple[str, str]], ttl: float | str) -> None:
    assert ttl_of(*headers) == ttl


@pytest.mark.parametrize(
    "value",
    [
        *("no-store", "no-cache", "private", "NO-STORE", "Private", "No-Cache", " private ", "max-age=60,private"),
        *(
            "private, max-age=60",
            'private="set-cookie"',
            'no-cache="set-cookie"',
            "private=set-cookie",
            "private=",
            "x private",
        ),
        *(
            "max-age=60;private",
            "max-age=60 no-store",
            'a="b", private',
            'a="b, private',
            "\tprivate",
            "public, private",
        ),
        *("no-store, must-understand", "private;max-age=60", ",,private,,", 'a="\\\\", private'),
    ],
)
def test_an_answer_may_not_be_kept_in_whatever_way_that_is_written(value: str) -> None:
    assert terms(controlled(value)) == "cache-control"


@pytest.mark.parametrize("value", ["x-private", "no-store-please", 'a="private"', 'a="\\", private"', "a=private"])
def test_what_only_looks_like_that_is_something_else(value: str) -> None:
    assert ttl_of(controlled(value)) == 100


@pytest.mark.parametrize("place", [0, 1, 2])
def test_several_lines_are_one_header(place: int) -> None:
    """ccres-no-store-multiple: whichever line it is in, and however the name is written."""
    lines = [("Cache-Control", "max-age=60"), ("CACHE-CONTROL", "public")]
    lines.insert(place, ("cache-control", "no-store"))
    assert terms(*lines) == "cache-control"
    assert terms(("Vary", "Accept"), ("vary", "*")) == "vary"


@pytest.mark.parametrize(
    ("value", "is_kept"),
    [
        ("", True),
        ("Accept", True),
        ("ACCEPT, accept-LANGUAGE", True),  # vary-normalise-case
        (" Accept ,, Cookie,", True),
        ("Authorization", True),
        ("*", False),  # vary-star
        (" * ", False),
        ("*, Accept", False),
        ("Accept, *", False),  # vary-invalidate, vary-star-* of several
        ("Accept,*", False),
        ("Accept\t,\t*", False),
        ("User-Agent", False),
        ("Accept, X-Unseen", False),
        ("*Accept", False),
        ("Accept;Cookie", False),
        ("Accept Cookie", False),
    ],
)
def test_vary(value: str, is_kept: bool) -> None:
    assert terms(("Vary", value)) == (Terms(ttl=100, stale=50) if is_kept else "vary")


def test_a_cookie_is_for_one() -> None:
    assert terms(("Set-Cookie", "a=b"), controlled("public, max-age=60")) == "set-cookie"
    assert terms(("SET-COOKIE", "")) == "set-cookie"


@pytest.mark.parametrize(
    ("value", "stale"),
    [
        ("", 50),
        ("stale-if-error=20", 20),  # stale-sie-503
        ("stale-if-error=200", 50),
        ("stale-if-error=0", 0),
        ("stale-if-error=x", 0),
        ("must-revalidate", 0),
        ("Must-Revalidate, stale-if-error=20", 0),  # stale-while-revalidate and -if-error give way to it
        ("proxy-revalidate", 0),
        ("stale-while-revalidate=20", 50),
    ],
)
def test_how_long_an_old_answer_may_stand_in(value: str, stale: float) -> None:
    assert terms(controlled(value)) == Terms(ttl=100, stale=stale)


@given(st.text())
def test_nothing_that_is_written_there_keeps_an_answer_for_longer(value: str) -> None:
    found = terms(controlled(value), ("Vary", value), ("Expires", value), ("Age", value), DATE)
    assert isinstance(found, str) or (0 < found.ttl <= 100 and 0 <= found.stale <= 50)


@given(st.text(), st.sampled_from(["no-store", "no-cache", "private"]))
def test_a_directive_counts_whatever_is_written_behind_it(text: str, directive: str) -> None:
    assert directive in read_directives(f"{directive}, {text}")
    assert terms(controlled(f"{directive}, {text}")) == "cache-control"


# -- what clients say


def wish(value: str | None = None, **more: str) -> Any:
    environ = {**({} if value is None else {"HTTP_CACHE_CONTROL": value}), **more}
    return read_wish(environ)


@pytest.mark.parametrize(
    ("value", "may_read", "may_keep"),
    [
        ("", True, True),
        ("no-cache", False, True),  # ccreq-no-cache
        ("No-Cache", False, True),
        ("no-store", False, False),  # ccreq-no-store
        ("max-age=5, no-store", False, False),
        ("no-transform", True, True),
        ("private", True, True),  # of answers
    ],
)
def test_a_client_may_ask_for_a_new_answer(value: str, may_read: bool, may_keep: bool) -> None:
    found = wish(value)
    assert (found.may_read, found.may_keep) == (may_read, may_keep)


def test_pragma_counts_only_where_there_is_no_cache_control() -> None:
    assert not wish(HTTP_PRAGMA="no-cache").may_read
    assert not wish(HTTP_PRAGMA="No-Cache").may_read
    assert wish("max-age=5", HTTP_PRAGMA="no-cache").may_read
    assert wish("", HTTP_PRAGMA="no-cache").may_read
    assert wish(HTTP_PRAGMA="").may_read


@pytest.mark.parametrize(
    ("value", "age", "is_accepted"),
    [
        ("", 99, True),
        ("", 101, False),
        ("max-age=10", 10, True),  # ccreq-ma0, ccreq-ma1
        ("max-age=10", 11, False),
        ("max-age=0", 1, False),
        ("max-age=x", 1, False),
        ("max-age", 1, False),
        ("max-age=1000", 101, False),
        ("min-fresh=10", 90, True),  # ccreq-min-fresh
        ("min-fresh=10", 91, False),
        ("min-fresh=1000", 0, False),
        ("max-stale=1000", 101, False),  # A client does not get what the server no longer stands for.
        ("max-age=10, min-fresh=95", 6, False),
    ],
)
def test_a_client_says_how_old_an_answer_may_be(value: str, age: float, is_accepted: bool) -> None:
    assert wish(value).accepts(age=age, ttl=100) is is_accepted
