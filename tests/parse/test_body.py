"""The body of one sub-request."""

import json
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchapi.exceptions import BadBody
from batchapi.parse.body import parse_body

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(json_values.filter(lambda value: value is not None), st.sampled_from([None, "application/json", "a/b+json"]))
def test_a_json_body_is_the_value_that_was_sent(value: Any, content_type: str | None):
    """JSON by default."""
    body, typed = parse_body(value, content_type=content_type, here="#")
    assert json.loads(body) == value
    assert typed == (content_type or "application/json")


def test_no_body_is_no_bytes_and_no_type():
    assert parse_body(None, content_type=None, here="#") == (b"", None)
    assert parse_body(None, content_type="text/plain", here="#") == (b"", "text/plain")


@given(st.binary())
def test_a_binary_body_is_base64_of_either_alphabet(content: bytes):
    """Padded or not."""
    for encoded in (b64encode(content).decode(), urlsafe_b64encode(content).decode().rstrip("=")):
        assert parse_body(encoded, content_type="image/png", here="#")[0] == content


TEXT = ["text/plain", "text/csv; charset=utf-8", "application/xml", "a/b+xml", "application/x-www-form-urlencoded"]


@pytest.mark.parametrize("content_type", TEXT)
def test_a_text_body_is_the_text(content_type: str):
    assert parse_body("gr\u00fcn", content_type=content_type, here="#")[0] == "gr\u00fcn".encode()


def test_text_is_written_in_its_charset():
    assert parse_body("gr\u00fcn", content_type="text/plain; charset=latin-1", here="#")[0] == b"gr\xfcn"


@pytest.mark.parametrize("charset", ["ascii", "nowhere", "idna", "punycode", "hex", "undefined"])
def test_text_that_cannot_be_written_is_refused(charset: str):
    """With a pointer, and without repeating the charset."""
    with pytest.raises(BadBody) as refusal:
        parse_body("gr\u00fcn", content_type=f"text/plain; charset={charset}", here="#/0/body")
    assert refusal.value.pointer == "#/0/body"
    assert charset not in refusal.value.detail


@pytest.mark.parametrize("value", ["?", "a", "\u00e9", "YQ==YQ==", 7, {}, [], False])
def test_what_is_no_base64_is_refused(value: Any):
    with pytest.raises(BadBody):
        parse_body(value, content_type="image/png", here="#")
