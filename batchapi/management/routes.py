"""The name of a view as an operator writes it in; the name as everything that is kept of a view has it out."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from django.core.management.base import CommandError
from django.urls import URLPattern, URLResolver, get_resolver


def read_route(given: str) -> str:
    """The name of a view. Raises CommandError with names that are like it."""
    names = set(route_names(get_resolver().url_patterns))
    if given in names:
        return given
    near = get_close_matches(given, names)
    hint = f"Did you mean {' or '.join(near)}?" if near else "The names are those in your urls.py."
    raise CommandError(f"There is no view of the name {given!r}. {hint}")


def route_names(patterns: Iterable[URLPattern | URLResolver], *, prefix: str = "") -> Iterator[str]:
    """The names of all views, with their namespaces; of one without a name, where it is defined."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{prefix}{pattern.namespace}:" if pattern.namespace else prefix
            yield from route_names(pattern.url_patterns, prefix=inner)
        else:
            yield f"{prefix}{pattern.name or pattern.lookup_str}"
