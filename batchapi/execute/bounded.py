"""Work that asks the database for a batch as a whole, in; out, what came of it in time, or nothing.

On the caller's own thread, a database that stands still would hold it up for ever.
"""

from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from time import monotonic
from typing import TypeVar

from django.db import connections

from batchapi.conf import Settings
from batchapi.execute.abandoned import abandoned
from batchapi.execute.attempt import LONG
from batchapi.execute.connections import disown, is_callers, lend, take_back
from batchapi.execute.lanes import Lane, Surroundings
from batchapi.execute.threads import pool
from batchapi.middleware import strangers

T = TypeVar("T")


def is_on_callers_thread(settings: Settings) -> bool:
    """Whether middleware may have left something on the caller's thread that nobody can carry to another one."""
    layers = settings.layers
    return bool(strangers(*layers.SUBREQUEST_MIDDLEWARE, *layers.KNOWN_MIDDLEWARE))


def do_in_time(work: Callable[[], T], *, until: float, sender: str, is_here: bool = False) -> T | None:
    """What work returns, done on a lane's thread with the caller's connections; None if not by then (time.monotonic()).

    Raises what it raises. A thread that does not come back keeps the connections, and counts against the sender. If it
    `is_here`, or in a transaction that somebody opened around the batch, it takes as long as it takes.
    """
    if is_here or any(map(is_callers, connections.all(initialized_only=True))):
        return work()
    lent = lend()
    lane = Lane(lent)
    lane.caller = sender
    try:
        return in_time(work, lane, Surroundings(), until=until)
    finally:
        if lane.is_abandoned:
            disown(lent)
        else:
            take_back(lent)


def in_time(work: Callable[[], T], lane: Lane, surroundings: Surroundings, *, until: float) -> T | None:
    """The same on a lane that there is. It is abandoned if its thread does not come back."""
    future: Future[T] = Future()
    try:
        pool.start(partial(surroundings.run, partial(do, work, lane, future)))
    except RuntimeError:  # The system has no thread left, so nothing will run anyway.
        return None
    wait([future], min(max(until - monotonic(), 0), LONG))
    abandoned.add(lane.caller)
    if future.cancel():
        lane.is_abandoned = True
        return None
    abandoned.remove(lane.caller)  # It has just come back.
    return future.result()


def do(work: Callable[[], T], lane: Lane, future: "Future[T]") -> None:
    """On the lane's thread: do it, and say so if somebody still waits for it."""
    failure: BaseException | None = None
    try:
        with lane.connected():
            found = work()
    except BaseException as error:  # It is the caller's.
        failure = error
    if not future.set_running_or_notify_cancel():
        lane.close()
        abandoned.remove(lane.caller)
    elif failure:
        future.set_exception(failure)
    else:
        future.set_result(found)
