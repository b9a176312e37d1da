"""Who sent a batch, where threads did not come back; out, whether a batch of theirs is let in.

Authenticators ask the database, and one that stands still would hold up the caller's own thread for ever.
"""

from collections.abc import Callable

from django.db import Error
from rest_framework.exceptions import APIException

from batchapi.conf import Lanes
from batchapi.exceptions import NoLane
from batchapi.execute.abandoned import abandoned
from batchapi.execute.bounded import in_time
from batchapi.execute.lanes import Lane, Surroundings


class Sender:
    """Whom the threads that work for one batch count against, should they not come back."""

    def __init__(self, name_so_far: Callable[[], str], *, limits: Lanes) -> None:
        """`name_so_far` asks nobody: the user whom a view has authenticated by now, else the address."""
        self.name_so_far = name_so_far
        self.limits = limits
        self.name: str | None = None  # if somebody had to ask

    def is_let_in(self, identify: Callable[[], str], lane: Lane, surroundings: Surroundings, *, until: float) -> bool:
        """Whether a batch may run: not where too many threads are out, or nobody names its sender by `until`.

        The lane is abandoned where the thread that asks for the name does not come back.
        """
        lane.caller = f"unnamed {self.name_so_far()}"
        if self.is_refused(lane.caller):
            return False
        try:
            self.name = in_time(identify, lane, surroundings, until=until)
        except (Error, APIException):  # Nobody can tell now: the address will do.
            self.name = self.name_so_far()
        return self.name is not None and not self.is_refused(self.name)

    def is_refused(self, caller: str) -> bool:
        """Whether this caller, or everybody, has too many threads that did not come back."""
        limits = self.limits
        return abandoned.is_full(caller, per_caller=limits.MAX_ABANDONED_PER_CALLER, in_all=limits.MAX_ABANDONED_LANES)

    def abandon(self, lane: Lane) -> None:
        """Count a lane against whoever sent the batch. Called under the board's lock."""
        if not lane.is_abandoned:
            lane.is_abandoned, lane.caller = True, self.name or self.name_so_far()
            abandoned.add(lane.caller)


def too_many_abandoned() -> NoLane:
    """What those hear who would get a thread if others had come back."""
    return NoLane("Too many sub-requests have overrun their time and have not ended yet.")
