"""A batch that makes no sense is refused as a whole: every error at once, each at its place, and nothing has run."""

import json
from typing import Any
from urllib.parse import unquote

import pytest
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from batchapi import exceptions, signals
from batchapi.exceptions import EnvelopeError
from tests.security.asking import BATCH, answer, answers, refusal
from tests.security.views import CALLS, INNER

pytestmark = [pytest.mark.urls("tests.security.urls"), pytest.mark.django_db]

ITEM = {"url": "/api/items/x/"}
BOUND = ITEM | {"bind": {"/a": "$0.body#/a", "/b": "$0.body#/b"}}
DEEP: Any = "x"
for _ in range(70):
    DEEP = [DEEP]

REFUSED: dict[str, tuple[str, Any, str, Any]] = {  # what: code, batch, pointer, what stands there
    "a number": ("bad_envelope", 7, "#", 7),
    "null": ("bad_envelope", None, "#", None),
    "a string": ("bad_envelope", "requests", "#", "requests"),
    "no requests": ("bad_envelope", {"x": 1}, "#", {"x": 1}),
    "requests of another kind": ("bad_envelope", {"requests": {}}, "#/requests", {}),
    "requests: null": ("bad_envelope", {"requests": None}, "#/requests", None),
    "an order that is none": ("bad_envelope", {"requests": [], "ordering": 7}, "#/ordering", 7),
    "no order": ("bad_envelope", {"requests": [], "ordering": ""}, "#/ordering", ""),
    "an order that is nothing": ("bad_envelope", {"requests": [], "ordering": False}, "#/ordering", False),
    "an order that is empty": ("bad_envelope", {"requests": [], "ordering": []}, "#/ordering", []),
    "an order of another kind": ("bad_envelope", {"requests": [], "ordering": ["relaxed"]}, "#/ordering", ["relaxed"]),
    "defaults": ("not_supported_yet", {"requests": [], "defaults": {"headers": {}}}, "#/defaults", {"headers": {}}),
    "empty defaults": ("not_supported_yet", {"requests": [], "defaults": {}}, "#/defaults", {}),
    "a bare list": ("bad_envelope", [ITEM, 7], "#/1", 7),
    "an id": ("bad_id", [ITEM | {"id": True}], "#/0/id", True),
    "an empty id": ("bad_id", [ITEM | {"id": ""}], "#/0/id", ""),
    "a long id": ("bad_id", [ITEM | {"id": "x" * 257}], "#/0/id", "x" * 257),
    "an id with a line break": ("bad_id", [ITEM | {"id": "a\nb"}], "#/0/id", "a\nb"),
    "an id with an escape": ("bad_id", [ITEM | {"id": "\x1b[31m"}], "#/0/id", "\x1b[31m"),
    "an id that turns the line round": ("bad_id", [ITEM | {"id": "\u202eabc"}], "#/0/id", "\u202eabc"),
    "an id with half a character": ("bad_id", [ITEM | {"id": "\ud800"}], "#/0/id", "\ud800"),
    "a fraction": ("bad_id", [ITEM | {"id": 1.5}], "#/0/id", 1.5),
    "a giant id": ("bad_id", [ITEM | {"id": 2**53}], "#/0/id", 2**53),
    "an id by another name": ("bad_id", [ITEM | {"requestId": []}], "#/0/requestId", []),
    "an id twice": ("duplicate_id", [ITEM | {"id": 1}, ITEM | {"id": "1"}], "#/1/id", "1"),
    "an alias twice": ("duplicate_id", [ITEM | {"id": 1}, ITEM | {"referenceId": 1}], "#/1/referenceId", 1),
    "an index that is an id": ("duplicate_id", [ITEM | {"id": 1}, ITEM], "#/1", ITEM),
    "a method": ("bad_method", [ITEM | {"method": "BREW"}], "#/0/method", "BREW"),
    "no url": ("bad_url", [{"method": "GET"}], "#/0", {"method": "GET"}),
    "a url": ("bad_url", [{"url": "//x"}], "#/0/url", "//x"),
    "a url by another name": ("bad_url", [{"relative_url": "//x"}], "#/0/relative_url", "//x"),
    "a url of another kind": ("bad_url", [{"uri": []}], "#/0/uri", []),
    "a reference": ("bad_reference", [{"path": "$a"}], "#/0/path", "$a"),
    "a reference to no id": ("bad_reference", [{"path": "$/x/"}], "#/0/path", "$/x/"),
    "a reference to oneself": ("cyclic_dependency", [{"url": "$0"}], "#/0", {"url": "$0"}),
    "half a character beside a reference": ("bad_url", [ITEM, {"url": "$0/\ud800"}], "#/1/url", "$0/\ud800"),
    "a space beside a variable": (
        "bad_url",
        [ITEM, {"url": "/api/items/{x}/ /", "bind": {"{x}": "$0.body#/path"}}],
        "#/1/url",
        "/api/items/{x}/ /",
    ),
    "headers": ("bad_header", [ITEM | {"headers": []}], "#/0/headers", []),
    "a header": ("bad_header", [ITEM | {"headers": {"a_b": "c"}}], "#/0/headers/a_b", "c"),
    "a strange header": ("bad_header", [ITEM | {"headers": {"~/%é": "c"}}], "#/0/headers/~0~1%25%C3%A9", "c"),
    "a header reference": (
        "bad_reference",
        [ITEM | {"headers": {"If-Match": "$a"}}],
        "#/0",
        ITEM | {"headers": {"If-Match": "$a"}},
    ),
    "half a character": ("bad_header", [ITEM | {"headers": {"\ud800": "c"}}], "#/0/headers", {"\ud800": "c"}),
    "a body": ("bad_body", [ITEM | {"headers": {"Content-Type": "text/plain"}, "body": 7}], "#/0/body", 7),
    "no base64": ("bad_body", [ITEM | {"headers": {"Content-Type": "image/png"}, "body": "?"}], "#/0/body", "?"),
    "a priority": ("bad_envelope", [ITEM | {"priority": "now"}], "#/0/priority", "now"),
    "a priority of another kind": ("bad_envelope", [ITEM | {"priority": []}], "#/0/priority", []),
    "nobody to wait for": ("unknown_dependency", [ITEM | {"dependsOn": ["a"]}], "#/0/dependsOn", ["a"]),
    "nobody, by another name": ("unknown_dependency", [ITEM | {"waitFor": "a"}], "#/0/waitFor", "a"),
    "waiting for no id": ("bad_envelope", [ITEM | {"depends_on": [1.5]}], "#/0/depends_on", [1.5]),
    "waiting for oneself": ("cyclic_dependency", [ITEM | {"dependsOn": ["0"]}], "#/0", ITEM | {"dependsOn": ["0"]}),
    "a circle": (
        "cyclic_dependency",
        [ITEM | {"waitFor": "1"}, ITEM | {"dependsOn": "0"}],
        "#/0",
        ITEM | {"waitFor": "1"},
    ),
    "a batch": ("nested_batch", [{"url": BATCH, "method": "POST", "body": INNER}], "#/0/url", BATCH),
    "bind": ("bad_reference", [ITEM | {"bind": []}], "#/0/bind", []),
    "a source": ("bad_reference", [ITEM | {"bind": {"/a": "$0"}}], "#/0/bind/~1a", "$0"),
    "a source of another kind": ("bad_reference", [ITEM | {"bind": {"/a": 7}}], "#/0/bind/~1a", 7),
    "a source by JSONPath": ("bad_reference", [ITEM | {"bind": {"/a": "$.body#$..*"}}], "#/0/bind/~1a", "$.body#$..*"),
    "a pointer": ("bad_reference", [ITEM | {"bind": {"/a": "$0.body#a"}}], "#/0/bind/~1a", "$0.body#a"),
    "an escape": ("bad_reference", [ITEM | {"bind": {"/~2": "$0.body#/a"}}], "#/0/bind/~1~02", "$0.body#/a"),
    "a variable that is not in the url": (
        "bad_reference",
        [ITEM | {"bind": {"{x}": "$0.body#/a"}}],
        "#/0/bind/%7Bx%7D",
        "$0.body#/a",
    ),
    "a variable in an id": (
        "bad_reference",
        [ITEM | {"id": "{x}"}, {"url": "${x}", "bind": {"{x}": "${x}.body#/path"}}],
        "#/1/bind/%7Bx%7D",
        "${x}.body#/path",
    ),
    "half a character to fill in": (
        "bad_reference",
        [ITEM | {"bind": {"\ud800": "$0.body#/a"}}],
        "#/0/bind",
        {"\ud800": "$0.body#/a"},
    ),
    "a value from nobody": (
        "bad_reference",
        [ITEM | {"bind": {"/a": "$a.body#/a"}}],
        "#/0",
        ITEM | {"bind": {"/a": "$a.body#/a"}},
    ),
    "a value from a group": (
        "bad_reference",
        [ITEM | {"atomicityGroup": "g"}, ITEM | {"bind": {"/a": "$g.body#/a"}}],
        "#/1",
        ITEM | {"bind": {"/a": "$g.body#/a"}},
    ),
    "a text to fill in": (
        "bad_reference",
        [ITEM, ITEM | {"bind": {"/a": "$0.body#/a"}, "headers": {"Content-Type": "text/plain"}}],
        "#/1/bind",
        {"/a": "$0.body#/a"},
    ),
    "a group": ("bad_id", [ITEM | {"atomicityGroup": 7}], "#/0/atomicityGroup", 7),
    "a group with the name of an id": (
        "duplicate_id",
        [ITEM | {"atomicityGroup": "g"}, ITEM | {"id": "g"}],
        "#/1/id",
        "g",
    ),
    "a member that waits for its group": (
        "cyclic_dependency",
        [ITEM | {"atomicityGroup": "g", "dependsOn": ["g"]}],
        "#/0",
        ITEM | {"atomicityGroup": "g", "dependsOn": ["g"]},
    ),
    "a member that takes from a later one": (
        "cyclic_dependency",
        [{"url": "$b", "atomicityGroup": "g"}, ITEM | {"id": "b", "atomicityGroup": "g"}],
        "#/0",
        {"url": "$b", "atomicityGroup": "g"},
    ),
    "a condition": ("bad_reference", [ITEM | {"if": "$a/$succeeded"}], "#/0/if", "$a/$succeeded"),
    "a condition of another kind": ("bad_reference", [ITEM | {"if": True}], "#/0/if", True),
    "a condition that is code": ("bad_reference", [ITEM | {"if": "1 == 1"}], "#/0/if", "1 == 1"),
    "too many references": (
        "too_many_references",
        [ITEM, ITEM | {"bind": {f"/{n}": "$0.body#/a" for n in range(101)}}],
        "#/1/bind",
        {f"/{n}": "$0.body#/a" for n in range(101)},
    ),
    "too many references together": ("too_many_references", [ITEM, *[BOUND] * 51], "#", [ITEM, *[BOUND] * 51]),
    "a timeout": ("bad_envelope", [ITEM | {"timeout": 0}], "#/0/timeout", 0),
    "a timeout of another kind": ("bad_envelope", [ITEM | {"timeout": "2"}], "#/0/timeout", "2"),
    "depth": ("too_deep", [DEEP], "#", [DEEP]),
    "too many": ("too_many", [ITEM] * 101, "#", [ITEM] * 101),
}


