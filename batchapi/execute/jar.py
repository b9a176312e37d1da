"""What a browser would carry from one answer to the next request: cookies (RFC 6265)."""

import re
import time
from collections.abc import Iterable, Mapping
from http.cookies import Morsel, SimpleCookie
from threading import Lock
from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.http import parse_http_date_safe

from batchapi.parent import Parent

UNKNOWN = ""  # the path of a cookie that the client sent


class Kept(NamedTuple):
    name: str
    value: str | None  # None: forget it
    path: str


class Jar:
    """The cookies of one batch, by name and path; filled by the parent first."""

    def __init__(self, parent: Parent) -> None:
        self.cookies = {(name, UNKNOWN): value for name, value in parent.cookies.items()}
        self.has_csrf_cookie = settings.CSRF_COOKIE_NAME in parent.cookies
        self.parent_path = parent.request.path
        self.is_changed = False
        self.lock = Lock()

    def keep(self, *cookies: Kept) -> None:
        """Set cookies, or forget those without a value."""
        with self.lock:
            self.cookies = self.with_these(cookies)  # a new one: who reads it meanwhile is not disturbed
            self.is_changed |= bool(cookies)

    def take_back(self, cookies: Iterable[Kept], *, before: Mapping[tuple[str, str], str]) -> None:
        """Have cookies be as they were before these were kept; others may have been kept meanwhile."""
        with self.lock:
            now = dict(self.cookies)
            for place in {(cookie.name, path) for cookie in cookies for path in (UNKNOWN, cookie.path)}:
                now.pop(place, None)
                if place in before:
                    now[place] = before[place]
            self.cookies = now

    def would_notice(self, cookies: Iterable[Kept]) -> bool:
        """Whether anybody could tell that these were kept."""
        return as_sent(self.with_these(cookies)) != as_sent(self.cookies)

    def with_these(self, given: Iterable[Kept]) -> dict[tuple[str, str], str]:
        """All cookies, as they would be with some more.

        One that the client sent makes way if the new one would have been sent along with the batch too.
        """
        cookies = dict(self.cookies)
        for name, value, path in given:
            if path_matches(self.parent_path, path):
                cookies.pop((name, UNKNOWN), None)
            cookies.pop((name, path), None)
            if value is not None:
                cookies[name, path] = value
        return cookies

    def put_into(self, request: HttpRequest) -> None:
        """Let a sub-request see the cookies as they are now. Of two with one name, Django takes the widest path's."""
        found = [
            (path, name, value) for (name, path), value in self.cookies.items() if path_matches(request.path, path)
        ]
        request.COOKIES = {name: value for _, name, value in sorted(found, key=lambda cookie: -len(cookie[0]))}
        if self.is_changed:
            encode = SimpleCookie().value_encode
            pairs = (f"{name}={encode(value)[1]}" for name, value in request.COOKIES.items())
            request.META.pop("HTTP_COOKIE", None)
            request.META.update({"HTTP_COOKIE": "; ".join(pairs)} if request.COOKIES else {})

    def read(self, request: HttpRequest, response: HttpResponseBase) -> list[Kept]:
        """What a sub-response sets and a browser would keep.

        Where a cookie says no path, it gets one: on the batch's answer it means another. Raises UnicodeEncodeError for
        one that no server can send.
        """
        kept = []
        for name, morsel in response.cookies.items():
            morsel.OutputString().encode("latin-1")  # A server could not send it, and nobody would get any answer.
            if not morsel["path"].startswith("/"):
                morsel["path"] = default_path(request.path)
            if name == settings.CSRF_COOKIE_NAME and self.has_csrf_cookie:
                continue  # The client's header was written for the cookie that it sent.
            kept.append(Kept(name, None if is_over(morsel) else morsel.value, morsel["path"]))
        return kept


def as_sent(cookies: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """Cookies as a view finds them: one without a known path is sent everywhere, like one with the widest path."""
    return {(name, path or "/"): value for (name, path), value in cookies.items()}


def is_over(morsel: "Morsel[str]") -> bool:
    """Whether a Set-Cookie makes a browser forget the cookie: Max-Age goes before Expires (section 5.3)."""
    if max_age := str(morsel["max-age"]):
        return re.fullmatch(r"0+|-\d+", max_age, re.ASCII) is not None
    expires = parse_http_date_safe(morsel["expires"])
    return expires is not None and expires <= time.time()


def path_matches(path: str, cookie_path: str) -> bool:
    """Whether a cookie is sent to a path (section 5.1.4)."""
    if not path.startswith(cookie_path):
        return False
    return cookie_path.endswith("/") or path[len(cookie_path) :][:1] in ("", "/") or cookie_path == UNKNOWN


def default_path(path: str) -> str:
    """The path of a cookie that names none (section 5.1.4)."""
    return path.rpartition("/")[0] or "/"
