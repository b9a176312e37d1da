"""A request in; out, the name of whoever sent it: "user auth.user 7", or "address 10.0.0.1"."""

from contextlib import suppress
from typing import Any, cast

from django.db import Error
from django.http import HttpRequest
from rest_framework.exceptions import APIException, AuthenticationFailed, NotAuthenticated, PermissionDenied
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

USER = "user "


def name_user(kind: Any, pk: object) -> str:
    """The name of a user: a row of this class. Primary keys of two models may be equal."""
    model = getattr(kind, "_meta", None)
    return f"{USER}{model.label_lower if model else f'{kind.__module__}.{kind.__qualname__}'} {pk}"


def is_user(caller: str) -> bool:
    """Whether a name is a user's: an address may be many people's."""
    return caller.startswith(USER)


def name_caller(user: Any, request: HttpRequest) -> str:
    """Who sent a batch: a user who has a row, else the address, behind the proxies that DRF trusts."""
    pk, asked = getattr(user, "pk", None), cast(Request, request)  # get_ident reads META, which both have
    return f"address {BaseThrottle().get_ident(asked)}" if pk is None else name_user(user.__class__, pk)


def identify(request: Request) -> str:
    """Who sent a batch: the user of the first authenticator that succeeds, else the address.

    Raises what a database, or an authenticator, does that cannot tell now: whose key a batch is under is not guessed.
    """
    user = None
    with suppress(NotAuthenticated, AuthenticationFailed, PermissionDenied):
        user = request.user
    return name_caller(user, request._request)


def identify_or_address(request: Request) -> str:
    """The same for counting: the address also where nobody can tell now."""
    with suppress(Error, APIException):
        return identify(request)
    return name_caller(None, request._request)
