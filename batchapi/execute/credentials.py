"""Lets DRF's own Basic and Token authentication look each credential up once per batch.

Only the look-up is remembered. CSRF checks, permissions, throttles and every other authenticator run each time.
"""

from collections.abc import Hashable
from functools import partial
from typing import Any

from django.utils.translation import gettext, override
from rest_framework.authentication import BaseAuthentication, BasicAuthentication, TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed

from batchapi.execute.memory import Memory, current

LOOK_UPS = (BasicAuthentication.authenticate_credentials, TokenAuthentication.authenticate_credentials)


def remember(authenticators: list[BaseAuthentication]) -> list[BaseAuthentication]:
    """The authenticators of one view, whose look-ups are kept in the memory of the batch."""
    memory = current.get()
    for authenticator in authenticators:
        if memory and getattr(type(authenticator), "authenticate_credentials", None) in LOOK_UPS:
            authenticator.authenticate_credentials = partial(look_up, authenticator, memory)  # type: ignore[attr-defined]
    return authenticators


def look_up(authenticator: Any, memory: Memory, *args: Any, **kwargs: Any) -> Any:
    """What `authenticate_credentials` returns or raises, a refusal included: a wrong password costs a hash as well."""
    kind = type(authenticator)
    is_token = kind.authenticate_credentials is TokenAuthentication.authenticate_credentials
    key: Hashable = ("token", authenticator.get_model(), args[:1]) if is_token else ("basic", args[:2])
    outcome = memory.recall(key, lambda: attempt(authenticator, args, kwargs), keep=lambda _: True)
    if isinstance(outcome, AuthenticationFailed):
        raise AuthenticationFailed(gettext(str(outcome.detail)))
    return outcome


def attempt(authenticator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The user and auth of a credential; or the refusal as a value, whose words are not translated yet."""
    try:
        with override(None):
            return type(authenticator).authenticate_credentials(authenticator, *args, **kwargs)
    except AuthenticationFailed as refusal:
        return refusal
