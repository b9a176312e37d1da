"""The project's own middleware, found by kind. Its hooks are called one by one; it is never run as a whole."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.core.signals import setting_changed
from django.http import HttpRequest, HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.module_loading import import_string

Middleware = TypeVar("Middleware")
KNOWN = frozenset(  # What sub-requests may do without, or what is repeated for each of them.
    {
        *("django.middleware.security.SecurityMiddleware", "django.contrib.sessions.middleware.SessionMiddleware"),
        *("django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"),
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
        *("django.middleware.locale.LocaleMiddleware", "django.middleware.gzip.GZipMiddleware"),
        *("django.middleware.http.ConditionalGetMiddleware", "whitenoise.middleware.WhiteNoiseMiddleware"),
    }
)
LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"  # imports models, so it goes by its name


@cache
def installed(kind: type[Middleware]) -> Middleware | None:
    """The project's first middleware of a kind, ready for its hooks to be called, or None."""
    return next(made(found for found in classes() if issubclass(found, kind)), None)


@cache
def view_guards() -> tuple[Any, ...]:
    """The `process_view` hooks of the project's middleware that stand between a caller and a plain Django view."""
    return tuple(guard.process_view for guard in made(found for found in classes() if is_guard(found)))


def strangers(*named: str) -> tuple[str, ...]:
    """The paths in MIDDLEWARE that are neither known nor named: nobody can tell what a view finds of their doing."""
    return tuple(path for path in settings.MIDDLEWARE if path not in KNOWN and path not in named)


def made(found: Iterable[Any]) -> Iterator[Any]:
    """Middleware, ready for its hooks to be called; without those that step aside when they are made."""
    for middleware in found:
        with suppress(MiddlewareNotUsed):
            yield middleware(unused)


def is_guard(found: type) -> bool:
    """Whether a middleware class is Django's CSRF or login-required middleware, or made from it."""
    names = {f"{parent.__module__}.{parent.__qualname__}" for parent in found.__mro__}
    return issubclass(found, CsrfViewMiddleware) or LOGIN_REQUIRED in names


def classes() -> Iterator[Any]:
    """The classes in MIDDLEWARE; middleware that is a function has no hooks."""
    for path in settings.MIDDLEWARE:
        found = import_string(path)
        if isinstance(found, type):
            yield found


def unused(request: HttpRequest) -> HttpResponseBase:
    """Stands where middleware wants to know what comes after it."""
    raise AssertionError(f"Middleware was called for {request.path}; only its hooks may be.")


def forget_installed(*, setting: str, **_kwargs: object) -> None:
    """Look again when a test overrides a setting that middleware reads when it is made."""
    if setting in ("MIDDLEWARE", "SESSION_ENGINE", "CSRF_TRUSTED_ORIGINS"):
        installed.cache_clear()
        view_guards.cache_clear()


setting_changed.connect(forget_installed)
