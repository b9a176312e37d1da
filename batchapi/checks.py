"""What `manage.py check` says about a project's settings: E001 to E003, W003."""

from collections.abc import Iterator

from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

from batchapi.conf import find_problems, get_settings
from batchapi.middleware import strangers


def register_all() -> None:
    """Register every check; called once the apps are ready."""
    checks.register(check_settings)
    checks.register(check_middleware)


def check_settings(**_kwargs: object) -> list[checks.CheckMessage]:
    """E001 for a setting that does not exist, E002 for a value that does not fit."""
    return [checks.Error(words, id=number) for number, words in find_problems(getattr(settings, "BATCHAPI", {}))]


def check_middleware(**_kwargs: object) -> list[checks.CheckMessage]:
    """E003 for middleware that cannot be imported, W003 for middleware that sub-requests go without."""
    return [] if find_problems(getattr(settings, "BATCHAPI", {})) else [*unimportable(), *skipped()]


def unimportable() -> Iterator[checks.CheckMessage]:
    """Entries of SUBREQUEST_MIDDLEWARE that lead nowhere."""
    for path in get_settings().layers.SUBREQUEST_MIDDLEWARE:
        try:
            import_string(path)
        except ImportError:
            yield checks.Error(f"BATCHAPI['SUBREQUEST_MIDDLEWARE']: {path!r} cannot be imported.", id="batchapi.E003")


def skipped() -> Iterator[checks.CheckMessage]:
    """Installed middleware that is neither known nor run around sub-requests."""
    layers = get_settings().layers
    for path in strangers(*layers.SUBREQUEST_MIDDLEWARE, *layers.KNOWN_MIDDLEWARE):
        yield checks.Warning(
            f"{path} does not run around sub-requests. While that is open, each batch has one lane.",
            hint="Add it to BATCHAPI['SUBREQUEST_MIDDLEWARE'] if a view relies on it, else to 'KNOWN_MIDDLEWARE'.",
            id="batchapi.W003",
        )
