"""The place of a body in the JSON answer."""

import gzip
import json
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchapi.batch import SubResponse
from batchapi.exceptions import ResponseTooLarge
from batchapi.render.body import render_body, unpack

REQUEST: Any = SimpleNamespace(id="0", index=0)


def response(body: bytes | str, content_type: str = "application/json", encoding: str = "") -> SubResponse:
    headers = [("Content-Type", content_type), *([("Content-Encoding", encoding)] if encoding else [])]
    raw = body.encode() if isinstance(body, str) else body
    return SubResponse(request=REQUEST, status=200, headers=tuple(headers), body=raw)


def written(body: bytes | str, content_type: str = "application/json") -> Any:
    """What a client reads."""
    return json.loads(orjson.dumps(render_body(response(body, content_type))))


ONE_VALUE = [
    "{}",
    " [1, 2]\t",
    "null",
    '"\u2028"',
    "-0.0",
    "1e400",
    "9" * 4000,
    '{"a": 1, "a": 2}',
    '"\\ud800"',
    "1.10",
]


@pytest.mark.parametrize("text", ONE_VALUE)
@pytest.mark.parametrize("around", ["{}", "\n{}\r\n", "[\n{}\n]"])
def test_one_json_value_is_spliced_in_with_all_its_digits(text: str, around: str):
    """Line breaks become spaces, nothing else changes: a number too large for a double stays what it is."""
    spliced = orjson.dumps(render_body(response(around.format(text))))
    assert b"\n" not in spliced
    assert text.strip().encode() in spliced
    assert json.loads(spliced)["body"] == json.loads(around.format(text))


NOT_ONE = [
    *("{broken", "", " ", "{} {}", "{},{}", '{}},{"id":"me"', "null],[", "NaN", "[Infinity]", "-Infinity", "nul"),
    *("\ufeff{}", "'a'", '"a\nb"', '"\x00"', "[1,]", "01", "1.", "\u00b2", "[" * 100_000, "9" * 5000, "// {}", "{}\0"),
]


@pytest.mark.parametrize("text", NOT_ONE, ids=lambda text: ascii(text[:20]))
def test_what_only_calls_itself_json_is_text(text: str):
    """It is quoted, so that it forges nothing."""
    assert written(text)["body"] == (text or None)


@given(st.text(max_size=30), st.sampled_from(["application/json", "application/problem+json", "text/plain"]))
def test_a_body_is_one_value_whatever_it_holds(text: str, content_type: str):
    """The answer around it can be read, and has no member more."""
    assert written(text, content_type).keys() == {"body"}


CHARSETS = [
    "utf-7",
    "utf-16",
    "unicode_escape",
    "raw_unicode_escape",
    "idna",
    "punycode",
    "undefined",
    "nowhere",
    "hex",
]


@pytest.mark.parametrize("charset", [*CHARSETS, '"\\\x00"', "\u00e9", "utf-8''%00"])
@pytest.mark.parametrize("media_type", ["text/plain", "application/json"])
@pytest.mark.parametrize("body", [b"+2AA-", b"\\ud800", b"\xff\xfe\x00\xd8", b"\xff", b"a..b", b"plain"])
def test_no_charset_breaks_the_answer(body: bytes, media_type: str, charset: str):
    """A lone surrogate that a codec lets through could not be written; such a body is base64."""
    for parameter in (f"charset={charset}", f"charset*={charset}"):
        assert set(written(body, f"{media_type}; {parameter}")) <= {"body", "bodyEncoding"}


def test_text_is_read_in_its_charset():
    assert written("gr\u00fcn".encode("latin-1"), "text/plain; charset=latin-1") == {"body": "gr\u00fcn"}
    assert written("gr\u00fcn".encode("latin-1"), "text/plain") == {"body": "Z3L8bg==", "bodyEncoding": "base64"}


PACKED = gzip.compress(b"hello", mtime=0)


def test_a_gzip_body_is_unpacked():
    assert unpack(response(PACKED, encoding="gzip"), room=5) == b"hello"
    assert unpack(response(PACKED, encoding="X-GZIP"), room=100) == b"hello"


@pytest.mark.parametrize("body", [b"hello", PACKED[:-3], PACKED[:5], PACKED + PACKED, PACKED + b"x"])
def test_a_gzip_body_that_is_broken_or_more_than_one_stays_as_it_is(body: bytes):
    """Half of it would be worse than none."""
    assert unpack(response(body, encoding="gzip"), room=100) == body


@pytest.mark.parametrize("room", [0, 1, 4])
def test_a_body_is_never_unpacked_past_the_room_that_there_is(room: int):
    """A room of nothing too."""
    for body, encoding in ((PACKED, "gzip"), (b"hello", "")):
        with pytest.raises(ResponseTooLarge):
            unpack(response(body, encoding=encoding), room=room)


def test_another_encoding_stays_as_it_is():
    assert unpack(response(b"hello", encoding="br"), room=5) == b"hello"
