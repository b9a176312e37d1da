"""The lanes of one batch, and who watches over them from the caller's thread.

Opens lanes while those that are open stay busy, ends what takes too long, and gives up threads that do not come back.
"""

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from functools import partial
from time import monotonic, process_time
from typing import Any, cast

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from batchapi.batch import SubResponse
from batchapi.conf import Lanes
from batchapi.exceptions import DeadlineBeforeStart, NoLane
from batchapi.execute.abandoned import abandoned
from batchapi.execute.attempt import GRACE, Attempt
from batchapi.execute.board import Board
from batchapi.execute.connections import connect, connect_first, disown, lend, likely_aliases, take_back
from batchapi.execute.dedupe import view_of
from batchapi.execute.lanes import Lane, Surroundings
from batchapi.execute.naming import Sender, too_many_abandoned
from batchapi.execute.stack import Stack
from batchapi.execute.threads import pool
from batchapi.execute.work import drain

TICK = 0.002  # Seconds after which lanes that have finished nothing get company.
CONNECT_SECONDS = 0.5  # that a connection may take which nobody needs any more
FOREVER = float("inf")

logger = logging.getLogger("batchapi.crew")


class Crew:
    """The lanes that work on one board."""

    def __init__(self, board: Board, stack: Stack, *, limits: Lanes) -> None:
        self.board = board
        self.stack = stack
        self.limits = limits
        self.surroundings = Surroundings()
        self.sender = Sender(stack.caller, limits=limits)
        self.lent: dict[str, BaseDatabaseWrapper] = {}
        self.has_first = False  # since it has its connections
        self.lanes: set[Lane] = set()
        self.connecting: set[Lane] = set()  # They do not work yet, and nobody waits for them.
        self.most = 1 if any(map(allows_one, connections.all())) else limits.MAX_CONCURRENT_REQUESTS
        self.next_tick = monotonic() + TICK
        self.last_tick = monotonic()
        self.seen = 0  # nodes that were finished at the last tick
        self.process_time = process_time()

    def run(self, identify: Callable[[], str]) -> Generator[SubResponse]:
        """Have the board's work done."""
        if abandoned:
            self.refuse_if_too_many(identify)
        try:
            while not (self.board.schedule.is_over or self.board.failure):
                self.open_first()
                self.wait()
                self.end_late()
                self.open_more()
                yield from self.board.collect()
            if self.board.failure:
                raise self.board.failure
            yield from self.board.collect()
        finally:
            self.close()

    def refuse_if_too_many(self, identify: Callable[[], str]) -> None:
        """Refuse the batch of a caller who has too many threads out, or of one whom nobody names in time."""
        self.lent = self.lent or lend()
        lane = Lane(self.lent)
        until = min(self.board.run.deadline, monotonic() + self.board.run.timeout)
        is_let_in = self.sender.is_let_in(identify, lane, self.surroundings, until=until)
        if lane.is_abandoned:
            self.disown()
        if not is_let_in:
            with self.board.lock:
                self.board.refuse_rest(too_many_abandoned())

    def wait(self) -> None:
        """Sleep until there is something to see to."""
        board = self.board
        with board.lock:
            is_growing = self.may_open() > 0
            board.is_unwatched = not is_growing
            deadline = FOREVER if board.schedule.refuse else board.run.deadline  # The rest is refused once.
            board.rest(min([deadline, self.next_tick if is_growing else FOREVER, *self.times()]))
            if monotonic() >= deadline:
                board.refuse_rest(DeadlineBeforeStart("The batch came to its deadline first."))

    def times(self) -> Iterator[float]:
        """When the lanes must be seen to."""
        return (lane.next_step_at for lane in self.lanes)

    # -- opening

    def may_open(self) -> int:
        """How many more lanes would find work, and are allowed."""
        if not self.has_first or not self.board.schedule.has_work(is_first=False):
            return 0
        allowed = min(self.most - len(self.lanes) - len(self.connecting), self.limits.MAX_LANES - pool.working)
        return min(allowed, len(self.board.wave.ready))

    def open_first(self) -> None:
        """Have the lane with the caller's connections, if it is not there: it may have been left behind."""
        with self.board.lock:
            if self.board.schedule.is_over or any(lane.is_first for lane in self.lanes):
                return
        self.lent = self.lent or lend()
        if not self.start(Lane(self.lent), self.lanes):
            with self.board.lock:
                self.board.refuse_rest(NoLane("The system has no thread left."))

    def open_more(self) -> None:
        """As many lanes again as there are, if they have finished nothing since the last tick."""
        if monotonic() < self.next_tick:
            return
        with self.board.lock:
            is_stuck, self.seen = self.board.finished == self.seen, self.board.finished
            is_waiting = self.is_waiting()
            more = min(self.may_open(), len(self.lanes)) if is_stuck and is_waiting else 0
        self.next_tick = monotonic() + TICK
        for _ in range(more):
            if not self.start(Lane(), self.connecting):
                self.most = 1

    def is_waiting(self) -> bool:
        """Whether some lane has waited since the last tick, and nobody has held the interpreter all the time.

        Where lanes compute, more threads would only stand in each other's way.
        """
        elapsed, self.last_tick = monotonic() - self.last_tick, monotonic()
        before, self.process_time = self.process_time, process_time()
        shares = [lane.computed() / elapsed for lane in self.lanes if lane.attempts]
        return min(shares, default=1.0) < 0.2 and (self.process_time - before) / elapsed < 0.8

    def start(self, lane: Lane, where: set[Lane]) -> bool:
        """Have a thread serve as a lane; False if the system has none left."""
        with self.board.lock, suppress(RuntimeError):
            pool.start(partial(self.surroundings.run, partial(self.serve, lane)))
            where.add(lane)
        return lane in where

    def serve(self, lane: Lane) -> None:
        """On the lane's own thread: work until there is nothing left."""
        failure: BaseException | None = None
        lane.start_clock()
        try:
            with lane.connected():
                if self.join(lane):
                    drain(self.board, lane)
        except BaseException as error:  # It is the caller's: SystemExit in a view, or a mistake of ours.
            failure = error
        with self.board.lock:
            self.board.forget(lane, *lane.attempts)
            self.connecting.discard(lane)
            self.lanes.discard(lane)
            self.board.news.notify()
        if failure and lane.is_left_behind:
            logger.error("A view ended with an exception after it was answered for.", exc_info=failure)
        elif failure:
            self.board.stop(failure)
        if lane.is_left_behind:
            lane.close()
        if lane.is_abandoned:
            abandoned.remove(lane.caller)

    def aliases(self) -> set[str]:
        """What the views of this wave are likely to ask."""
        views = [view_of(member) for node in self.board.wave.nodes for member in node.members]
        return likely_aliases(views, self.lent)

    def join(self, lane: Lane) -> bool:
        """Whether a lane may begin: it has its connections, and there is still something to do.

        The first lane comes first, or others could take the last connection that there is; and it always may.
        """
        if lane.is_first:
            connect_first(self.aliases())
            with self.board.lock:
                self.has_first = lane.is_connected = True
            return True
        is_connected = connect(self.aliases())
        with self.board.lock:
            self.connecting.discard(lane)
            if is_connected and not self.board.is_stopped:
                lane.is_connected = True
                self.lanes.add(lane)
                return True
            self.most = min(self.most, len(self.lanes) + len(self.connecting))  # There are no more connections.
            return False

    # -- ending

    def end_late(self) -> None:
        """Cancel what takes too long, and give up what does not come back after that."""
        now = monotonic()
        with self.board.lock:
            overdue = [(lane, trying) for lane in self.lanes for trying in lane.attempts if trying.next_step_at <= now]
        for lane, trying in overdue:
            if trying.is_lost:
                self.give_up(lane, trying)
            else:
                send_cancel(trying)
        with self.board.lock:
            lost = {lane for lane in self.lanes if lane.is_lost}
            self.lanes -= lost
            for lane in lost:
                lane.is_left_behind = True
        if any(lane.is_first for lane in lost):
            self.disown()

    def disown(self) -> None:
        """Let whoever did not come back keep the caller's connections."""
        disown(self.lent)
        self.lent = {}

    def give_up(self, lane: Lane, trying: Attempt) -> None:
        """Answer for an attempt whose thread does not come back."""
        board = self.board
        with board.lock:
            if trying not in lane.attempts or trying.node is None or not trying.is_late:
                return  # It has come back just now, or gone on to the next member of its group.
            trying.is_given_up = True
            if trying.on_given_up:
                trying.on_given_up()
            if trying.has_written or not trying.node.is_safe:
                board.schedule.barrier = trying
            answers = board.run.given_up(trying.node, trying)
            board.untold.extend(board.note(trying, answers))
            self.sender.abandon(lane)
            if self.sender.is_refused(lane.caller):
                board.refuse_rest(too_many_abandoned())

    def close(self) -> None:
        """Let every lane leave: those that still work are ended."""
        self.board.stop()
        enough = monotonic() + CONNECT_SECONDS
        while self.lanes:
            with self.board.lock:
                for trying in [trying for lane in self.lanes for trying in lane.attempts]:
                    trying.ends_at = 0.0
                pause = min(self.times(), default=0.0) - monotonic()
                if pause > 0:
                    self.board.news.wait(min(pause, GRACE))
            self.end_late()
            if monotonic() >= enough:
                self.leave_unconnected()
        take_back(self.lent)

    def leave_unconnected(self) -> None:
        """Go on without a first lane whose database lets it wait for a connection."""
        with self.board.lock:
            stuck = {lane for lane in self.lanes if not lane.is_connected}
            for lane in stuck:
                lane.is_left_behind = True
                self.sender.abandon(lane)
            self.lanes -= stuck
        if stuck:
            self.disown()


