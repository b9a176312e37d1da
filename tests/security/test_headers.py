"""S4: a sub-request is who the batch is, whatever headers it writes."""

from typing import Any

import pytest
from django.test import Client, override_settings

from tests.security.asking import answer, answers, refusal, send

pytestmark = [pytest.mark.urls("tests.security.urls"), pytest.mark.django_db]

DROPPED = (
    *("Host", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port"),
    *("X-Forwarded-Prefix", "X-Real-IP", "X-Original-URL", "X-Rewrite-URL", "True-Client-IP", "CF-Connecting-IP"),
    *("Remote-User", "REMOTE-USER", "remote-user", "Remote-Addr", "Remote-Host", "Auth-User", "X-Remote-User"),
    *("Cookie", "Cookie2", "X-CSRFToken", "X-XSRF-Token", "Origin", "Referer", "User-Agent", "Proxy-Authorization"),
    *("Content-Length", "Content-Encoding", "Accept-Encoding", "Accept-Charset", "Connection", "Upgrade", "TE", "Via"),
    *("Expect", "Range", "Trailer", "Script-Name", "Path-Info", "Request-Method", "Query-String", "Server-Name"),
    *("X-Request-ID", "Traceparent", "X-SSL-Client-Verify", "SSL-Client-Cert", "HTTP-X", "Wsgi.Input", "X-Anything"),
)


def seen(own: Any = None, **options: Any) -> dict[str, str]:
    """META as the view saw it."""
    told: dict[str, str] = answer({"url": "/api/meta/", "id": "x", "headers": own}, **options)["body"]["meta"]
    return {name: value for name, value in told.items() if name != "HTTP_X_REQUEST_ID"}


@pytest.mark.parametrize("name", DROPPED)
def test_a_header_that_is_not_on_the_list_changes_nothing(name: str):
    """The view sees what it sees without it."""
    assert seen({name: "admin"}) == seen({})


REFUSED = {
    "an underscore": {"Remote_User": "admin"},
    "underscores only": {"REMOTE_USER": "admin"},
    "an underscore in an allowed name": {"Accept_Language": "de"},
    "a CGI name": {"HTTP_REMOTE_USER": "admin"},
    "another Authorization": {"Authorization": "Token other"},
    "an empty Authorization": {"authorization": ""},
    "a method override": {"X-HTTP-Method-Override": "DELETE"},
    "a method override, short": {"X-Method-Override": "DELETE"},
    "a method override, shorter": {"x-http-method": "DELETE"},
    "a method override, shortest": {"Method-Override": "DELETE"},
    "chunks": {"Transfer-Encoding": "chunked"},
    "a line break": {"Accept": "text/html\r\nRemote-User: admin"},
    "a bare LF": {"Accept": "text/html\nRemote-User: admin"},
    "a bare CR": {"Accept": "text/html\rRemote-User: admin"},
    "a NUL": {"Accept": "text/html\0"},
    "a DEL": {"Accept": "\x7f"},
    "an escape": {"Accept": "\x1b[31m"},
    "a character above U+00FF": {"Accept": "\u0100"},
    "a lone surrogate": {"Accept": "\ud800"},
    "a line break in a dropped header": {"X-Anything": "a\r\nb"},
    "a line break in a name": {"Accept\r\nRemote-User": "admin"},
    "a colon in a name": {"Remote-User: admin\r\nX": "y"},
    "a space in a name": {"Accept ": "text/html"},
    "no name": {"": "x"},
    "a name in another script": {"\u0410ccept": "x"},
    "the Kelvin sign": {"\u212aeep-Alive": "x"},
    "a surrogate in a name": {"\ud800": "x"},
    "a long bad name": {"x " * 4000: "y"},
    "a number": {"Accept": 7},
    "null": {"Accept": None},
    "an object": {"Accept": {}},
    "a list of numbers": {"Accept": ["a", 7]},
    "a nested list": {"Accept": [["a"]]},
    "twice": {"Accept": "a", "accept": "b"},
    "64 kB": {"Accept": "x" * 65_536},
    "64 kB in a dropped header": {"X-Anything": "x" * 65_536},
    "64 kB in a name": {"X" * 65_536: "x"},
    "a long list": {"Accept": ["x" * 100] * 100},
    "10,000 headers": {f"X-{number}": "x" for number in range(10_000)},
    "a list of pairs": [["Accept", "a"]],
    "a string": "Accept: a",
    "an RFC 2231 parameter": {"Content-Type": "text/plain; x*=nowhere''%41"},
    "a NUL in an RFC 2231 parameter": {"Content-Type": "text/plain; charset*=utf-8''%00"},
    "continued parameters": {"Content-Type": "text/plain; x*=a; x*0=b"},
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_header_that_pretends_is_refused(kind: str):
    """The whole batch, with a pointer and without repeating the value."""
    problem = refusal([{"url": "/api/meta/"}, {"url": "/api/meta/", "headers": REFUSED[kind]}])
    assert problem["code"] == "bad_header"
    assert problem["errors"][0]["pointer"].startswith("#/requests/1/headers")
    assert "admin" not in str(problem).replace("REMOTE", "")
    assert len(str(problem)) < 1000


ALLOWED = {
    "Accept": "application/json",
    "Accept-Language": "de",
    "Content-Type": "text/plain",
    "If-Match": '"a"',
    "If-None-Match": '"b"',
    "If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT",
    "If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT",
    "If-Range": '"c"',
    "Prefer": "return=minimal",
    "Priority": "u=5",
}


@pytest.mark.parametrize("name", ALLOWED)
@pytest.mark.parametrize("spelling", [str, str.lower, str.upper])
def test_an_allowed_header_reaches_its_view_and_no_other(name: str, spelling: Any):
    """In any letter case; not the next sub-request, and not the parent."""
    request = {"url": "/api/meta/", "headers": {spelling(name): ALLOWED[name]}}
    first, second = answers([request, {"url": "/api/meta/"}])
    cgi_name = name.upper().replace("-", "_")
    key = cgi_name if cgi_name == "CONTENT_TYPE" else f"HTTP_{cgi_name}"
    assert first["body"]["meta"][key] == ALLOWED[name]
    assert not second["body"]["meta"].get(key)


def test_a_list_of_values_is_one_header():
    """As HTTP joins the lines of a header."""
    assert (
        seen({"Accept": ["application/json", "text/html;q=0.1"]})["HTTP_ACCEPT"] == "application/json, text/html;q=0.1"
    )


OWN = {
    "Accept": "application/json",
    "Accept-Language": "de",
    "Accept-Encoding": "gzip",
    "Accept-Charset": "utf-7",
    "If-Match": '"a"',
    "If-None-Match": '"a"',
    "If-Modified-Since": "x",
    "If-Range": "x",
    "Range": "bytes=0-1",
    "Prefer": "return=minimal",
    "Priority": "u=0",
    "Expect": "100-continue",
    "TE": "trailers",
    "X-HTTP-Method-Override": "POST",
    "X-Method-Override": "POST",
    "X-HTTP-Method": "POST",
    "Method-Override": "GET",
    "Transfer-Encoding": "identity",
    "Content-Encoding": "identity",
    "Content-Language": "de",
    "Trailer": "x",
}


@pytest.mark.parametrize("name", OWN)
def test_what_describes_the_batch_does_not_describe_its_parts(name: str):
    """The parent's own message headers end at the parent."""
    assert seen({}, headers={name: OWN[name]}) == seen({})


KEPT = {
    "User-Agent": "curl",
    "X-Forwarded-For": "203.0.113.9",
    "Cookie": "a=b",
    "Authorization": "Bearer abc",
    "Origin": "http://testserver",
    "Referer": "http://testserver/",
    "X-CSRFToken": "t",
    "X-Tenant": "acme",
}


@pytest.mark.parametrize("name", KEPT)
def test_what_describes_the_sender_describes_the_parts(name: str):
    """A sub-request comes from whom the batch comes from."""
    client = Client(headers={name: KEPT[name]})
    assert seen({}, client=client)[f"HTTP_{name.upper().replace('-', '_')}"] == KEPT[name]


def test_the_address_is_the_parents():
    """A throttle by address counts the sender, not what a sub-request claims."""
    told = seen({"X-Forwarded-For": "198.51.100.1", "Remote-Addr": "198.51.100.1"}, REMOTE_ADDR="203.0.113.9")
    assert told["REMOTE_ADDR"] == "203.0.113.9"
    assert "198.51.100.1" not in str(told)


def test_remote_user_is_the_servers_word():
    """Set by the server it holds; a sub-request cannot set it."""
    assert seen({"Remote-User": "root"}, REMOTE_USER="alice")["REMOTE_USER"] == "alice"
    assert "REMOTE_USER" not in seen({"Remote-User": "root"})


def test_an_equal_authorization_may_be_repeated():
    """Clients that put it on every part work, as long as it is the same."""
    headers = {"Authorization": "Token unknown"}
    assert answer({"url": "/api/meta/", "headers": headers}, headers=headers)["status"] == 401  # as it says alone
    other = {"Authorization": "token unknown"}
    assert refusal([{"url": "/api/meta/", "headers": other}], headers=headers)["code"] == "bad_header"


def test_a_setting_lets_another_header_in():
    """That one, in any letter case, and no other."""
    with override_settings(BATCHAPI={"ALLOWED_HEADERS": ("X-Feature",)}):
        told = seen({"x-feature": "on", "X-Other": "on"})
    assert (told.get("HTTP_X_FEATURE"), told.get("HTTP_X_OTHER")) == ("on", None)


def test_meta_is_what_it_is_alone():
    """Every variable, for a request with a body; the request id is ours to set."""
    headers = {"User-Agent": "curl", "X-Tenant": "acme", "Cookie": "a=b; c=d"}
    own = {"Accept": "application/json", "Accept-Language": "de, en;q=0.5"}
    alone = Client().post("/api/meta/?q=1", b'{"a":1}', content_type="application/json", headers={**headers, **own})
    inside = answer(
        {"url": "/api/meta/?q=1", "method": "POST", "headers": own, "body": {"a": 1}}, client=Client(headers=headers)
    )
    ours = inside["body"]["meta"].pop("HTTP_X_REQUEST_ID")
    assert ours.endswith("/0")
    assert inside["body"] == alone.json()


def test_nothing_of_a_sub_request_is_left_on_the_parent():
    """Its language, method, headers and body end with it."""
    request = {"url": "/api/meta/", "method": "POST", "headers": {"Accept-Language": "de"}, "body": {"a": 1}}
    response = send([request, request])
    meta = response.wsgi_request.META
    assert "HTTP_ACCEPT_LANGUAGE" not in meta
    assert (meta["PATH_INFO"], response.wsgi_request.path) == ("/api/batch/", "/api/batch/")
    assert response["Content-Type"] == "application/json"


CONTENT_TYPES = (
    *("", ";", "/", "json", "application/json;", "application/json; charset", "application/json; charset=\xe9"),
    *('text/plain; a="', 'text/plain; a="\\', "text/plain; =x", "text/plain; ;;; ", "a/b/c", '"', "(", "\xff/\xff"),
)


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
def test_an_odd_content_type_harms_nobody_else(content_type: str):
    """It is refused, or it is one sub-request's own error."""
    odd = {"url": "/api/items/x/", "method": "POST", "headers": {"Content-Type": content_type}, "body": "YQ=="}
    response = send([odd, {"url": "/api/items/y/"}])
    assert response.status_code == 400 or response.json()["responses"][1]["body"]["name"] == "y"
