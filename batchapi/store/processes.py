"""What happens to the stores of a process when it forks and when it ends."""

import atexit
import os
from typing import Protocol
from weakref import WeakSet


class Resident(Protocol):
    """A store that has something which no child may use."""

    def restart(self) -> None:
        """In a child, before anything else runs: use no socket, lock or thread of the parent."""

    def last_try(self) -> None:
        """At the end of the process."""


residents: "WeakSet[Resident]" = WeakSet()


def restart_all() -> None:
    """In a child that was just forked."""
    for resident in list(residents):
        resident.restart()


def last_tries() -> None:
    """At the end of the process, after its threads."""
    for resident in list(residents):
        resident.last_try()


if hasattr(os, "register_at_fork"):  # Windows has no fork.
    os.register_at_fork(after_in_child=restart_all)
atexit.register(last_tries)
