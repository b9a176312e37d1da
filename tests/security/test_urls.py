"""S3: a URL reaches the view that it would reach alone, or none."""

from typing import Any

import pytest
from django.test import Client, override_settings

from tests.security.asking import BATCH, answer, refusal
from tests.security.views import CALLS

pytestmark = [pytest.mark.urls("tests.security.urls"), pytest.mark.django_db]

REFUSED = (
    *("//evil/admin/", "///api/items/x/", "http:////api/items/x/", "http://testserver//evil/"),
    *("http://evil.example/api/items/x/", "https://testserver/api/items/x/", "ftp://testserver/api/items/x/"),
    *("http://testserver:8000/api/items/x/", "http://testserver:0/api/items/x/", "http://testserver:443/api/items/x/"),
    *("http://testserver:x/api/", "http://testserver:99999/api/", "http://[testserver/api/items/x/"),
    *("http://testserver@evil.example/api/items/x/", "http://alice@testserver/api/items/x/"),
    *("http://alice:secret@testserver/api/items/x/", "http://testserver:80@evil.example/"),
    *("http://testserver.evil.example/api/items/x/", "http://testserver./api/items/x/", "http://%74estserver/api/"),
    *("http://xn--testserver-9c/api/", "http://tests\u00e9rver/api/", "http://testserver%2f@evil.example/"),
    *("/api/\u00e4/", "/api/items/\u2028/", "/api/items/x/\ud800", "/api/items/\x85/"),
    *("/ad\tmin/", "/ad\nmin/", "\n/api/items/x/", "/api/items/x/\n", "/api/items/x/\x00", " /api/items/x/"),
    *("/api/items/x/ ", "/api/items/ /", "/api/items/%0a/", "/api/items/%0d%0a/", "/api/items/%00/", "/api/%7f/"),
    *("/api/../admin/", "/api/./items/x/", "/api/items/..", "/api/%2e%2e/admin/", "/api/%2E./admin/", "..", "."),
    *("../admin/", "items/../../admin/", "/api/items/x/#f", "/api/items/x%", "/api/items/%zz/", "/api/items/%4/"),
    *("/api%2fitems/x/", "/api%2Fitems/x/", "/api/items/%5cx/", "/api\\items\\x\\", "\\\\evil\\admin"),
    "/api/items/" + "x" * 70_000 + "/",
)
REFERENCES = ("$1/../../../admin/", "$1", "$batch", "$new/items/")


@pytest.mark.parametrize("url", REFUSED, ids=ascii)
def test_a_url_that_no_careful_client_writes_is_refused(url: str):
    """Before anything runs, with the pointer to it, and shortly."""
    problem = refusal([{"url": "/api/items/x/"}, {"url": url}])
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("bad_url", "#/requests/1/url")
    assert len(str(problem)) < 1000


@pytest.mark.parametrize("url", REFERENCES)
def test_a_reference_to_nobody_is_refused(url: str):
    """Never read as a path."""
    assert refusal([{"url": url}])["code"] == "bad_reference"


REACHED = {  # as a client writes it: the path that the view sees
    "/api/items/x/": "/api/items/x/",
    "items/x/": "/api/items/x/",
    "/items/x/": "/api/items/x/",
    "/api/items/x": "/api/items/x/",
    "/api/items/%78/": "/api/items/x/",
    "/%61pi/items/x/": "/api/items/x/",
    "/api/items/x/?": "/api/items/x/",
    "/api/items/x/?a=1?b=2&c=/../": "/api/items/x/",
    "/api/items/x/?next=http://evil.example//&%00=%0a": "/api/items/x/",
    "/api/items/x/?%zz": "/api/items/x/",
    "http://testserver/api/items/x/": "/api/items/x/",
    "http://TESTSERVER:80/api/items/x/": "/api/items/x/",
    "HTTP://testserver:/api/items/x/": "/api/items/x/",
    "/api/items/%252e%252e/": "/api/items/%2e%2e/",
    "/api/items/..;/": "/api/items/..;/",
    "/api/items/x;a=b/": "/api/items/x;a=b/",
    "/api/items/%C3%A9/": "/api/items/\u00e9/",
    "/api/items/%FF/": "/api/items/%FF/",
    "/api/items/%F0%9F/": "/api/items/%F0%9F/",
    "/api/items/...//": None,
    "/api/items/x//": None,
    "/API/items/x/": None,
    "api-admin/items/x/": None,
    "http:/api/items/x/": None,
    "http:api": None,
    "javascript:alert(1)": None,
    "?a=1": None,
    "/": None,
}


