"""From a URL to the view behind it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.http import Http404
from django.urls import path, register_converter
from rest_framework.views import APIView

from batchapi.batch import Route
from batchapi.exceptions import BadUrl, NotFound
from batchapi.resolve import resolve, strip_origin

pytestmark = pytest.mark.urls(__name__)


class NoSuchRow:
    """A converter that looks a row up, and finds none."""

    regex = "[a-z]+"

    def to_python(self, value: str) -> str:
        raise Http404(value)

    to_url = str


register_converter(NoSuchRow, "row")
urlpatterns = [path("api/rows/<row:row>/", APIView.as_view()), path("api/things/", APIView.as_view(), name="things")]


def find(url: str, *, script_name: str = "", service_root: str = "/api/") -> Route:
    language: Callable[[str], None] = lambda _: None  # noqa: E731 - a constant
    return resolve(
        url,
        method="GET",
        origin=lambda: "https://example.com",
        script_name=script_name,
        service_root=service_root,
        urlconf=None,
        language=language,
    )


def test_a_converter_that_finds_no_row_is_no_route():
    """As Django answers 404 then: one sub-request's own, and not the batch's."""
    with pytest.raises(NotFound):
        find("/api/rows/a/")


REPAIRED = {  # as written: where it was found in the end, if that is another URL
    "/api/things/": None,
    "/api/things/?a=1": None,
    "things/": "/api/things/",
    "/things?a=1": "/api/things/?a=1",
    "/api/things": "/api/things/",
    "https://example.com/api/things": "/api/things/",
}


@pytest.mark.parametrize("url", REPAIRED)
def test_a_repair_is_told(url: str):
    assert find(url).location == REPAIRED[url]


def test_below_a_script_name_the_location_is_a_host_path():
    assert find("things", script_name="/app").location == "/app/api/things/"
    assert find("/app/api/things/", script_name="/app").location is None


ORIGINS = {
    "https://example.com/a": "/a",
    "HTTPS://EXAMPLE.COM:443/a": "/a",
    "https://example.com": "/",
    "https://example.com?a=/b": "/?a=/b",
    "https://example.com/?://": "/?://",
}


@pytest.mark.parametrize("url", ORIGINS)
def test_an_absolute_url_of_ours_is_a_host_path(url: str):
    assert strip_origin(url, "https://example.com") == ORIGINS[url]


FOREIGN = [
    *("http://example.com/", "https://example.com:0/", "https://example.com:444/", "https://a@example.com/"),
    *("https://example.com:x/", "https://[::1/", "https:///a", "https://example.com.evil/", "https://evil/example.com"),
]


@pytest.mark.parametrize("url", FOREIGN)
@pytest.mark.parametrize("origin", ["https://example.com", ""])
def test_an_absolute_url_of_others_is_refused(url: str, origin: str):
    """And every one, where the host is not trusted."""
    with pytest.raises(BadUrl):
        strip_origin(url, origin)


def test_ports_and_addresses_are_compared_as_what_they_mean():
    cases: list[tuple[str, Any]] = [("http://[::1]:80/a", "http://[::1]"), ("http://127.0.0.1:8000/a", None)]
    for url, origin in cases:
        assert strip_origin(url, origin or "http://127.0.0.1:8000") == "/a"
