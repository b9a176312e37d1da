"""Whoever can name the caller of a batch in, the name out; in time, or not at all.

Authenticators ask the database, and one that stands still would hold up the caller's own thread for ever.
"""

from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from time import monotonic

from batchapi.execute.abandoned import abandoned
from batchapi.execute.lanes import Lane, Surroundings
from batchapi.execute.threads import pool


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
