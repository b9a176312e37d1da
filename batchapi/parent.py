"""The outer request in, a frozen Parent out: everything that the sub-requests take over from it.

Nothing of the outer request is written to while the batch runs; `settle` swaps its session once, at the end.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest

from batchapi.batch import running

OWN_HEADERS = (  # What describes the parent's own message, not its sender.
    "CONTENT_",
    "HTTP_CONTENT_",
    "HTTP_ACCEPT",
    "HTTP_IF_",
    "HTTP_X_HTTP_METHOD",
    "HTTP_X_METHOD_OVERRIDE",
)
OWN_NAMES = frozenset(
    {
        *("HTTP_TRANSFER_ENCODING", "HTTP_TE", "HTTP_TRAILER", "HTTP_EXPECT", "HTTP_RANGE", "HTTP_METHOD_OVERRIDE"),
        *("HTTP_PREFER", "HTTP_PRIORITY", "HTTP_IDEMPOTENCY_KEY"),
        *(
            "SCRIPT_URL",
            "REDIRECT_URL",
            "REQUEST_URI",
            "RAW_URI",
            "SCRIPT_URI",
        ),  # Django reads the path from these too.
        *("CSRF_COOKIE", "CSRF_COOKIE_NEEDS_UPDATE"),  # Read anew for each sub-request.
    }
)
SERVER_OBJECTS = ("wsgi.input", "wsgi.file_wrapper", "gunicorn.socket", "werkzeug.request", "werkzeug.socket")

DJANGO_ATTRIBUTES = {  # What Django itself keeps on a request; all else was put there by middleware.
    *("environ", "scope", "META", "method", "path", "path_info", "script_name", "content_type", "content_params"),
    *("GET", "COOKIES", "headers", "accepted_types", "accepted_types_by_precedence"),  # cached properties
    *("_stream", "_read_started", "_body", "_post", "_files", "_post_parse_error", "_encoding", "_upload_handlers"),
    *("resolver_match", "_cached_user", "_acached_user", "csrf_processing_done"),  # what was decided for the parent
}
PATH = "/$@:!*'(),;=+&~"  # what a path holds unescaped (RFC 3986, section 3.3)
CORRELATION_ID = re.compile(r"[\w.:+=@-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """What one client said of itself, and what the middleware made of it, before DRF authenticated anybody."""

    environ: Mapping[str, Any]  # CGI and WSGI variables, without those of the parent's own message
    attributes: Mapping[str, Any]  # what middleware hung on the request: user, session, site, tenant, …
    cookies: Mapping[str, str]
    script_name: str  # percent-encoded, "" or "/prefix"
    service_root: str  # below the script name, percent-encoded, ends with "/"
    urlconf: str | None
    correlation_id: str
    is_nested: bool  # whether this batch is posted from inside a sub-request
    idempotency_key: str | None
    prefer: str  # what the client would like of the batch (RFC 7240)
    request: HttpRequest
    as_user: Any = None  # whom trusted code named in place of whoever sent the request

    @classmethod
    def from_request(cls, request: HttpRequest) -> "Parent":
        """Read all there is to read of the outer request, which must not have been given to DRF before."""
        given = request.META
        attributes = {name: value for name, value in vars(request).items() if name not in DJANGO_ATTRIBUTES}
        return cls(
            environ=base_environ(request),
            attributes=attributes,
            cookies=request.COOKIES,
            script_name=quote(given.get("SCRIPT_NAME", "").rstrip("/"), safe=PATH),
            service_root=quote(request.path_info.rstrip("/").rpartition("/")[0] + "/", safe=PATH),
            urlconf=getattr(request, "urlconf", None),
            correlation_id=read_correlation_id(given),
            is_nested=running.get() is not None,
            idempotency_key=given.get("HTTP_IDEMPOTENCY_KEY"),
            prefer=given.get("HTTP_PREFER", ""),
            request=request,
        )

    def origin(self) -> str:
        """Scheme and host that the client called, "https://example.com"; "" where Django does not trust the host."""
        try:
            return f"{self.request.scheme}://{self.request.get_host()}"
        except DisallowedHost:
            return ""

    def settle(self, cookies: SimpleCookie) -> None:
        """Hand the session that the sub-requests left behind to the parent's own session middleware.

        The sub-requests have saved it. A fresh store keeps that middleware from saving an older copy over it.
        """
        session = self.attributes.get("session")
        if session is None:
            return
        name = settings.SESSION_COOKIE_NAME
        kept = cookies[name].value if name in cookies else (session.session_key or self.cookies.get(name))
        fresh = type(session)(kept or None)
        fresh.accessed, fresh.modified = True, session.modified
        self.request.session = fresh


def base_environ(request: HttpRequest) -> dict[str, Any]:
    """The environ that each sub-request starts from, a WSGI one under ASGI too (PEP 3333)."""
    environ = {
        name: value
        for name, value in request.META.items()
        if not name.startswith(OWN_HEADERS) and name not in OWN_NAMES and name not in SERVER_OBJECTS
    }
    script_name = request.META.get("SCRIPT_NAME", "")
    environ["SCRIPT_NAME"] = script_name.encode().decode("latin-1")
    environ["wsgi.url_scheme"] = request.META.get("wsgi.url_scheme") or request.scheme
    return environ


def read_correlation_id(environ: Mapping[str, Any]) -> str:
    """The client's X-Request-ID, else the trace id of its traceparent (W3C Trace Context), else a new one."""
    asked: str = environ.get("HTTP_X_REQUEST_ID", "")
    if CORRELATION_ID.fullmatch(asked):
        return asked
    trace = re.fullmatch(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*", environ.get("HTTP_TRACEPARENT", ""))
    return str(trace[1]) if trace else secrets.token_hex(16)