def allows_one(connection: BaseDatabaseWrapper) -> bool:
    """Whether a database takes one view at a time: an SQLite one that is in memory, or locked by every request."""
    if connection.vendor != "sqlite":
        return False
    found, settings = cast(Any, connection), connection.settings_dict
    mode = str(settings["OPTIONS"].get("transaction_mode") or "DEFERRED").upper()  # It may not be connected yet.
    return bool((settings["ATOMIC_REQUESTS"] and mode != "DEFERRED") or found.is_in_memory_db())


def send_cancel(trying: Attempt) -> None:
    """Tell a thread to come back, from another one: a database that is gone takes its time to hear of it."""
    trying.note_cancel()
    try:
        pool.start(trying.cancel)
    except RuntimeError:  # The system has no thread left.
        trying.cancel()


def keep_time(board: Board, lane: Lane) -> None:
    """On a thread beside the caller's own, which works: cancel the queries of what takes too long."""
    while True:
        with board.lock:
            board.rest(min((trying.next_step_at for trying in lane.attempts if not trying.is_lost), default=FOREVER))
            if board.is_stopped or board.schedule.is_over:
                return
            now = monotonic()
            late = [trying for trying in lane.attempts if trying.next_step_at <= now and not trying.is_lost]
        for trying in late:
            send_cancel(trying)
