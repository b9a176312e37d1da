"""A header reaches its view under its own CGI name, or not at all; it changes nothing else."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchapi.parse.headers import ALLOWED, REFUSED
from tests.fuzzing.reading import BOUNDED
from tests.security.asking import send

pytestmark = [pytest.mark.urls("tests.fuzzing.urls"), pytest.mark.django_db]

META = {"id": "m", "url": "/api/tell/"}
OUTER = {"X-Request-ID": "fuzz"}
NAMES = (
    *ALLOWED,
    *REFUSED,
    *(
        "Host",
        "Cookie",
        "Authorization",
        "Remote-User",
        "Remote-Addr",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "Forwarded",
    ),
    *("Content-Length", "Content-Encoding", "X-CSRFToken", "Referer", "Origin", "User-Agent", "Range", "Expect", "TE"),
    *("wsgi.input", "wsgi.url_scheme", "SERVER_NAME", "Server-Name", "Path-Info", "Query-String", "Script-Name"),
    *("HTTP-Accept", "HTTP_ACCEPT", "Accept_Language", "accept\u2010language", "\uff21ccept", "a\u017fcept", "Accept "),
    *(" Accept", "Accept:", "Acc\0ept", "Accept\r\nX", "\u212aey", "If-Mat\u0441h", "Content.Type", "Content-Type\0"),
)
letters = st.characters(codec=None, categories=None) | st.sampled_from("\r\n\0_- :\t\x7f\x80\xff\u010a\u017f\ud800")


@st.composite
def spelled(draw: st.DrawFn) -> str:
    """A name in some letter case, perhaps with a letter that does not belong there."""
    name = draw(st.sampled_from(NAMES))
    name = "".join(draw(st.sampled_from([letter, letter.upper(), letter.lower()])) for letter in name)
    at = draw(st.integers(0, len(name)))
    return name[:at] + draw(st.text(letters, max_size=1)) + name[at:] if draw(st.booleans()) else name


texts = st.text(letters, max_size=12) | st.sampled_from(["a", "GET", "testserver", "Token a", "evil", "u=1", "0", "{}"])
headers = st.dictionaries(st.sampled_from(NAMES) | spelled(), texts | st.lists(texts, max_size=3), max_size=4)


def meta_of(request: dict[str, Any]) -> dict[str, str] | None:
    """What a view sees of a sub-request, or None where the batch is refused for a header."""
    response = send([request], headers=OUTER)
    if response.status_code == 400:
        assert {error["pointer"][:20] for error in response.json()["errors"]} == {"#/requests/0/headers"}
        return None
    assert response.status_code == 200, response.content
    record = response.json()["responses"][0]
    assert record["status"] == 200, record
    seen: dict[str, str] = record["body"]
    return seen


@BOUNDED
@given(headers)
@example({"accept": "a", "Accept-Language": ["de", "en"]})
@example({"content-type": "a"})
@example({"Content-Type": "text/plain; charset=\u00ff"})
@example({"Accept": "a\r\nRemote-User: admin"})
@example({"Accept": "\u010a\u010d"})
def test_a_header_changes_its_own_variable_and_no_other(given_headers: dict[str, Any]):
    """Of all that the view can see, compared with the same sub-request without headers."""
    seen = meta_of(META | {"headers": given_headers})
    if seen is None:
        return
    expected = meta_of(META)
    assert expected is not None
    for name, value in given_headers.items():
        assert "_" not in name
        assert name.isascii()
        if name.lower() in ALLOWED:
            text = (", ".join(value) if isinstance(value, list) else value).strip(" \t")
            variable = name.upper().replace("-", "_")
            expected[variable if variable == "CONTENT_TYPE" else f"HTTP_{variable}"] = text
    assert seen == expected


@pytest.mark.parametrize(
    "name", ["accept\u2010language", "\uff21ccept", "a\u017fcept", "If-Mat\u0441h", "Accept_Language"]
)
def test_a_name_that_only_looks_like_one_is_refused(name: str):
    assert meta_of(META | {"headers": {name: "x"}}) is None


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_each_header_of_the_list_arrives_in_any_spelling(name: str):
    """The other half of it: what is allowed is there."""
    seen = meta_of(META | {"headers": {name.upper(): "x"}})
    variable = name.upper().replace("-", "_")
    assert seen is not None
    assert seen[variable if variable == "CONTENT_TYPE" else f"HTTP_{variable}"] == "x"
