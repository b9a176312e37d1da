"""Middleware that hangs things on the request and says in which time zone it is; KNOWN_MIDDLEWARE names it."""

from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from chat.models import Session


class Mute(str):
    """A text that does not show itself, as secrets do."""

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__


class Opaque:
    """An object that nobody can tell from another one."""


def hang(request: HttpRequest) -> None:
    """By a header of the test's own choice: the name of a tenant, a row, what is loaded along with a row, a zone."""
    kind, _, word = request.headers.get("X-Hang", "").partition(" ")
    target: Any = request
    match kind:
        case "text":
            target.tenant = word
        case "mute":
            target.tenant = Mute(word)
        case "row":
            target.shop = Session.objects.get(key=word)
        case "related":
            target.shop = Session.objects.select_related("owner").get(key=word)
        case "object":
            target.tenant = Opaque()
        case "urlconf":
            request.urlconf = word
        case "zone":
            timezone.activate(word)


def hanging(get_response: Any) -> Any:
    """The header itself is taken away: what is under test is what it leads to."""

    def middleware(request: HttpRequest) -> Any:
        hang(request)
        request.META.pop("HTTP_X_HANG", None)
        try:
            return get_response(request)
        finally:
            timezone.deactivate()

    return middleware