def point(document: Any, pointer: str) -> Any:
    """The value that a JSON pointer in a URI fragment (RFC 6901, section 6) stands for."""
    assert pointer.startswith("#")
    for token in unquote(pointer[1:]).split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        document = document[int(name)] if isinstance(document, list) else document[name]
    return document


@pytest.mark.parametrize("kind", REFUSED)
def test_an_error_points_at_the_member_that_is_wrong(kind: str):
    """By a pointer that a client can walk."""
    code, batch, pointer, there = REFUSED[kind]
    problem = refusal(json.dumps(batch))
    assert (problem["code"], problem["type"]) == (code, f"urn:batchapi:{code}")
    assert problem["error"] == {"code": code, "message": problem["detail"]}
    assert problem["errors"][0]["pointer"] == pointer
    assert point(batch, pointer) == there


@pytest.mark.parametrize("kind", REFUSED)
def test_nothing_has_run_when_a_batch_is_refused(kind: str):
    """No view, no query, no signal; not a right and urgent sub-request beside the wrong one either."""
    batch = REFUSED[kind][1]
    if isinstance(batch, list):
        batch = [*batch, {"url": "/api/login/", "method": "POST", "body": {"username": "x"}, "priority": "critical"}]
    heard: list[object] = []

    def hear(**told: object) -> None:
        heard.append(told)

    every = [signals.batch_started, signals.batch_finished, signals.subrequest_started, signals.subrequest_finished]
    for signal in every:
        signal.connect(hear)
    try:
        with CaptureQueriesContext(connection) as queries:
            refusal(json.dumps(batch))
    finally:
        for signal in every:
            signal.disconnect(hear)
    assert (CALLS, len(queries), heard) == ([], 0, [])


