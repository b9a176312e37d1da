"""The two arms: each request alone through the whole of Django, and all of them in one batch through the same.

Both get bytes in and give bytes out, by WSGI. Order is the one thing that the first arm takes from the package (the
plan has tests of its own): it must play in the order that the batch says it will have had.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from json import JSONDecoder
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.core.signals import got_request_exception
from django.http import HttpResponse
from django.urls import set_urlconf
from django.utils import timezone, translation
from django.utils.log import log_response

from batchapi.conf import get_settings
from batchapi.parent import Parent
from batchapi.parse import parse_batch
from batchapi.plan import plan_batch
from tests.differential.asks import CSRF_COOKIE, JSON, Ask, Caller
from tests.differential.browser import Browser

BATCH = "/api/batch/"
NOISE = {  # Of the parent's message, and not for the sub-requests to see.
    "Accept": "application/json, */*;q=0.1",
    "Accept-Language": "de",
    "Accept-Encoding": "identity",
    "If-None-Match": '"1"',
    "If-Modified-Since": "Mon, 01 Jan 2024 00:00:00 GMT",
    "Priority": "u=7",
    "Range": "bytes=0-1",
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back for one request. None as the status: it did not run, for what it waits for failed."""

    status: int | None
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""

    @property
    def is_success(self) -> bool:
        """Whether those that wait for it may run."""
        return self.status is not None and (200 <= self.status < 300 or self.status == 304)


@dataclass(frozen=True, kw_only=True)
class Record:
    """One entry of `responses`, and the bytes that its body has in the answer."""

    members: Mapping[str, Any]
    raw_body: bytes


def as_fresh_thread() -> None:
    """Forget what an earlier request left in this thread: a server may use another one each time."""
    translation.deactivate()
    timezone.deactivate()
    set_urlconf(None)


def environ_of(method: str, url: str, *, headers: Mapping[str, str], body: bytes, cookies: str) -> dict[str, Any]:
    """What a WSGI server makes of a request."""
    path, _, query = url.partition("?")
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "CONTENT_LENGTH": str(len(body)) if body else "",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": BytesIO(),
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in {**headers, **({"Cookie": cookies} if cookies else {})}.items():
        cgi_name = name.upper().replace("-", "_")
        environ[cgi_name if cgi_name == "CONTENT_TYPE" else f"HTTP_{cgi_name}"] = value
    return environ


def call(handler: WSGIHandler, environ: dict[str, Any]) -> Answer:
    """One request through the whole of Django, as a WSGI server would make it."""
    as_fresh_thread()
    started: list[Any] = []
    response = handler(environ, lambda status, headers: started.append((status, headers)))
    try:
        body = b"".join(response)
    except RuntimeError as error:  # A stream broke off: a server logs that and cuts the connection.
        body = None
        got_request_exception.send(sender=None, request=None)
        log_response(
            "Internal Server Error: %s", environ["PATH_INFO"], response=HttpResponse(status=500), exception=error
        )
    finally:
        response.close()
    status, headers = started[0]
    return Answer(status=int(status[:3]), headers=headers, body=body) if body is not None else Answer(status=500)


def ask_alone(
    handler: WSGIHandler, caller: Caller, asks: Sequence[Ask], order: Sequence[int], browser: Browser
) -> list[Answer]:
    """Each request on its own, cookies carried from answer to answer; the CSRF cookie stays the one that came first."""
    fixed = first_csrf_cookie(caller)
    answers: dict[int, Answer] = {}
    for place in order:
        ask = asks[place]
        if not all(answers[before].is_success for before in ask.depends_on):
            answers[place] = Answer(status=None)
            continue
        body, content_type = ask.content()
        headers = {**caller.headers, **ask.headers, **({"Content-Type": content_type} if content_type else {})}
        path = unquote(ask.url.partition("?")[0])
        cookies = browser.header(path, fixed=fixed)
        environ = environ_of(ask.method, ask.url, headers=headers, body=body, cookies=cookies)
        answers[place] = call(handler, environ)
        browser.take(path, set_cookies(answers[place]))
    return [answers[place] for place in range(len(asks))]


def first_csrf_cookie(caller: Caller) -> dict[str, str]:
    """The CSRF cookie that goes with the header that a caller sends."""
    return {name: value for name, value in caller.cookies.items() if name == CSRF_COOKIE}


def set_cookies(answer: Answer) -> list[str]:
    """The values of its Set-Cookie headers."""
    return [value for name, value in answer.headers if name == "Set-Cookie"]


def ask_together(handler: WSGIHandler, caller: Caller, asks: Sequence[Ask], browser: Browser) -> list[Record]:
    """All requests in one batch."""
    answer = call(handler, batch_environ(caller, asks, browser))
    assert answer.status == 200, (answer.status, answer.body)
    browser.take(BATCH, set_cookies(answer))
    return read_records(answer.body.decode())


def batch_environ(caller: Caller, asks: Sequence[Ask], browser: Browser) -> dict[str, Any]:
    """The request that carries a batch."""
    body = json.dumps({"requests": [ask.record() for ask in asks]}).encode()
    cookies = browser.header(BATCH, fixed=first_csrf_cookie(caller))
    headers = {**caller.headers, **NOISE, "Content-Type": JSON}
    return environ_of("POST", BATCH, headers=headers, body=body, cookies=cookies)


def effective_order(caller: Caller, asks: Sequence[Ask]) -> list[int]:
    """In which order the batch means to run."""
    as_fresh_thread()
    parent = Parent.from_request(WSGIRequest(batch_environ(caller, asks, Browser(caller.cookies))))
    settings = get_settings()
    batch = parse_batch({"requests": [ask.record() for ask in asks]}, parent=parent, limits=settings.limits)
    return [request.index for request in plan_batch(batch, rules=settings.rules).order]


def read_records(text: str) -> list[Record]:
    """The entries of `responses`, with each body as it is written there."""
    assert text.startswith('{"responses":[')
    records, place = [], len('{"responses":[')
    while text[place] != "]":
        place += text[place] == ","
        members, end = JSONDecoder().raw_decode(text, place)
        records.append(Record(members=members, raw_body=slice_of(text, place, "body").encode()))
        place = end
    assert text[place:] == "]}"
    return records


def slice_of(text: str, place: int, member: str) -> str:
    """The text of one member of the JSON object that starts at a place, written without spaces."""
    read = JSONDecoder().raw_decode
    while text[place] in "{,":
        name, colon = read(text, place + 1)
        _, end = read(text, colon + 1)
        if name == member:
            return text[colon + 1 : end]
        place = end
    raise KeyError(member)
