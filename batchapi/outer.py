"""A view's request in, or none; out, the Parent of a batch that does not come over HTTP.

Whoever sent the view's request is who asks, unless trusted code names somebody else. Then a request is made that
carries nothing of theirs: it goes to the same host, from the same address, and that is all it takes over.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from io import BytesIO
from typing import Any
from urllib.parse import quote

from django.apps import apps
from django.conf import settings
from django.contrib import auth
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest
from django.urls import NoReverseMatch, get_script_prefix, reverse, set_script_prefix, set_urlconf
from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string
from django.utils.translation import get_language
from rest_framework.request import Request
from rest_framework.views import APIView

from batchapi.middleware import installed
from batchapi.parent import PATH, Parent, base_environ

ADDRESS = frozenset(  # Where a request went and where it came from; nothing that could say who sent it.
    {
        *("SCRIPT_NAME", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "HTTPS", "HTTP_HOST"),
        *("REMOTE_ADDR", "REMOTE_PORT", "HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST"),
        *("HTTP_X_FORWARDED_PORT", "HTTP_X_FORWARDED_PROTO", "HTTP_X_REQUEST_ID", "HTTP_TRACEPARENT"),
    }
)


def parent_of(request: HttpRequest | Request) -> Parent:
    """The Parent whose sub-requests ask as whoever sent a view's request."""
    asked = unwrap(request)
    parent = settle_in(Parent.from_request(asked))
    if not was_given_to_drf(request) or "session" not in parent.attributes or not has_session_users():
        return parent
    user = SimpleLazyObject(partial(auth.get_user, asked))  # DRF wrote the one that it authenticated over it.
    return replace(parent, attributes={**parent.attributes, "user": user})


def parent_without(request: HttpRequest | Request | None, *, as_user: Any) -> Parent:
    """The Parent whose sub-requests ask as somebody whom trusted code named, or as nobody: None.

    They speak the language that is active here unless they say another, as there is no browser that would say one.
    """
    made = make_request(None if request is None else unwrap(request))
    parent = settle_in(Parent.from_request(made))
    language = get_language()
    spoken = {"HTTP_ACCEPT_LANGUAGE": language} if language else {}
    return replace(parent, environ={**parent.environ, **spoken}, as_user=as_user)


def unwrap(request: HttpRequest | Request) -> HttpRequest:
    """Django's own request, where DRF has wrapped it. Raises TypeError for anything else."""
    found = request._request if isinstance(request, Request) else request
    if not isinstance(found, HttpRequest):
        raise TypeError(f"The request must be the one that Django gave to the view, not {type(found).__name__}.")
    return found


def settle_in(parent: Parent) -> Parent:
    """A Parent under the batch's own URL, which was not sent there.

    Puts script prefix and URL configuration where Django's handler would, for this context. What the view's request
    asks for in Prefer or Idempotency-Key it asks of the view.
    """
    set_script_prefix(parent.request.META.get("SCRIPT_NAME") or "/")
    set_urlconf(parent.urlconf)
    return replace(parent, service_root=find_service_root(), idempotency_key=None, prefer="")


def find_service_root() -> str:
    """What relative URLs are relative to: where `batchapi.urls` is mounted; "/" if it is not, or under a variable."""
    try:
        path = reverse("batchapi:batch")
    except NoReverseMatch:
        return "/"
    below = path[len(quote(get_script_prefix(), safe=PATH)) - 1 :]
    return below.rstrip("/").rpartition("/")[0] + "/"


def make_request(request: HttpRequest | None) -> HttpRequest:
    """A request as the project's middleware passes it on when a stranger without any cookie has sent it."""
    environ = own_address() if request is None else address_of(request)
    made = WSGIRequest({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.input": BytesIO(), **environ})
    if urlconf := getattr(request, "urlconf", None):
        made.urlconf = urlconf
    for middleware in (installed(SessionMiddleware), installed(MessageMiddleware)):
        if middleware:
            middleware.process_request(made)
    if apps.is_installed("django.contrib.auth"):
        made.user = import_string("django.contrib.auth.models.AnonymousUser")()
    return made


def address_of(request: HttpRequest) -> Mapping[str, Any]:
    """What an environ says of where a request went and came from."""
    names = ADDRESS.union((settings.SECURE_PROXY_SSL_HEADER or ())[:1])
    given = base_environ(request)
    return {name: value for name, value in given.items() if name in names or name.startswith("wsgi.")}


def own_address() -> Mapping[str, Any]:
    """An environ for a request that this process sends itself: to the first host that ALLOWED_HOSTS names."""
    named = (name.removeprefix(".") for name in settings.ALLOWED_HOSTS if name != "*")
    host = next(named, "localhost")
    scheme, port = ("https", "443") if settings.SECURE_SSL_REDIRECT else ("http", "80")
    return {
        "SCRIPT_NAME": get_script_prefix().rstrip("/").encode().decode("latin-1"),  # as a WSGI server would (PEP 3333)
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": host,
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": scheme,
    }


def was_given_to_drf(request: HttpRequest | Request) -> bool:
    """Whether this is a request of DRF's, or the view that it was resolved to is a view of DRF's."""
    view_class = getattr(getattr(request.resolver_match, "func", None), "cls", None)
    return isinstance(request, Request) or (isinstance(view_class, type) and issubclass(view_class, APIView))


def has_session_users() -> bool:
    """Whether the project's middleware finds the user in the session, as Django's own does."""
    return apps.is_installed("django.contrib.auth") and bool(
        installed(import_string("django.contrib.auth.middleware.AuthenticationMiddleware"))
    )