def test_every_code_of_the_envelope_is_in_the_table():
    """Those that are about bytes, about how much one caller sends and about keys have their own tests."""
    elsewhere = {"bad_json", "too_large", "batch_throttled", "key_in_use", "key_reused"}
    assert {code for code, *_ in REFUSED.values()} | elsewhere == {kind.code for kind in EnvelopeError.__subclasses__()}


def test_every_envelope_error_is_a_4xx():
    for kind in EnvelopeError.__subclasses__():
        assert 400 <= kind.status < 500
        assert getattr(exceptions, kind.__name__) is kind


def test_several_errors_are_told_at_once():
    """A client mends them all in one go; the first gives the code."""
    batch = [ITEM | {"id": []}, ITEM, {"url": "//x"}, ITEM | {"id": "a"}, ITEM | {"id": "a"}, ITEM | {"method": "X"}]
    problem = refusal(batch)
    pointers = ["#/requests/0/id", "#/requests/2/url", "#/requests/5/method", "#/requests/4/id"]
    assert [error["pointer"] for error in problem["errors"]] == pointers
    assert problem["code"] == "bad_id"


BYTES = {
    "nothing": b"",
    "a word": b"requests",
    "half of it": b'{"requests": [',
    "more than it": b'{"requests": []} []',
    "NaN": b'{"requests": [NaN]}',
    "Infinity": b'{"requests": [-Infinity]}',
    "a number without bounds": b'{"requests": [1e999]}',
    "4301 digits": b'{"requests": [' + b"9" * 4301 + b"]}",
    "a byte order mark": b'\xef\xbb\xbf{"requests": []}',
    "no UTF-8": b'{"requests": ["\xff"]}',
    "UTF-16": '{"requests": []}'.encode("utf-16"),
    "a control character": b'{"requests": ["\x00"]}',
    "a comment": b'{"requests": [] /* none */}',
    "single quotes": b"{'requests': []}",
    "10^5 arrays": b"[" * 100_000,
    "10^5 objects": b'{"a":' * 100_000,
    "10^5 of both, closed": b'[{"a":' * 50_000 + b"1" + b"}]" * 50_000,
}


