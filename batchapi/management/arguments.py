"""What an operator writes behind a command in; out, what it stands for, or the sentence that tells why it cannot be."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any, ClassVar

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.urls import URLPattern, URLResolver, get_resolver

UNREACHABLE = "Redis could not be reached, so nothing is certain; call again when it can."


class Command(BaseCommand):
    """A command whose help ends with examples."""

    examples: ClassVar[str]
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """Keep the lines of the examples as they are."""
        return super().create_parser(
            prog_name, subcommand, epilog=self.examples, formatter_class=RawDescriptionHelpFormatter, **kwargs
        )


def add_asking(parser: ArgumentParser) -> None:
    """The arguments that `ask_first` reads."""
    parser.add_argument("--no-input", "--noinput", action="store_false", dest="interactive", help="do not ask")
    parser.add_argument("--json", action="store_true", help="tell the outcome as one line of JSON; does not ask")


def ask_first(question: str, options: dict[str, Any]) -> bool:
    """Whether whoever called says yes, or wants to be asked nothing. Raises CommandError where nobody is there."""
    if options["json"] or not options["interactive"]:
        return True
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        raise CommandError("There is nobody to ask; say --no-input.") from None


def read_user(given: str) -> str:
    """A primary key as everything that is kept of a user has it. Raises CommandError for what cannot be one."""
    try:
        return str(get_user_model()._meta.pk.to_python(given))
    except ValidationError:
        raise CommandError(f"--user takes a primary key; {given!r} cannot be one.") from None


def read_route(given: str) -> str:
    """The name of a view, as everything that is kept of it has it. Raises CommandError with names that are like it."""
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
