"""A value that is filled into a URL leads where the filled-in URL leads alone, and never into another batch."""

import json
from typing import Any
from urllib.parse import quote, urljoin

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchapi.exceptions import BatchError
from batchapi.route import find_route
from tests.fuzzing.reading import BOUNDED, parent
from tests.fuzzing.strategies import ODD
from tests.fuzzing.test_urls import PIECES, check
from tests.security.asking import answers, send
from tests.security.views import CALLS

pytestmark = [pytest.mark.urls("tests.fuzzing.urls"), pytest.mark.django_db]

TEMPLATES = (
    *("/api/items/{v}/", "/api/{v}/", "/api/{v}", "{v}", "{v}/", "/{v}", "/{v}/items/x/", "/api/{v}/{v}/", "//{v}/"),
    *("/api/items/x/?q={v}", "/api/items/x/?{v}", "/api/raw/{v}{v}", "/api/raw/.{v}", "/api/raw/%2{v}", "/api/%{v}/"),
    *("http://{v}/api/items/x/", "http://testserver/{v}", "http:{v}", "$a/{v}"),
)
STRINGS = (
    *("batch", "batch/", "../batch/", "/api/batch/", "$batch", "b%61tch", "admin", "../admin/", "/admin/", "x", "e"),
    *("to-batch", "mine", "decorated", "http://evil/", "//evil/", "e%2e", "x?y", "x#y", "x/../y", "{v}", "$a", "-"),
)
strings = st.sampled_from(STRINGS) | st.text(st.characters(codec=None, categories=None), max_size=6)
strings |= st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
values = strings | st.sampled_from(ODD) | st.integers() | st.floats(allow_nan=False, allow_infinity=False)


def ask(value: Any, **reader: Any) -> dict[str, Any] | None:
    """The record of a sub-request that takes something from an answer with this value; None where it is refused."""
    saying = {"id": "a", "method": "POST", "url": "/api/say/", "body": [value]}
    response = send(json.dumps([saying, {"id": "b", **reader}]))
    assert response.status_code in (200, 400)
    if response.status_code == 400:
        return None
    first, second = response.json()["responses"]
    assert first["status"] == 200
    assert isinstance(second, dict)
    return second


def check_record(record: dict[str, Any] | None, url: str) -> None:
    """What came is what the URL leads to: the same view, or a refusal where it leads to none."""
    if record is None:
        return
    assert record["status"] != 500, record
    check(url)
    try:
        route = find_route(url, method="GET", headers={}, parent=parent())
    except BatchError:
        assert (record["status"], record["body"]["executed"]) in [(400, False), (404, False)]
        return
    assert record["body"].get("code") not in ("bad_url_after_bind", "not_found", "not_batchable"), (record, url)
    if isinstance(record["body"], dict) and "full" in record["body"]:
        alone = answers([{"url": url}])[0]
        assert record["body"] == alone["body"]
        assert route.match.kwargs.keys() <= record["body"].keys()


@BOUNDED
@given(st.sampled_from(TEMPLATES), values)
@example("/api/{v}/", "batch")
@example("/api/{v}/", "b%61tch")
@example("/api/{v}", "$batch")
@example("/api/{v}/", "mine")
@example("{v}", "batch")
@example("/api/raw/{v}", "..")
@example("/api/raw/.{v}", ".")
@example("/api/raw/%2{v}", "e")
@example("/api/raw/%2{v}", "f")
@example("/{v}/", "/evil")
def test_a_filled_in_variable_leads_where_the_url_leads(template: str, value: Any):
    """One segment, one query value; and what comes out is read as if the client had written it."""
    record = ask(value, url=template, bind={"{v}": "$a.body#/said/0"})
    value = json.loads(json.dumps(value))
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        assert record is None or record["body"]["code"] == "unresolved_reference"
        return
    try:
        text = quote(str(value), safe="")
    except UnicodeEncodeError:  # Half a character has no percent-encoding.
        assert record is None or record["body"]["code"] == "unresolved_reference"
        return
    if not text and "{v}" in template.partition("?")[0]:
        assert record is None or record["body"]["code"] == "bad_url_after_bind"
        return
    if template.startswith("$a"):  # A POST without a Location has none to stand for it.
        base = value if isinstance(value, str) and value.isascii() and value.isprintable() else None
        if base is None:
            assert record is None or record["status"] == 400
            return
        check_record(record, urljoin("/api/say/", base).partition("?")[0].rstrip("/") + "/" + text)
        return
    check_record(record, template.replace("{v}", text))


@BOUNDED
@given(st.sampled_from(["$a", "$a/", "$a?q=1"]), strings)
@example("$a", "/api/batch/")
@example("$a", "batch/")
@example("$a", "../batch/")
@example("$a", "//evil/admin/")
@example("$a", "http://testserver/api/items/x/")
@example("$a", "http://evil/api/items/x/")
@example("$a", "/api/raw/../../admin/")
def test_a_location_leads_where_it_says(url: str, location: str):
    """Resolved against where it was said (RFC 9110, section 10.2.2), and read as if the client had written it."""
    record = ask(location, url=url)
    if not (location.isprintable() and location.isascii()):
        assert record is not None
        assert record["body"]["code"] == "unresolved_reference"
        return
    try:
        base = urljoin("/api/say/", location)
    except ValueError:
        assert record is not None
        assert record["status"] == 400
        return
    rest = url.removeprefix("$a")
    base = base.partition("?")[0] if rest else base
    check_record(record, base.rstrip("/") + rest if rest.startswith("/") else base + rest)


BATCHES = ("batch", "$batch", "mine", "decorated", "b%61tch")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_by_substitution_is_refused(name: str, method: str):
    """By a variable, and by a Location; nothing inside it runs."""
    CALLS.clear()
    inner = {"requests": [{"url": "/api/items/inner/"}]}
    reader = {"method": method} | ({"body": inner} if method == "POST" else {})
    for template in ("/api/{v}/", "/api/{v}", "{v}", "{v}/"):
        record = ask(name, url=template, bind={"{v}": "$a.body#/said/0"}, **reader)
        assert record is not None
        assert record["body"]["code"] in ("bad_url_after_bind", "not_found")
    for location in (f"/api/{name}/", f"/api/{name}", f"../{name}", f"http://testserver/api/{name}"):
        record = ask(location, url="$a", **reader)
        assert record is not None
        assert record["body"]["code"] in ("bad_url_after_bind", "not_found")
    assert CALLS == []