@pytest.mark.parametrize("kind", BYTES)
def test_bytes_that_are_no_json_are_refused(kind: str):
    """Without a word of Python in the answer."""
    response = Client(raise_request_exception=False).generic("POST", BATCH, BYTES[kind], "application/json")
    problem = json.loads(response.content)
    wanted = "too_deep" if kind.startswith("10^5") else "bad_envelope" if kind == "nothing" else "bad_json"
    assert (response.status_code, problem["code"]) == (400, wanted)
    for word in ("sys.", "codec", "Error", "0x", "integer string"):
        assert word not in response.content.decode()


OUTER = {  # what is asked of the batch endpoint itself: status, code
    "GET": ({"method": "GET"}, 405, "method_not_allowed"),
    "PUT": ({"method": "PUT"}, 405, "method_not_allowed"),
    "a long method": ({"method": "X" * 500}, 405, "method_not_allowed"),
    "XML": ({"content_type": "application/xml"}, 415, "unsupported_media_type"),
    "a form": ({"content_type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
    "a script": ({"content_type": "text/html;<script>alert(1)</script>"}, 415, "unsupported_media_type"),
    "HTML": ({"headers": {"Accept": "text/html"}}, 406, "not_acceptable"),
    "a format that is none": ({"query_params": {"format": "xml"}}, 404, "not_found"),
    "to stop at an error": ({"headers": {"Prefer": "wait=5, continue-on-error=false"}}, 400, "not_supported_yet"),
    "a key that is none": ({"headers": {"Idempotency-Key": '"'}}, 400, "bad_header"),
}


@pytest.mark.parametrize("kind", OUTER)
def test_every_refusal_is_a_problem(kind: str):
    """What DRF refuses in front of us too; without repeating what was sent."""
    asked, status, code = OUTER[kind]
    request = {"method": "POST", "path": BATCH, "data": b'{"requests":[]}', "content_type": "application/json", **asked}
    response = Client(raise_request_exception=False).generic(**request)
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
    problem = json.loads(response.content)
    assert (problem["code"], problem["executed"], response["Cache-Control"]) == (code, False, "no-store")
    assert not any(word in response.content.decode() for word in ("script", "XXX", "{", "xml")[:2])


def test_middleware_that_has_read_the_body_changes_nothing():
    """Django then hands over what was read."""
    with override_settings(MIDDLEWARE=["tests.security.test_envelope.read_body"]):
        assert answer(ITEM)["body"]["name"] == "x"


def read_body(get_response: Any) -> Any:
    def respond(request: Any) -> Any:
        assert request.body
        return get_response(request)

    return respond


def test_an_empty_batch_is_answered():
    assert answers([]) == []
