"""The same over a real socket, where header names and paths arrive as bytes."""

import json
import socket
from collections.abc import Iterator
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings

from tests.security.views import CALLS

pytestmark = [pytest.mark.urls("tests.security.urls"), pytest.mark.django_db(transaction=True)]

ITEM = {"url": "/api/items/x/"}


class Silent(WSGIRequestHandler):
    def log_message(self, *_args: Any) -> None:
        """Nothing: the server's own log is not ours."""


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    """A WSGI server that knows no Django and drops no header."""
    with make_server("127.0.0.1", 0, WSGIHandler(), server_class=WSGIServer, handler_class=Silent) as httpd:
        thread = Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield httpd.server_address[0], httpd.server_port
        httpd.shutdown()
        thread.join()


def talk(server: tuple[str, int], head: bytes, body: bytes = b"") -> tuple[int, Any]:
    """Status and body of the answer to raw bytes."""
    with socket.create_connection(server, timeout=10) as connection:
        connection.sendall(head + b"\r\nConnection: close\r\n\r\n" + body)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    status = int(answer.split(b" ", 2)[1])
    content = answer.partition(b"\r\n\r\n")[2]
    return status, json.loads(content) if content[:1] in (b"{", b"[") else content


def post(server: tuple[str, int], requests: Any, *lines: bytes, path: bytes = b"/api/batch/") -> tuple[int, Any]:
    body = json.dumps({"requests": requests}).encode()
    given = [b"POST " + path + b" HTTP/1.1", b"Host: localhost:%d" % server[1], *lines]
    if not any(line.lower().startswith(b"content-type") for line in lines):
        given.append(b"Content-Type: application/json")
    if not any(line.lower().startswith((b"content-length", b"transfer-encoding")) for line in lines):
        given.append(b"Content-Length: %d" % len(body))
    return talk(server, b"\r\n".join(given), body)


SPELLINGS = [b"Remote-User", b"REMOTE-USER", b"remote-user", b"Remote_User", b"REMOTE_USER", b"ReMoTe_UsEr"]


@pytest.mark.parametrize("name", SPELLINGS)
def test_no_spelling_of_a_header_becomes_the_servers_word(server: tuple[str, int], name: bytes):
    """Neither on the batch nor inside: META holds HTTP_REMOTE_USER at most, as it does alone."""
    inside = {"url": "/api/meta/", "headers": {name.decode().replace("_", "-"): "impostor"}}
    status, answer = post(server, [inside], name + b": admin")
    meta = answer["responses"][0]["body"]["meta"]
    assert status == 200
    assert "REMOTE_USER" not in meta
    assert meta.get("HTTP_REMOTE_USER") == "admin"
    assert "impostor" not in str(meta)


def test_meta_is_what_it_is_alone_behind_a_real_server(server: tuple[str, int]):
    """Every variable that is text, the address and port of the caller among them."""
    own = [b"Accept-Language: de", b"Accept: application/json"]
    sender = [b"User-Agent: \xff\xfe", b"Cookie: a=b; c=\xc3\xa9", b"X-Forwarded-For: 1.2.3.4", b"X-A: 1", b"X-a: 2"]
    head = [b"GET /api/meta/?q=%FF HTTP/1.1", b"Host: localhost:%d" % server[1], *own, *sender]
    alone = talk(server, b"\r\n".join(head))[1]
    headers = {"Accept-Language": "de", "Accept": "application/json"}
    inside = post(server, [{"url": "/api/meta/?q=%FF", "headers": headers}], *sender)[1]["responses"][0]["body"]
    ours = {"HTTP_X_REQUEST_ID", "HTTP_CONNECTION", "CONTENT_TYPE", "CONTENT_LENGTH"}
    differing = {
        name
        for name in alone["meta"].keys() | inside["meta"].keys()
        if name not in ours and alone["meta"].get(name) != inside["meta"].get(name)
    }
    assert differing == set()
    assert inside["cookies"] == alone["cookies"]


PATHS = [
    *("/api/items/%C3%A9/", "/api/items/%FF/", "/api/items/%252e/", "/api/items/;x/", "/api/items/a+b/"),
    *("/api/raw/a//b/", "/api/raw/%25/%20", "/api/raw/~$&'()*+,;=:@!/", "/api/raw/%F0%9F%98%80?x=%F0"),
]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_is_read_as_the_server_reads_it(server: tuple[str, int], path: str):
    """The view sees the same in a batch, byte for byte."""
    alone = talk(server, f"GET {path} HTTP/1.1\r\nHost: localhost:{server[1]}".encode())[1]
    inside = post(server, [{"url": path}])[1]["responses"][0]["body"]
    assert inside == alone


MOUNTS = [b"/api/batch/", b"/api/ba%74ch/", b"/%61pi/batch/", b"/api/$batch", b"/api/%24batch", b"/api/batch/?x=/../"]


@pytest.mark.parametrize("path", MOUNTS)
def test_however_the_batch_is_called_it_is_the_same_batch(server: tuple[str, int], path: bytes):
    """Its service root too."""
    status, answer = post(server, [{"url": "items/x/"}, ITEM], path=path)
    assert (status, [record["status"] for record in answer["responses"]]) == (200, [200, 200])
    assert post(server, [{"url": "/api/batch/"}], path=path)[1]["code"] == "nested_batch"


def test_an_absolute_url_is_that_of_the_real_host_and_port(server: tuple[str, int]):
    """Which the Host header says."""
    port = server[1]
    assert post(server, [{"url": f"http://localhost:{port}/api/items/x/"}])[0] == 200
    for origin in (f"http://localhost:{port + 1}", "http://localhost", f"https://localhost:{port}"):
        assert post(server, [{"url": f"{origin}/api/items/x/"}])[1]["code"] == "bad_url"


def test_nothing_that_switches_a_protection_off_is_there(server: tuple[str, int]):
    """Without a test client there is no flag to hand on."""
    assert post(server, [{"url": "/api/flags/"}])[1]["responses"][0]["body"] == {}


@pytest.mark.parametrize("told", [b"Content-Length: 0", b"Content-Length: -1", b"Transfer-Encoding: chunked"])
def test_a_body_of_unknown_length_is_no_batch(server: tuple[str, int], told: bytes):
    """Django reads what the length says; the answer is a refusal and not a wait."""
    status, answer = post(server, [ITEM], told)
    assert (status, answer["code"] in ("bad_envelope", "bad_json")) == (400, True)
    assert CALLS == []


def test_more_bytes_than_allowed_are_refused_unread(server: tuple[str, int]):
    """The answer comes though the body is still on its way."""
    with override_settings(BATCHAPI={"MAX_REQUEST_BYTES": 100}):
        status, answer = post(server, [ITEM] * 10)
    assert (status, answer["code"]) == (413, "too_large")


def test_a_method_override_of_the_batch_overrides_no_sub_request(server: tuple[str, int]):
    """Whichever way it is spelled."""
    for name in (b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override", b"X_HTTP_METHOD_OVERRIDE"):
        meta = post(server, [{"url": "/api/meta/"}], name + b": DELETE")[1]["responses"][0]["body"]["meta"]
        assert meta["REQUEST_METHOD"] == "GET"
        assert "DELETE" not in meta.values()
