"""`manage.py purge_batch_cache`: forgets kept answers, all at once or those of a route, a user or a table."""

import json
from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from django.core.management.base import CommandError

from batchapi.invalidation import current_store, tables_of
from batchapi.management import arguments
from batchapi.management.arguments import UNREACHABLE, add_asking, ask_first, read_route, read_user
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


class Command(arguments.Command):
    """Moves generations; only --dry-run looks at entries."""

    help = HELP
    examples = EXAMPLES

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to forget, and how to go about it."""
        add: Callable[..., Any] = partial(parser.add_argument, action="append", default=[])
        parser.add_argument("--all", action="store_true", help="everything")
        add("--route", metavar="NAME", help="answers of a view, by its name with namespaces, else its URL pattern")
        add("--user", metavar="PK", help="answers that were given to a user, by primary key")
        add("--table", metavar="TABLE", help="answers that were read from a table, by its name or app.Model")
        parser.add_argument("--dry-run", action="store_true", help="count what would be forgotten, and forget nothing")
        add_asking(parser)

    def handle(self, **options: Any) -> None:
        """Purge, or count. Raises CommandError for what does not exist, and where nothing could be done."""
        what = Selection.read(options)
        store = shared_store()
        if options["dry_run"]:
            self.tell(options, {"dry_run": True, "what": str(what), "entries": self.count(store, what)})
            return
        if not ask_first(f"Forget {what}, in all processes?", options):
            self.tell(options, {"dry_run": False, "what": str(what), "purged": False})
            return
        if not store.move(what.tags):
            raise CommandError(UNREACHABLE)
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
