"""Who sent a batch, where threads did not come back; out, whether a batch of theirs is let in.

Authenticators ask the database, and one that stands still would hold up the caller's own thread for ever.
"""

from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from time import monotonic

from django.db import Error

from batchapi.conf import Lanes
from batchapi.exceptions import NoLane
from batchapi.execute.abandoned import abandoned
from batchapi.execute.lanes import Lane, Surroundings
from batchapi.execute.threads import pool


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
            self.name = name_in_time(identify, lane, surroundings, until=until)
        except Error:  # The database is away: the address will do.
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


def name_in_time(identify: Callable[[], str], lane: Lane, surroundings: Surroundings, *, until: float) -> str | None:
    """Who sent a batch, found out on a lane's thread. Raises what `identify` raises.

    None if that is not known by then (time.monotonic()). The thread that still asks keeps the connections that the lane
    has borrowed, and counts against the lane's caller.
    """
    future: Future[str] = Future()
    try:
        pool.start(partial(surroundings.run, partial(ask, identify, lane, future)))
    except RuntimeError:  # The system has no thread left, so nothing will run anyway.
        return lane.caller
    wait([future], max(until - monotonic(), 0))
    abandoned.add(lane.caller)
    if future.cancel():
        lane.is_abandoned = True
        return None
    abandoned.remove(lane.caller)  # It has just come back.
    return future.result()


def ask(identify: Callable[[], str], lane: Lane, future: "Future[str]") -> None:
    """On the lane's thread: find out, and say so if somebody still waits for it."""
    name, failure = "", None
    try:
        with lane.connected():
            name = identify()
    except BaseException as error:  # It is the caller's.
        failure = error
    if not future.set_running_or_notify_cancel():
        lane.close()
        abandoned.remove(lane.caller)
    elif failure:
        future.set_exception(failure)
    else:
        future.set_result(name)
