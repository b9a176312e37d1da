"""What becomes of what a process holds when it forks and when it ends."""

import atexit
import os
from typing import Protocol
from weakref import WeakSet


class Resident(Protocol):
    """Has something that no child may use."""

    def restart(self) -> None:
        """In a child, before anything else runs: use no socket, lock or thread of the parent."""


class Debtor(Protocol):
    """Owes others something."""

    def last_try(self) -> None:
        """At the end of the process."""


residents: "WeakSet[Resident]" = WeakSet()
debtors: "WeakSet[Debtor]" = WeakSet()


def restart_all() -> None:
    """In a child that was just forked."""
    for resident in list(residents):
        resident.restart()


def last_tries() -> None:
    """At the end of the process, after its threads."""
    for debtor in list(debtors):
        debtor.last_try()


if hasattr(os, "register_at_fork"):  # Windows has no fork.
    os.register_at_fork(after_in_child=restart_all)
atexit.register(last_tries)
