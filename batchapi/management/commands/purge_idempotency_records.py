"""`manage.py purge_idempotency_records`: deletes the records of Idempotency-Keys that have expired, or others."""

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from batchapi.conf import get_settings
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


class Command(BaseCommand):
    """Deletes in chunks."""

    help = HELP
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """Keep the lines of the examples as they are."""
        return super().create_parser(
            prog_name, subcommand, epilog=EXAMPLES, formatter_class=RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to delete, and how to go about it."""
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--all", action="store_true", help="all records, expired or not")
        which.add_argument("--user", metavar="PK", help="all records of a user, by primary key")
        parser.add_argument("--dry-run", action="store_true", help="count what would be deleted, and delete nothing")
        parser.add_argument("--no-input", "--noinput", action="store_false", dest="interactive", help="do not ask")
        parser.add_argument("--json", action="store_true", help="tell the outcome as one line of JSON; does not ask")

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
            return rows.filter(caller=f"user {user}"), f"records of user {user}"
        return rows.filter(expires__lte=now), "expired records"

    def is_wanted(self, options: dict[str, Any], what: str) -> bool:
        """Ask whoever called, where answers that are of use would go."""
        if not options["interactive"] or options["json"] or not (options["all"] or options["user"] is not None):
            return True
        try:
            return input(f"Delete {what}, also those not expired? [y/N] ").strip().lower() in ("y", "yes")
        except EOFError:
            raise CommandError("There is nobody to ask; say --no-input.") from None

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


def read_user(given: str) -> str:
    """A primary key as records have it."""
    try:
        return str(get_user_model()._meta.pk.to_python(given))
    except ValidationError:
        raise CommandError(f"--user takes a primary key; {given!r} cannot be one.") from None
