"""How a view finds out who is asking and whom it lets in: whether an answer may be given without running it."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from django.views import View
from rest_framework import authentication, permissions
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSetMixin

from batchapi.execute.twins import is_plain, may_throttle

LOOK_UPS = (  # Authenticators that find out by credentials alone, and that a batch asks once.
    authentication.SessionAuthentication,
    authentication.BasicAuthentication,
    authentication.TokenAuthentication,
)
STEPS = ("authenticate", "authenticate_credentials", "enforce_csrf")
HOOKS = (
    *("dispatch", "initialize_request", "initial", "perform_authentication", "get_authenticators"),
    *("setup", "check_permissions", "get_permissions", "determine_version", "perform_content_negotiation"),
)


class Manners(NamedTuple):
    """Of one view."""

    authenticators: tuple[Any, ...] | None  # classes that may be asked before the view runs; None: nobody can tell
    runs_checks: bool  # on every hit: its permissions may depend on what no table tells, or it throttles
    may_be_public: bool  # every check that it has stands before its handler
    has_own_head: bool  # HEAD is answered by something else than GET
    is_opaque: bool  # nothing can be run but the whole of it
    has_checks: bool  # of DRF's, before its handler


@lru_cache(maxsize=4096)
def manners_of(view: Any) -> Manners | None:
    """The manners of a view; None if it may not be answered for at all.

    That is where it has checks that nobody could run without it: throttles, authenticators, a decorator's.
    """
    view_class = getattr(view, "cls", None)
    is_drf = isinstance(view_class, type) and issubclass(view_class, APIView)
    if not is_drf:
        return Manners(None, False, False, True, is_opaque=True, has_checks=False) if is_bare(view) else None
    classes = tuple(given(view, "authentication_classes"))
    is_known = all(map(is_look_up, classes)) and is_untouched(view_class, ["get_authenticators"])
    allowed = list(flatten(given(view, "permission_classes")))
    runs_checks = (
        may_throttle(view)
        or not is_known
        or not is_untouched(view_class, HOOKS)
        or any(permission.__module__ != permissions.__name__ for permission in allowed)
    )
    if not is_plain(view):  # Nobody can run its checks without its handler.
        return None if runs_checks else Manners(None, False, False, True, is_opaque=True, has_checks=True)
    return Manners(
        authenticators=classes if is_known else None,
        runs_checks=runs_checks,
        may_be_public=is_untouched(view_class, ["check_object_permissions", "get_permissions"])
        and all(
            permission.has_object_permission is permissions.BasePermission.has_object_permission
            for permission in allowed
        ),
        has_own_head=has_own_head(view),
        is_opaque=False,
        has_checks=True,
    )


def is_bare(view: Any) -> bool:
    """Whether a view of Django's has nothing around it that might let people in or not, by a rule of its own."""
    view_class = getattr(view, "view_class", None)
    if view_class is None:
        return not hasattr(view, "__wrapped__")
    return view_class.dispatch is View.dispatch and view_class.setup is View.setup


def has_own_head(view: Any) -> bool:
    """Whether HEAD is answered by anything but GET's handler: by a handler of its own, or by 405."""
    actions = getattr(view, "actions", None) or {}
    is_refused = "head" not in view.cls.http_method_names
    return is_refused or hasattr(view.cls, "head") or actions.get("head") != actions.get("get", actions.get("head"))


def given(view: Any, name: str) -> Iterable[Any]:
    """An attribute of a view's class, or what `as_view` was given in its place."""
    found: Iterable[Any] = getattr(view, "initkwargs", {}).get(name, getattr(view.cls, name))
    return found


def is_look_up(authenticator: Any) -> bool:
    """Whether an authenticator class finds out by one of DRF's own look-ups."""
    kinds = [kind for kind in LOOK_UPS if isinstance(authenticator, type) and issubclass(authenticator, kind)]
    return any(all(getattr(authenticator, step, 0) is getattr(kind, step, 0) for step in STEPS) for kind in kinds)


def is_untouched(view_class: Any, names: Iterable[str]) -> bool:
    """Whether methods of a view class are DRF's own."""
    return all(
        getattr(view_class, name) in (getattr(APIView, name), getattr(ViewSetMixin, name, None)) for name in names
    )


def flatten(classes: Iterable[Any]) -> Iterator[Any]:
    """Permission classes, also those behind `A & ~B`."""
    for permission in classes:
        parts = [getattr(permission, name) for name in ("op1_class", "op2_class") if hasattr(permission, name)]
        if parts:
            yield from flatten(parts)
        else:
            yield permission