@pytest.mark.parametrize("url", REACHED)
def test_a_url_reaches_what_its_string_says(url: str):
    """With one round of percent-decoding, and the two repairs that the format promises."""
    record = answer({"url": url})
    assert (record["status"], record["body"].get("path")) == (200 if REACHED[url] else 404, REACHED[url])


@pytest.mark.parametrize("query", ["", "a=1", "a=%2e%2e/&a=&=b", "a=1?b", "%zz=%00", "a;b", "//"])
def test_the_query_is_handed_over_as_it_was_written(query: str):
    """Byte for byte."""
    record = answer({"url": f"/api/meta/?{query}"})
    assert record["body"]["meta"]["QUERY_STRING"] == query


NOT_BATCHABLE = (
    *("/api/plain/", "/admin/", "/admin/login/", "/%61dmin/", "/admin/auth/user/", "/api/closed/", "/api/to-batch/"),
    *("/api-admin/items/x/", "/api/half-closed/"),
)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("url", NOT_BATCHABLE)
def test_a_view_that_may_not_be_batched_is_not_called(url: str, method: str):
    """Plain views lean on middleware, the admin too; a DRF view may say no for one of its methods."""
    record = answer({"url": url, "method": method})
    assert (record["status"], record["body"]["code"]) == (404, "not_batchable")
    assert CALLS == []


def test_a_method_that_is_closed_leaves_the_others_open():
    """`@batch_exempt` on a handler is about that handler."""
    assert answer({"url": "/api/half-closed/", "method": "POST"})["body"] == {"open": True}


@pytest.mark.parametrize(
    "method", ["po\u017ft", "opt\u0131ons", "", " GET", "GET\n", "TRACE", "CONNECT", "_", 0, False, []]
)
def test_a_method_is_one_of_those_that_http_knows(method: Any):
    """Unicode has letters whose capitals are ASCII; whoever filters in front of us has not seen a POST there."""
    problem = refusal([{"url": "/api/items/x/", "method": method}])
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("bad_method", "#/requests/0/method")


def test_a_decorator_around_a_drf_view_stays():
    """`login_required(V.as_view())` is not called as V."""
    record = answer({"url": "/api/for-logged-in/"})
    assert (record["status"], record["headers"]["Location"]) == (302, "/accounts/login/?next=/api/for-logged-in/")
    assert CALLS == []


PREFIXED = {
    "/app/api/items/x/": "/app/api/items/x/",
    "items/x/": "/app/api/items/x/",
    "http://testserver/app/api/items/x/": "/app/api/items/x/",
    "/app-evil/api/items/x/": None,
    "/ap/api/items/x/": None,
    "/app": None,
    "/app/app/api/items/x/": None,
}


@pytest.mark.parametrize("url", PREFIXED)
@pytest.mark.parametrize("how", ["by the server", "by a setting"])
def test_a_script_name_is_a_prefix_of_whole_segments(url: str, how: str):
    """What lies beside the application is not inside it."""
    environ = {"SCRIPT_NAME": "/app"} if how == "by the server" else {}
    with override_settings(FORCE_SCRIPT_NAME=None if environ else "/app"):
        record = answer({"url": url}, **environ)
    assert (record["status"], record["body"].get("path")) == (200 if PREFIXED[url] else 404, PREFIXED[url])


@pytest.mark.parametrize("variable", ["SCRIPT_URL", "REDIRECT_URL", "REQUEST_URI", "RAW_URI", "PATH_TRANSLATED"])
def test_the_parents_own_path_is_not_the_path_of_a_sub_request(variable: str):
    """Django computes the script name from two of these; the sub-request must not be read at the parent's place."""
    record = answer({"url": "/api/items/x/"}, **{variable: "/api/batch/"})
    assert record["body"]["path"] == "/api/items/x/"


