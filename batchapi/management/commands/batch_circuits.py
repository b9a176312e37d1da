"""`manage.py batch_circuits`: which views are left alone because they kept failing, and an operator's hand on them."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError

from batchapi.conf import get_settings
from batchapi.execute.stack import find_circuits
from batchapi.management import arguments
from batchapi.management.arguments import UNREACHABLE, read_route
from batchapi.store import Circuits, State

HELP = """\
Shows the circuits that are not closed. A view whose calls keep failing is left alone for CIRCUIT_RESET seconds (open);
then a few calls probe it (half-open), and if they succeed it is called as before. Meanwhile its sub-requests are
answered 503 circuit_open, or with an old answer that was kept.

An isolated circuit was opened by hand, and stays open until it is reset by hand: for a view that harms what is behind
it, or during maintenance. All processes know of it within a second.
"""
EXAMPLES = """\
examples:
  manage.py batch_circuits                                  # what is not closed now
  manage.py batch_circuits --isolate session-stats          # call this view no more
  manage.py batch_circuits --reset session-stats --json     # call it again, as if nothing had failed

exit codes: 0 it was done, 1 it could not be done, 2 each process has circuits of its own (no Redis)
"""


class Command(arguments.Command):
    """Asks, and moves, what all processes share."""

    help = HELP
    examples = EXAMPLES

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do; without any of it, the circuits are shown."""
        parser.add_argument("--isolate", metavar="NAME", action="append", default=[], help="open it until it is reset")
        parser.add_argument("--reset", metavar="NAME", action="append", default=[], help="close it")
        parser.add_argument("--json", action="store_true", help="tell the outcome as one line of JSON")

    def handle(self, **options: Any) -> None:
        """Isolate, reset, and show what is left. Raises CommandError for a view that does not exist."""
        isolated, reset = ([read_route(name) for name in options[way]] for way in ("isolate", "reset"))
        circuits = shared_circuits()
        if not all([*map(circuits.isolate, isolated), *map(circuits.reset, reset)]):
            raise CommandError(UNREACHABLE)
        states = circuits.states()
        if options["json"]:
            self.stdout.write(json.dumps([state._asdict() for state in states]))
        else:
            self.stdout.write("\n".join(map(describe, states)) or "All circuits are closed.")


def shared_circuits() -> Circuits:
    """The circuits of all processes. Ends with 2 where each process has its own."""
    circuits = find_circuits(get_settings())
    if circuits is None:
        raise CommandError("No circuit ever opens here: CIRCUIT_THRESHOLD is None.")
    if not circuits.is_shared:
        raise CommandError(
            "Each process has circuits of its own, where no command can reach them. Use Redis for CACHES.", returncode=2
        )
    return circuits


def describe(state: State) -> str:
    """One line."""
    since = datetime.fromtimestamp(state.since, UTC).isoformat(timespec="seconds")
    why = "by hand" if state.word == "isolated" else f"{state.failures} of {state.calls} calls had failed"
    then = f", probed in {state.wait:.0f} s" if state.word == "open" else ""
    return f"{state.route}: {state.word} since {since}, {why}{then}"
