"""Whatever the bytes are: a batch whose every record stands where it stood, or a refusal, in time."""

import json
from io import BytesIO
from time import process_time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchapi.conf import Limits, MiB
from batchapi.exceptions import TooLarge
from batchapi.wire.json import BatchJSONParser
from tests.fuzzing.reading import read
from tests.fuzzing.strategies import HUGE, ODD, mutated, written

pytestmark = [pytest.mark.urls("tests.security.urls"), pytest.mark.django_db]

SIZE = Limits().MAX_REQUEST_BYTES
SECONDS = 10  # Of processor time: the worst takes two or three, something quadratic a minute.


def check_alignment(found: tuple[Any, Any] | None) -> None:
    """Every sub-request carries its own index, id and url, and no record is without one."""
    if found is None:
        return
    data, batch = found
    items = data["requests"] if isinstance(data, dict) else data
    assert [request.index for request in batch.requests] == list(range(len(items)))
    for item, request in zip(items, batch.requests, strict=True):
        there = [item[name] for name in ("id", "requestId", "referenceId") if item.get(name) is not None]
        assert request.id == (there or [str(request.index)])[0]
        assert request.url == next(item[n] for n in ("url", "path", "relative_url", "uri") if item.get(n) is not None)
        assert (item.get("method") or "GET").upper() == request.method


@given(st.binary(max_size=200) | written())
@example(b"\xef\xbb\xbf[]")
@example(b"[]\x00")
@example(b'[{"url":"/api/items/x/","url":"//evil/"}]')
@example(b'[{"url":"//evil/","url":"/api/items/x/"}]')
def test_bytes_are_a_batch_or_refused(raw: bytes):
    """Of a member that is there twice, the last one counts everywhere, as in the views' own parser."""
    found = read(raw)
    check_alignment(found)
    assert found is None or found[0] == json.loads(raw)


@given(mutated())
def test_a_batch_with_odd_values_is_a_batch_or_refused(data: Any):
    check_alignment(read(json.dumps(data).encode()))


@pytest.mark.parametrize("value", ODD, ids=lambda value: ascii(value)[:20])
def test_every_odd_value_at_every_member(value: Any):
    """One at a time, so that no other error hides what it does; none of them moves its neighbours."""
    good = {"url": "/api/items/x/", "id": "good"}
    members = {"headers": {"Accept": value}, "bind": {"/a": value}, "body": {"a": value}, "dependsOn": [value]}
    for name in ("id", "url", "method", "headers", "body", "dependsOn", "bind", "if", "atomicityGroup", "priority"):
        check_alignment(read(json.dumps([good, {"url": "/api/items/y/", name: value}]).encode()))
    for name, inside in members.items():
        check_alignment(read(json.dumps([good, {"url": "/api/items/y/", name: inside}]).encode()))
    for name in ("timeout", "requestId", "path", "waitFor", "x"):
        check_alignment(read(json.dumps({"requests": [{"url": "/api/items/y/", name: value}, good]}).encode()))
    for name in ("ordering", "defaults", "requests", "x"):
        check_alignment(read(json.dumps({"requests": [good], name: value}).encode()))


def record(**members: Any) -> bytes:
    """A batch of one."""
    return json.dumps([{"url": "/api/items/x/"} | members]).encode()


def bound(count: int) -> dict[str, str]:
    """So many references into a URL."""
    return {f"{{v{number}}}": "$0.body#" for number in range(count)}


HOSTILE = {  # What takes long if anything looks at it more than a few times.
    "arrays that do not end": b"[" * SIZE,
    "objects that do not end": b'{"a":' * (SIZE // 5),
    "empty arrays": b"[" + b"[]," * (SIZE // 3 - 2) + b"[]]",
    "empty objects": b"[" + b"{}," * (SIZE // 3 - 2) + b"{}]",
    "digits": b"1" * SIZE,
    "digits behind a point": b"0." + b"1" * (SIZE - 2),
    "an exponent": b"1e" + b"1" * (SIZE - 2),
    "signs": b"-" * SIZE,
    "one string": b'"' + b"x" * (SIZE - 2) + b'"',
    "half characters": b'"' + b"\\ud800" * (SIZE // 6 - 1) + b'"',
    "backslashes": b'"' + b"\\" * (SIZE - 1),
    "spaces": b" " * SIZE,
    "one member again and again": b"{" + b'"a":1,' * (SIZE // 6 - 2) + b'"a":1}',
    "many members": json.dumps({str(number): 1 for number in range(SIZE // 14)}).encode(),
    "a long url": record(url="/" + "%2e" * (SIZE // 3 - 50)),
    "dollars": record(url="$" * (SIZE - 100)),
    "slashes": record(url="/" * (SIZE - 100)),
    "a long id": record(id="a" * (SIZE - 100)),
    "dependencies": record(dependsOn=[str(number) for number in range(SIZE // 12)]),
    "a long header": record(headers={"Accept": "a" * (SIZE - 100)}),
    "a header in many lines": record(headers={"Accept": [""] * (SIZE // 5)}),
    "sources in a source": record(bind={"/a": "$0" + ".body#" * (SIZE // 6 - 40)}),
    "a deep place": record(bind={"/" * (SIZE - 100): "$0.body#"}),
    "conditions in a condition": record(**{"if": "$" + "/$succeeded" * (SIZE // 11 - 30) + "x"}),
    "base64": record(headers={"Content-Type": "image/png"}, body="=a " * (SIZE // 3 - 100)),
    "variables of a url": record(url="/" + "".join(bound(SIZE // 32)), bind=bound(SIZE // 32)),
    "places of a hundred bodies": json.dumps(
        [{"url": "/", "bind": {f"/{n}": "$0.body#" for n in range(2000)}}] * 100
    ).encode(),
    "as many variables as may be": record(url="/" + "{x}" * (SIZE // 4) + "".join(bound(100)), bind=bound(100)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_as_many_bytes_as_may_come_cost_what_reading_them_costs(name: str):
    """Those of the default bound, and a few more that its text needs."""
    raw = HOSTILE[name]
    assert SIZE / 3 < len(raw) < SIZE * 1.1
    started = process_time()
    read(raw, limits=Limits(MAX_REQUEST_BYTES=2 * SIZE))
    assert process_time() - started < SECONDS


def test_more_than_may_come_is_not_even_looked_at():
    """Ten megabytes that would be refused for their first byte anyway are refused for their number."""
    stream = BytesIO(b"[" * 10 * MiB)
    with pytest.raises(TooLarge):
        BatchJSONParser().parse(stream, parser_context={"limits": Limits()})
    assert stream.tell() == SIZE + 1


def test_a_number_of_more_digits_than_python_reads_is_refused():
    assert read(record(body=HUGE)) is not None
    assert read(b'[{"url":"/","body":1' + b"0" * 5000 + b"}]") is None
