"""`manage.py purge_batch_cache`: forgets kept answers, all at once or those of a route, a user or a table."""

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from batchapi.invalidation import current_store, tables_of
from batchapi.management.routes import read_route
from batchapi.store import EVERYTHING, Found, Store
from batchapi.store.tags import route_tag, table_tag, user_tag

HELP = """\
Forgets answers that batches have kept, in all processes at once. Takes the same moment however many there are:
nothing is searched and deleted, what is kept just stops being fresh, and Redis drops it when its time is over.

Writes through Django need none of this: they outdate what was read from their tables by themselves. It is for writes
that no process of the project sees (a restored backup, a script in another language), and after a release whose views
answer differently.
"""
EXAMPLES = """\
examples:
  manage.py purge_batch_cache --all
  manage.py purge_batch_cache --route session-list --dry-run     # counts, and forgets nothing
  manage.py purge_batch_cache --user 42 --user 43 --no-input     # the answers that these users were given
  manage.py purge_batch_cache --table shop_order --table shop_item --json

A user's answers are forgotten together with those of a few others (one in 256), which costs them one miss.
exit codes: 0 it was done (or you said no), 1 it could not be done, 2 the cache is in the memory of each process
"""
PROGRESS_EVERY = 5_000  # entries


class Command(BaseCommand):
    """Moves generations; only --dry-run looks at entries."""

    help = HELP
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """Keep the lines of the examples as they are."""
        return super().create_parser(
            prog_name, subcommand, epilog=EXAMPLES, formatter_class=RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to forget, and how to go about it."""
        add: Callable[..., Any] = partial(parser.add_argument, action="append", default=[])
        parser.add_argument("--all", action="store_true", help="everything")
        add("--route", metavar="NAME", help="answers of a view, by its name with namespaces, else its URL pattern")
        add("--user", metavar="PK", help="answers that were given to a user, by primary key")
        add("--table", metavar="TABLE", help="answers that were read from a table, by its name or app.Model")
        parser.add_argument("--dry-run", action="store_true", help="count what would be forgotten, and forget nothing")
        parser.add_argument("--no-input", "--noinput", action="store_false", dest="interactive", help="do not ask")
        parser.add_argument("--json", action="store_true", help="tell the outcome as one line of JSON; does not ask")

    def handle(self, **options: Any) -> None:
        """Purge, or count. Raises CommandError for what does not exist, and where nothing could be done."""
        what = Selection.read(options)
        store = shared_store()
        if options["dry_run"]:
            self.tell(options, {"dry_run": True, "what": str(what), "entries": self.count(store, what)})
            return
        if options["interactive"] and not options["json"] and not self.is_wanted(what):
            self.tell(options, {"dry_run": False, "what": str(what), "purged": False})
            return
        if not store.move(what.tags):
            raise CommandError("Redis could not be reached, so nothing is certain; call again when it can.")
        self.tell(options, {"dry_run": False, "what": str(what), "purged": True})

    def count(self, store: Store, what: "Selection") -> int:
        """How many kept answers would be forgotten, with a word on the way."""
        found = 0
        for seen, entry in enumerate(store.scan(), 1):
            found += not entry.is_outdated and what.is_met_by(entry)
            if seen % PROGRESS_EVERY == 0:
                self.stderr.write(f"looked at {seen:,} answers, {found:,} of them so far …")
        if store.is_away:
            raise CommandError("Redis went away while the answers were counted; call again when it is back.")
        return found

    def is_wanted(self, what: "Selection") -> bool:
        """Ask whoever called."""
        try:
            return input(f"Forget {what}, in all processes? [y/N] ").strip().lower() in ("y", "yes")
        except EOFError:
            raise CommandError("There is nobody to ask; say --no-input.") from None

    def tell(self, options: dict[str, Any], outcome: dict[str, Any]) -> None:
        """The outcome, as a sentence or as a line of JSON."""
        if options["json"]:
            self.stdout.write(json.dumps(outcome))
        elif outcome["dry_run"]:
            self.stdout.write(f"{outcome['entries']:,} answers would be forgotten: {outcome['what']}.")
        else:
            self.stdout.write(f"Forgotten: {outcome['what']}." if outcome["purged"] else "Nothing was forgotten.")


class Selection(NamedTuple):
    """What is to be forgotten: entries that have one of these tags, or were given to one of these users."""

    tags: list[str]
    users: list[str]
    words: list[str]

    @classmethod
    def read(cls, options: dict[str, Any]) -> "Selection":
        """What the arguments name. Raises CommandError for nothing, and for what does not exist."""
        if options["all"]:
            return cls([EVERYTHING], [], ["everything"])
        tables = [table for given in options["table"] for table in sorted(read_table(given))]
        users = [read_user(given) for given in options["user"]]
        routes = [read_route(given) for given in options["route"]]
        words = [f"route {route}" for route in routes] + [f"user {user}" for user in users]
        words += [f"table {table}" for table in tables]
        if not words:
            raise CommandError("Say what to forget: --all, or any of --route, --user and --table.")
        tags = [*map(route_tag, routes), *map(user_tag, users), *map(table_tag, tables)]
        return cls(tags, users, words)

    def __str__(self) -> str:
        return ", ".join(self.words)

    def is_met_by(self, found: Found) -> bool:
        """Whether an entry is one of those; of a bucket of users only the answers of the user who was named count."""
        if EVERYTHING in self.tags or found.entry.user in self.users:
            return True
        return any(tag in found.entry.generations for tag in self.tags if not tag.startswith("u:"))


def shared_store() -> Store:
    """The store of all processes. Ends with 2 where each process has its own."""
    store = current_store()
    if store is None:
        raise CommandError("Batches keep no answers here; `manage.py check` says why, or ENABLE_CACHING is off.")
    if not store.is_shared:
        raise CommandError(
            "The cache is in the memory of each process, where no command can reach it. Restart the server, or use "
            "Redis for CACHES. What is written to the database is noticed all the same.",
            returncode=2,
        )
    return store


def read_table(given: str) -> frozenset[str]:
    """The table that a name or a label stands for."""
    try:
        return tables_of(given)
    except ValueError as error:
        raise CommandError(str(error)) from None


def read_user(given: str) -> str:
    """A primary key as kept answers have it."""
    try:
        return str(get_user_model()._meta.pk.to_python(given))
    except ValidationError:
        raise CommandError(f"--user takes a primary key; {given!r} cannot be one.") from None
