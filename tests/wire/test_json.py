"""The JSON format: bytes and plain data."""

from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest

from batchapi.exceptions import BadJson, TooDeep, TooLarge
from batchapi.wire.json import BatchJSONParser, is_deeper


def parse(raw: bytes, **given: int) -> Any:
    limits = SimpleNamespace(**{"MAX_REQUEST_BYTES": 10_000, "MAX_DEPTH": 3, **given})
    return BatchJSONParser().parse(BytesIO(raw), parser_context={"limits": limits})


@pytest.mark.parametrize("levels", range(6))
def test_depth_is_counted_in_levels_of_arrays_and_objects(levels: int):
    """As many as the limit says are allowed, and not one more."""
    value: Any = 1
    for level in range(levels):
        value = [value, "beside"] if level % 2 else {"a": 2, "b": value}
    assert is_deeper(value, 3) is (levels > 3)


def test_the_bound_on_depth_is_exact():
    assert parse(b"[[[1]]]") == [[[1]]]
    with pytest.raises(TooDeep):
        parse(b"[[[[1]]]]")


def test_the_bound_on_bytes_is_exact_and_no_more_is_read():
    stream = BytesIO(b"[1]" + b" " * 100)
    context = {"limits": SimpleNamespace(MAX_REQUEST_BYTES=3, MAX_DEPTH=3)}
    with pytest.raises(TooLarge):
        BatchJSONParser().parse(stream, parser_context=context)
    assert stream.tell() == 4
    assert parse(b"[1]", MAX_REQUEST_BYTES=3) == [1]


def test_what_the_views_parsers_would_read_is_read():
    """Long integers and half characters among them."""
    assert parse(b'[123456789012345678901234567890, "\\ud800", 0.1]') == [123456789012345678901234567890, "\ud800", 0.1]


WRONG = [b"NaN", b"[1e999]", b"-Infinity", b'"\xff"', b"9" * 4301, b"{", b"", b"\xef\xbb\xbf1"]


@pytest.mark.parametrize("raw", WRONG)
def test_what_is_no_json_says_so_in_our_words(raw: bytes):
    with pytest.raises(BadJson) as refusal:
        parse(raw)
    assert not any(word in refusal.value.detail for word in ("sys.", "codec", "Exceeds"))