LANGUAGES = [  # urlconf, URL, headers of the sub-request: status, path
    ("urls_translated", "/de/api/items/x/", {}, 200),
    ("urls_translated", "/en/api/items/x/", {"Accept-Language": "de"}, 200),
    ("urls_translated", "/fr/api/items/x/", {"Accept-Language": "de"}, 200),
    ("urls_translated", "/xx/api/items/x/", {}, 404),
    ("urls_prefixless", "/de/api/items/x/", {}, 200),
    ("urls_prefixless", "/api/items/x/", {}, 200),
    ("urls_prefixless", "/api/items/x/", {"Accept-Language": "de"}, 200),
    ("urls_prefixless", "/en/api/items/x/", {}, 404),
]


@pytest.mark.parametrize(("urlconf", "url", "headers", "status"), LANGUAGES)
@pytest.mark.parametrize("mount", ["/batch/", "/en/api/batch/", "/de/api/batch/"])
def test_a_translated_url_is_reached_from_any_language(
    mount: str, urlconf: str, url: str, headers: dict[str, str], status: int
):
    """As it is alone, wherever the batch itself is mounted."""
    if urlconf == "urls_prefixless":
        mount = mount.replace("/en/", "/")
    with override_settings(ROOT_URLCONF=f"tests.security.{urlconf}"):
        alone = Client().get(url, headers=headers)
        found = answer({"url": url, "headers": headers}, to=mount)
    assert (alone.status_code, found["status"]) == (status, status)
    assert status == 404 or found["body"]["path"] == alone.json()["path"] == url


@override_settings(ROOT_URLCONF="tests.security.urls_translated")
def test_a_url_without_its_language_is_not_found():
    """Where LocaleMiddleware would redirect: nothing is guessed."""
    assert Client().get("/api/items/x/")["Location"] == "/en/api/items/x/"
    assert answer({"url": "/api/items/x/"}, to="/batch/")["body"]["code"] == "not_found"


@pytest.mark.parametrize("urlconf", ["urls_translated", "urls_prefixless"])
def test_a_batch_under_another_language_is_a_batch(urlconf: str):
    """Nested is nested in every language."""
    with override_settings(ROOT_URLCONF=f"tests.security.{urlconf}"):
        assert refusal([{"url": "/de/api/batch/", "method": "POST"}], to="/batch/")["code"] == "nested_batch"


def test_the_parents_host_decides_what_an_absolute_url_is():
    """With its port, and behind a proxy that ends TLS."""
    request = {"url": "http://localhost:8000/api/items/x/"}
    assert answer(request, headers={"Host": "localhost:8000"})["status"] == 200
    assert refusal([request], headers={"Host": "localhost:8001"})["code"] == "bad_url"
    with override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")):
        secure = {"Host": "testserver", "X-Forwarded-Proto": "https"}
        assert answer({"url": "https://testserver:443/api/items/x/"}, headers=secure)["status"] == 200
        assert refusal([{"url": "http://testserver/api/items/x/"}], headers=secure)["code"] == "bad_url"


def test_an_untrusted_host_is_no_origin_at_all():
    """A view that does not look at the host is reached by path, and nothing by an absolute URL."""
    with override_settings(MIDDLEWARE=[]):
        headers = {"Host": "evil.example"}
        problem = refusal([{"url": "http://evil.example/api/items/x/"}], headers=headers)
        assert (problem["code"], "evil" in str(problem)) == ("bad_url", False)
        assert answer({"url": "/api/items/x/"}, headers=headers)["status"] == 200


def test_the_batch_itself_is_not_found_by_a_lookalike(client: Any):
    """What is not mounted there does not answer there."""
    for url in ("/api/batchx/", "/api/$batchx", BATCH + "x/"):
        assert client.post(url, {"requests": []}, content_type="application/json").status_code == 404
