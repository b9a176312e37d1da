"""What a browser would carry from one answer to the next request: cookies, and the CSRF secret."""

import re
from http.cookies import Morsel, SimpleCookie
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware

from batchapi.parent import Parent


class Jar:
    """The cookies of one batch, filled by the parent first."""

    def __init__(self, parent: Parent) -> None:
        self.cookies = dict(parent.cookies)
        self.has_csrf_cookie = settings.CSRF_COOKIE_NAME in parent.cookies
        self.changed: dict[str, Any] = {}  # environ variables that differ from the parent's

    def put_into(self, request: HttpRequest) -> None:
        """Let a sub-request see the cookies as they are now."""
        request.COOKIES = self.cookies.copy()

    def keep_csrf(self, request: HttpRequest, response: HttpResponseBase) -> None:
        """Put a CSRF secret that a view made into the response, as Django's middleware does."""
        if request.META.get("CSRF_COOKIE_NEEDS_UPDATE"):
            self.changed["CSRF_COOKIE"] = request.META["CSRF_COOKIE"]
            CsrfViewMiddleware(lambda _: response).process_response(request, response)

    def take_from(self, response: HttpResponseBase) -> None:
        """Keep what a sub-response set, as a browser would before its next request."""
        for name, morsel in response.cookies.items():
            if name == settings.CSRF_COOKIE_NAME and self.has_csrf_cookie:
                continue  # The client's header was written for the cookie that it sent.
            if is_deletion(morsel):
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel.value
        if response.cookies:
            encode = SimpleCookie().value_encode
            self.changed["HTTP_COOKIE"] = "; ".join(
                f"{name}={encode(value)[1]}" for name, value in self.cookies.items()
            )


def is_deletion(morsel: "Morsel[str]") -> bool:
    """Whether a Set-Cookie makes a browser forget the cookie: its Max-Age is 0 or less (RFC 6265, section 5.2.2)."""
    return re.fullmatch(r"0+|-\d+", str(morsel["max-age"]), re.ASCII) is not None
