"""What nobody has thought of: arbitrary batches and arbitrary URLs."""

import json
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.test import RequestFactory
from django.urls import Resolver404, resolve
from hypothesis import example, given
from hypothesis import strategies as st

from batchapi.batch import Batch
from batchapi.conf import Limits
from batchapi.exceptions import EnvelopeError
from batchapi.parent import Parent
from batchapi.parse import parse_batch
from batchapi.parse.headers import parse_headers
from batchapi.plan import plan_batch
from tests.security.asking import send

pytestmark = [pytest.mark.urls("tests.security.urls"), pytest.mark.django_db]

MEMBERS = (
    *("requests", "id", "requestId", "method", "url", "path", "uri", "headers", "body", "dependsOn", "waitFor"),
    *("priority", "bind", "if", "timeout", "atomicityGroup", "defaults", "ordering", "Content-Type", "Accept"),
    *("Authorization", "If-Match", "Priority", "x"),
)
VALUES = (
    *("GET", "post", "0", "1", "a", "/api/items/x/", "items/x", "/api/batch/", "$a", "critical", "u=1", "serial"),
    *("text/plain; charset=utf-16", "image/png", "application/json", "multipart/form-data; boundary=x", "YQ=="),
)
text = st.text(st.characters(codec=None, categories=None), max_size=8)  # lone surrogates too
REFERRING = ("$a", "$b/x/", "$0?a=1", "/api/items/{x}/", "/api/{x}/x/", "/api/items/?q={x}")
PLACES = (".body#/path", ".body#", ".body#/full", ".body#/-", ".headers#/Allow", ".body#/code")
sources = st.builds("${}{}".format, st.sampled_from(["a", "b", "0", "1"]), st.sampled_from(PLACES) | text)
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), text, st.sampled_from(VALUES))
names = st.sampled_from(MEMBERS) | text
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=6))
headers = st.dictionaries(names, st.sampled_from(VALUES) | text | st.lists(text, max_size=2), max_size=3)
subrequests = st.fixed_dictionaries(
    {"url": st.sampled_from(["/api/items/x/", "items/x/", "/api/plain/", "/nowhere/", *REFERRING]) | text},
    optional={
        "id": st.sampled_from(["a", "b", 0, 1]) | leaves,
        "method": st.sampled_from(["GET", "post", "DELETE"]) | leaves,
        "headers": headers,
        "body": values,
        "dependsOn": st.lists(st.sampled_from(["a", "b", "0", "1", 2]), max_size=3) | leaves,
        "priority": st.sampled_from(["critical", "low", "normal"]) | leaves,
        "bind": st.dictionaries(st.sampled_from(["{x}", "/a", "/a/-", "/path"]) | text, sources | leaves, max_size=3),
        "if": st.sampled_from(["$a/$succeeded", "not $b/$succeeded", "not $g/$succeeded"]) | leaves,
        "atomicityGroup": st.sampled_from(["g", "g", "h", "a"]) | leaves,
    },
)
batches = st.lists(subrequests | values, max_size=4).flatmap(
    lambda items: st.sampled_from([items, {"requests": items}])
)


def parent() -> Parent:
    return Parent.from_request(RequestFactory().post("/api/batch/", headers={"Authorization": "Token a"}))


@given(batches | values)
def test_a_batch_is_accepted_or_refused_and_nothing_else(data: Any):
    """Whatever JSON it is; every refusal can be written as JSON, and every pointer leads somewhere."""
    try:
        batch = parse_batch(data, parent=parent(), limits=Limits())
        plan = plan_batch(batch, rules=())
    except EnvelopeError as refusal:
        for error in refusal.errors:
            json.dumps([error.pointer, error.detail], ensure_ascii=False).encode()
            assert error.pointer.startswith("#")
            assert len(error.pointer) < 600
        return
    assert isinstance(batch, Batch)
    assert sorted(request.index for request in plan.order) == list(range(len(batch.requests)))
    for request in batch.requests:
        if not any(binding.target in ("url", "variable") for binding in request.bindings):
            assert (request.route is None) is not (request.refusal is None)


