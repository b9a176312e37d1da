"""No accepted URL reaches a view that its string would not reach alone."""

import re
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import example, given
from hypothesis import strategies as st

from batchapi.batch import Route
from batchapi.exceptions import BatchError
from batchapi.resolve import is_batch_endpoint
from batchapi.route import find_route
from tests.fuzzing.reading import alone, parent

pytestmark = [pytest.mark.urls("tests.security.urls"), pytest.mark.django_db]

PIECES = (
    *("/", "//", "api", "api/", "/api/", "/app", "/app/api/", "items", "/items/", "/api/items/", "x", "x/", "raw/"),
    *("/api/raw/", "admin", "/admin/", "plain/", "batch", "batch/", "/de", "/en/api/", "/fr", "%64e", "xx"),
    *(".", "..", "%2e", "%2E%2e", "%252e", "%2f", "%5c", "%00", "%0a", "%", "%zz", "%61pi", "%FF", "%C3%A9", "\\"),
    *("%c0%ae", "%e2%80%ae", "%3f", "%3F", "%23", "%25", "%2525", "%3b", "%20", "%7f", "%24batch", "$batch"),
    *(";", "?", "#", "&", "=", ":", "@", "$", "~", "*", "+", "|", "^", "[", "]", "{", "}", "<", '"', "`", ",", "'"),
    *("http://", "HTTP://", "https://", "testserver", "testserver:80", "testserver/", "evil", "user@", "[::1]"),
    *("\t", "\r\n", " ", "\u00e9", "\u2028", "\uff0f", "\u2025", "\ud800", "\x7f", "-admin", "api-admin/"),
)
urls = st.lists(st.sampled_from(PIECES) | st.characters(min_codepoint=33, max_codepoint=126), max_size=9).map("".join)
GOOD = ("", "items/x/", "/items/x", "/api/items/x", "http://testserver/items/", "/app/api/items/", "/de/api/items/x/")
urls = st.builds("{}{}".format, st.sampled_from(GOOD), urls)  # Many a one is accepted.
PREFIX = "/app"
LANGUAGES = ("en", "de", "fr;q=0.5, de", "xx", "*")


@dataclass(frozen=True)
class Seen:
    """What a view sees of where it was called."""

    view: Any
    args: Any
    kwargs: Any
    path: str
    query: str


def seen_in_batch(url: str, *, script_name: str, headers: dict[str, str]) -> tuple[Route, Seen] | None:
    """Where batchapi would send a sub-request, or None."""
    outer = parent(SCRIPT_NAME=script_name)
    try:
        route = find_route(url, method="GET", headers=headers, parent=outer)
    except BatchError:
        return None
    match = route.match
    return route, Seen(match.func, match.args, match.kwargs, route.path_info, route.query)


def seen_alone(target: str, *, script_name: str, headers: dict[str, str]) -> Seen | None:
    """Where Django sends it."""
    request, match = alone(target, script_name=script_name, **headers)
    if match is None:
        return None
    return Seen(match.func, match.args, match.kwargs, request.path_info, request.META["QUERY_STRING"])


def target_of(url: str) -> str:
    """The request target of a URL: what stands behind scheme and host."""
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", url):
        return url
    rest = url.split("://", 1)[1]
    authority = next((at for at, letter in enumerate(rest) if letter in "/?"), len(rest))
    assert rest[:authority].lower() in ("testserver", "testserver:80", "testserver:")
    return rest[authority:] if rest[authority:].startswith("/") else "/" + rest[authority:]


def check(url: str, *, script_name: str = "", language: str = "en") -> None:
    """Not sent at all; or to the view that the string reaches; or, by a repair that is told, to that of another."""
    headers = {"HTTP_ACCEPT_LANGUAGE": language}
    with override_settings(APPEND_SLASH=False):
        found = seen_in_batch(url, script_name=script_name, headers=headers)
        if found is None:
            return
        route, in_batch = found
        assert not is_batch_endpoint(in_batch.view)
        target = target_of(url)
        repaired = route.location or target
        assert in_batch == seen_alone(repaired, script_name=script_name, headers=headers)
        if route.location is not None:
            path, _, query = target.partition("?")
            under_root = find_root(script_name) + path.lstrip("/")
            spellings = (path, path + "/", under_root, under_root + "/")
            assert route.location in [spelling + (f"?{query}" if query else "") for spelling in spellings]


def find_root(script_name: str) -> str:
    """The service root of a batch endpoint at /api/batch/."""
    return f"{script_name}/api/"


@given(urls)
@example("/api/raw/%2e%2E/../admin/")
@example("/api/raw/http://evil/")
@example("http://testserver?/admin/")
@example("HTTP://TESTSERVER:80/api/items/x/?a")
@example("http:/api/items/x/")
@example("/api/raw/%252e%252e/%3f/%23")
@example("/api/raw/?")
@example("items/x/")
@example("/items/x?a=1")
@example("http://testserver/items/x?a=1")
def test_an_accepted_url_reaches_the_view_that_its_string_reaches(url: str):
    check(url)


@given(urls)
@example("/app/api/items/x/")
@example("/app")
@example("/app?a=1")
@example("/app/app/api/items/x/")
@example("/ap%70/api/items/x/")
@example("/app%2fapi/items/x/")
def test_that_is_so_below_a_script_name(url: str):
    check(url, script_name=PREFIX)


@pytest.mark.parametrize("urlconf", ["tests.security.urls_translated", "tests.security.urls_prefixless"])
@given(url=urls, language=st.sampled_from(LANGUAGES))
@example(url="/de/api/items/x/", language="en")
@example(url="/%64e/api/items/x/", language="en")
@example(url="/fr/api/items/x/", language="de")
def test_that_is_so_where_paths_are_translated(urlconf: str, url: str, language: str):
    with override_settings(ROOT_URLCONF=urlconf):
        headers = {"HTTP_ACCEPT_LANGUAGE": language}
        found = seen_in_batch(url, script_name="", headers=headers)
        if found is not None:
            route, in_batch = found
            speaking = route.language or "en"
            request, match = alone_in(speaking, route.location or target_of(url), headers)
            assert match is not None
            assert (in_batch.view, in_batch.kwargs) == (match.func, match.kwargs)
            assert in_batch.path == request.path_info


def alone_in(language: str, target: str, headers: dict[str, str]) -> Any:
    """What Django finds in a language that LocaleMiddleware has chosen from the same path and headers."""
    from django.middleware.locale import LocaleMiddleware
    from django.utils.translation import get_language, override

    with override(None):
        request, _ = alone(target, **headers)
        LocaleMiddleware(lambda _request: None).process_request(request)
        assert get_language() == language
        return alone(target, **headers)
