"""Lets DRF's own Basic and Token authentication look each credential up once per batch.

Only the look-up is remembered. CSRF checks, permissions, throttles and every other authenticator run each time.
"""

from collections.abc import Callable, Hashable
from functools import cache, partial
from typing import Any

from django.utils.translation import gettext, override
from rest_framework.authentication import BaseAuthentication, BasicAuthentication, TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from batchapi.execute.memory import Memory, current

LOOK_UPS = (BasicAuthentication.authenticate_credentials, TokenAuthentication.authenticate_credentials)


class Remembering:
    """Mixed into a view class: its authenticators remember what they looked up."""

    def get_authenticators(self) -> list[BaseAuthentication]:
        """The view's own fresh authenticators, with the batch's memory."""
        authenticators: list[BaseAuthentication] = super().get_authenticators()  # type: ignore[misc]
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


@cache
def with_memory(view: Any) -> Any:
    """The same view with remembering authenticators, if DRF's own `as_view` made it; else the view itself.

    `login_required(V.as_view())` has a `cls` too, and building from that would drop the decorator.
    """
    if not is_plain(view):
        return view
    view_class: Any = view.cls
    # DRF shows the name and the docstring of a view: in the answer to OPTIONS, and on the browsable page.
    names = {name: getattr(view_class, name) for name in ("__module__", "__qualname__", "__doc__")}
    remembering = type(view_class)(view_class.__name__, (Remembering, view_class), names)
    initkwargs = view.initkwargs
    actions = getattr(view, "actions", None)
    twin: Callable[..., Any] = (
        remembering.as_view(actions, **initkwargs) if actions else remembering.as_view(**initkwargs)
    )
    for name, value in vars(view).items():
        vars(twin).setdefault(name, value)
    return twin


def is_plain(view: Any) -> bool:
    """Whether a callback is exactly what `as_view` of APIView or ViewSet returns, and its class may be subclassed."""
    if layers(view) not in (layers(APIView.as_view()), layers(ViewSet.as_view({"get": "list"}))):
        return False
    if type(view.cls) is not type:  # A metaclass may count or refuse subclasses.
        return False
    return not any("__init_subclass__" in vars(parent) for parent in view.cls.__mro__[:-1])


def layers(view: Callable[..., Any] | None) -> list[object]:
    """The code of a function and of all that it wraps."""
    codes = []
    while view is not None:
        codes.append(getattr(view, "__code__", view))
        view = getattr(view, "__wrapped__", None)
    return codes
