"""`manage.py purge_idempotency_records`: deletes the records of Idempotency-Keys that have expired, or others."""

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError
from django.db import DatabaseError
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from batchapi.callers import name_user
from batchapi.conf import get_settings
from batchapi.management import arguments
from batchapi.management.arguments import add_asking, ask_first, read_user
from batchapi.models import IdempotencyRecord

HELP = """\
Deletes the records that batches with an Idempotency-Key have left, once they have expired (IDEMPOTENCY_TTL).

Batches do not read records that have expired, so all that this changes is the size of the table: run it once a day.
It deletes a thousand rows at a time, each in a transaction of its own, so it can run beside everything else and can be
stopped and started again.
"""
EXAMPLES = """\
examples:
  manage.py purge_idempotency_records                    # those that have expired; asks nothing
  manage.py purge_idempotency_records --dry-run --json   # counts them, and deletes nothing
  manage.py purge_idempotency_records --user 42          # all of a user, when an account is closed
  manage.py purge_idempotency_records --all --no-input

crontab:
  17 4 * * *  cd /srv/project && python manage.py purge_idempotency_records

With --user or --all also answers that could still be had again are deleted: whoever sends such a batch again has it
run again. Keys that a batch holds at this moment are left alone.
exit codes: 0 it was done (or you said no), 1 it could not be done
"""
CHUNK = 1_000  # rows


class Command(arguments.Command):
    """Deletes in chunks."""

    help = HELP
    examples = EXAMPLES

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to delete, and how to go about it."""
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--all", action="store_true", help="all records, expired or not")
        which.add_argument("--user", metavar="PK", help="all records of a user, by primary key")
        parser.add_argument("--dry-run", action="store_true", help="count what would be deleted, and delete nothing")
        add_asking(parser)

    def handle(self, **options: Any) -> None:
        """Delete, or count. Raises CommandError for what makes no sense, and where the table cannot be had."""
        rows, what = self.choose(options)
        outcome: dict[str, Any] = {"dry_run": options["dry_run"], "what": what, "deleted": 0}
        try:
            if options["dry_run"]:
                outcome = {"dry_run": True, "what": what, "records": rows.count()}
            elif self.is_wanted(options, what):
                for outcome["deleted"] in self.delete(rows):
                    self.stderr.write(f"deleted {outcome['deleted']:,} records so far …")
        except DatabaseError as error:
            raise CommandError(f"The table could not be read or written: {error}") from error
        self.tell(options, outcome)

    def choose(self, options: dict[str, Any]) -> tuple["QuerySet[IdempotencyRecord]", str]:
        """The rows, and words for them. Never those of a key that a batch holds."""
        now = timezone.now()
        table = IdempotencyRecord.objects.using(get_settings().layers.ATOMIC_GROUP_ALIAS)
        held = table.filter(caller=OuterRef("caller"), key=OuterRef("key"), lease__gt=now)
        rows = table.exclude(Exists(held))
        if options["all"]:
            return rows, "all records"
        if options["user"] is not None:
            user = read_user(options["user"])
            return rows.filter(caller=name_user(get_user_model(), user)), f"records of user {user}"
        return rows.filter(expires__lte=now), "expired records"

    def is_wanted(self, options: dict[str, Any], what: str) -> bool:
        """Ask whoever called, where answers that are of use would go."""
        has_use = options["all"] or options["user"] is not None
        return not has_use or ask_first(f"Delete {what}, also those not expired?", options)

    def delete(self, rows: "QuerySet[IdempotencyRecord]") -> Iterator[int]:
        """Delete a chunk at a time; yields how many are gone by then."""
        deleted = 0
        while True:
            names = list(rows.values_list("pk", flat=True)[:CHUNK])
            if not names:
                return
            gone, _by_model = rows.filter(pk__in=names).delete()  # Some may be held by now.
            deleted += gone
            yield deleted

    def tell(self, options: dict[str, Any], outcome: dict[str, Any]) -> None:
        """The outcome, as a sentence or as a line of JSON."""
        if options["json"]:
            self.stdout.write(json.dumps(outcome))
        elif outcome["dry_run"]:
            self.stdout.write(f"{outcome['records']:,} would be deleted: {outcome['what']}.")
        else:
            self.stdout.write(f"{outcome['deleted']:,} deleted: {outcome['what']}.")