@given(batches)
def test_a_batch_is_answered_in_order_or_refused(data: Any):
    """Through everything: the answer is JSON, and never a 500."""
    response = send(json.dumps(data))
    assert response.status_code in (200, 400)
    told = json.loads(response.content)
    if response.status_code == 200:
        items = data["requests"] if isinstance(data, dict) else data
        assert len(told["responses"]) == len(items)
        for index, (item, record) in enumerate(zip(items, told["responses"], strict=True)):
            there = (item[name] for name in ("id", "requestId", "referenceId") if item.get(name) is not None)
            assert record["id"] == next(there, str(index))
            assert record["status"] != 500


pieces = st.sampled_from(
    [
        *(
            "/",
            "//",
            "api",
            "api/",
            "/api/",
            "items",
            "/items/",
            "x",
            "x/",
            "raw/",
            "admin",
            "/admin/",
            "plain/",
            "batch",
        ),
        *(".", "..", "%2e", "%2E%2e", "%252e", "%2f", "%5c", "%00", "%0a", "%", "%zz", "%61pi", "%FF", "%C3%A9", "\\"),
        *(";", "?", "#", "&", "=", ":", "@", "$", "http://", "https://", "testserver", "testserver:80", "evil", "\t"),
        *("~", "*", "+", " ", "\u00e9", "\u2028", "\ud800", "\x7f", "-admin"),
    ]
)
urls = st.lists(pieces, min_size=1, max_size=8).map("".join)


@given(urls)
@example("/api/raw/%2e%2E/../admin/")
@example("/api/raw/?/../admin/")
@example("http://testserver:80@evil/api/items/x/")
@example("http://testserver?/admin/")
def test_an_accepted_url_reaches_what_its_string_reaches_alone(url: str):
    """Under what a real server makes of it: either as it stands, or by one of the two repairs."""
    response = send([{"url": url}])
    if response.status_code != 200:
        assert response.json()["code"] in ("bad_url", "nested_batch", "bad_reference", "cyclic_dependency")
        return
    record = response.json()["responses"][0]
    if record["status"] == 404:
        return
    assert record["status"] in (200, 401, 405), record
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc) in (("", ""), ("http", "testserver"), ("http", "testserver:80"))
    path = url.split("://", 1)[1].removeprefix(parts.netloc) if parts.scheme else url
    assert record["body"].get("path") in (None, *reachable(path.partition("?")[0] or "/"))


def reachable(path: str) -> set[str]:
    """The paths that a view may see for a path as written, and that the resolver knows."""
    under_root = "/api/" + path.lstrip("/")
    found = set()
    for written in (path, under_root, path + "/", under_root + "/"):
        environ = RequestFactory()._base_environ(PATH_INFO=unquote_to_bytes(written).decode("latin-1"))
        request = WSGIRequest(environ)
        try:
            resolve(request.path_info)
        except Resolver404:
            continue
        found.add(request.path)
    return found


field_values = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]) | st.sampled_from("\t;=\"*'/,"))
types = field_values | st.builds("text/plain; {}={}".format, field_values, field_values)


@given(types)
@example("text/plain; a*=b; a*0=c")
@example("text/plain; charset*=punycode''%41")
@example("text/plain; a*0*=idna''%41")
@example("text/plain; charset=\x80")
@example("text/plain; a*" + "9" * 5000 + "=b")
def test_an_accepted_content_type_makes_a_request(content_type: str):
    """Django reads it while the request is made, where no view could be blamed."""
    try:
        found = parse_headers({"Content-Type": content_type}, here="#", parent=parent(), limits=Limits())
    except EnvelopeError:
        return
    WSGIRequest(RequestFactory()._base_environ(**found))


@given(st.dictionaries(text | st.sampled_from(["remote-user", "Host", "Cookie", "COOKIE", "Content-Length"]), text))
def test_no_header_becomes_a_variable_that_is_not_on_the_list(given_headers: dict[str, str]):
    """HTTP_ and one of a dozen names, or CONTENT_TYPE."""
    try:
        found = parse_headers(given_headers, here="#", parent=parent(), limits=Limits())
    except EnvelopeError:
        return
    allowed = {"HTTP_ACCEPT", "HTTP_ACCEPT_LANGUAGE", "CONTENT_TYPE", "HTTP_PREFER", "HTTP_PRIORITY"}
    allowed |= {"HTTP_IDEMPOTENCY_KEY", "HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE"}
    assert found.keys() <= allowed | {"HTTP_IF_UNMODIFIED_SINCE", "HTTP_IF_RANGE"}
