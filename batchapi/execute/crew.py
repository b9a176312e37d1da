"""The lanes of one batch, and who watches over them from the caller's thread.

Opens lanes while those that are open stay busy, ends what takes too long, and gives up threads that do not come back.
"""

from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from batchapi.batch import SubResponse
from batchapi.conf import Lanes
from batchapi.exceptions import DeadlineBeforeStart, NoLane
from batchapi.execute.abandoned import abandoned
from batchapi.execute.attempt import GRACE, Attempt
from batchapi.execute.board import Board
from batchapi.execute.connections import connect, disown, lend, likely_aliases, take_back
from batchapi.execute.lanes import Lane, Surroundings
from batchapi.execute.stack import Stack
from batchapi.execute.threads import pool

TICK = 0.002  # Seconds after which lanes that have finished nothing get company.
FOREVER = float("inf")


class Crew:
    """The lanes that work on one board."""

    def __init__(self, board: Board, stack: Stack, *, limits: Lanes) -> None:
        self.board = board
        board.has_lanes = True
        self.stack = stack
        self.limits = limits
        self.surroundings = Surroundings()
        self.lent: dict[str, BaseDatabaseWrapper] = {}
        self.lanes: set[Lane] = set()
        self.connecting: set[Lane] = set()  # They do not work yet, and nobody waits for them.
        self.most = 1 if any(map(is_in_memory, connections.all())) else limits.MAX_CONCURRENT_REQUESTS
        self.next_tick = monotonic() + TICK
        self.seen = 0  # nodes that were finished at the last tick

    def run(self, identify: Callable[[], str]) -> Iterator[SubResponse]:
        """Have the board's work done."""
        if abandoned and self.is_refused(identify()):
            with self.board.lock:
                self.board.refuse_rest(too_many_abandoned())
        try:
            if not self.board.schedule.is_over:
                self.open_first()
            while not (self.board.schedule.is_over or self.board.failure):
                self.wait()
                self.end_late()
                self.open_more()
                yield from self.board.collect()
            if self.board.failure:
                raise self.board.failure
            yield from self.board.collect()
        finally:
            self.close()

    def wait(self) -> None:
        """Sleep until there is something to see to."""
        with self.board.lock:
            is_growing = self.may_open() > 0
            self.board.is_unwatched = not is_growing
            self.board.rest(min([self.board.run.deadline, self.next_tick if is_growing else FOREVER, *self.times()]))
            if monotonic() >= self.board.run.deadline:
                self.board.refuse_rest(DeadlineBeforeStart("The batch came to its deadline first."))

    def times(self) -> Iterator[float]:
        """When the lanes must be seen to."""
        return (lane.next_step_at for lane in self.lanes)

    # -- opening

    def may_open(self) -> int:
        """How many more lanes would find work, and are allowed."""
        if not self.board.schedule.has_work(is_first=False):
            return 0
        allowed = min(self.most - len(self.lanes) - len(self.connecting), self.limits.MAX_LANES - pool.working)
        return min(allowed, len(self.board.wave.ready))

    def open_first(self) -> None:
        """The lane with the caller's connections."""
        self.lent = lend()
        self.start(Lane(self.lent), self.lanes)

    def open_more(self) -> None:
        """As many lanes again as there are, if they have finished nothing since the last tick."""
        if monotonic() < self.next_tick:
            return
        with self.board.lock:
            is_stuck, self.seen = self.board.finished == self.seen, self.board.finished
            more = min(self.may_open(), len(self.lanes)) if is_stuck else 0
        self.next_tick = monotonic() + TICK
        for _ in range(more):
            self.start(Lane(), self.connecting)

    def start(self, lane: Lane, where: set[Lane]) -> None:
        """Have a thread serve as a lane."""
        with self.board.lock:
            where.add(lane)
        pool.start(partial(self.surroundings.run, partial(self.serve, lane)))

    def serve(self, lane: Lane) -> None:
        """On the lane's own thread: work until there is nothing left."""
        try:
            with lane.connected():
                if lane.is_first or self.join(lane, is_connected=connect(likely_aliases(self.lent))):
                    self.board.drain(lane)
        except BaseException as error:  # It is the caller's: SystemExit in a view, or a mistake of ours.
            self.board.stop(error)
        with self.board.lock:
            self.connecting.discard(lane)
            self.lanes.discard(lane)
            self.board.news.notify()
        if lane.is_abandoned:
            lane.close()
            abandoned.remove(lane.caller)

    def join(self, lane: Lane, *, is_connected: bool) -> bool:
        """Whether a lane may begin: it has its connections, and there is still something to do."""
        with self.board.lock:
            self.connecting.discard(lane)
            if is_connected and not self.board.is_stopped:
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
            late = [trying for _, trying in overdue if trying.cancelled_at is None]
            lost = [(lane, trying) for lane, trying in overdue if trying.cancelled_at is not None]
            for trying in late:
                trying.cancelled_at = now
        for trying in late:
            trying.cancel()
        for lane, trying in lost:
            self.give_up(lane, trying)

    def give_up(self, lane: Lane, trying: Attempt) -> None:
        """Answer for an attempt whose thread does not come back, and go on without that lane."""
        board = self.board
        with board.lock:
            if trying not in lane.attempts or trying.node is None:
                return  # It has come back just now.
            trying.is_given_up = True
            if not trying.node.is_safe:
                board.schedule.barrier = trying
            answers = board.run.given_up(trying.node, trying)
            board.untold.extend(board.note(trying, answers))
            if not lane.is_abandoned:
                lane.is_abandoned, lane.caller = True, self.stack.caller()
                abandoned.add(lane.caller)
            if self.is_refused(lane.caller):
                board.refuse_rest(too_many_abandoned())
            if all(other.is_given_up for other in lane.attempts):
                self.lanes.discard(lane)
        if lane.is_first and lane not in self.lanes:
            disown(self.lent)
            self.lent = {}
            if not (board.schedule.is_over or board.is_stopped):
                self.open_first()

    def is_refused(self, caller: str) -> bool:
        """Whether this caller, or everybody, has too many threads that did not come back."""
        limits = self.limits
        return abandoned.is_full(caller, per_caller=limits.MAX_ABANDONED_PER_CALLER, in_all=limits.MAX_ABANDONED_LANES)

    def close(self) -> None:
        """Let every lane leave: those that still work are ended."""
        self.board.stop()
        while self.lanes:
            with self.board.lock:
                for trying in [trying for lane in self.lanes for trying in lane.attempts]:
                    trying.ends_at = 0.0
                pause = min(self.times(), default=0.0) - monotonic()
                if pause > 0:
                    self.board.news.wait(min(pause, GRACE))
            self.end_late()
        take_back(self.lent)


def is_in_memory(connection: BaseDatabaseWrapper) -> bool:
    """Whether nobody else could see what a connection sees: an SQLite database in memory."""
    return connection.vendor == "sqlite" and bool(connection.is_in_memory_db())  # type: ignore[attr-defined]


def too_many_abandoned() -> NoLane:
    """What those hear who would get a thread if others had come back."""
    return NoLane("Too many sub-requests have overrun their time and have not ended yet.")


def keep_time(board: Board, lane: Lane) -> None:
    """On a thread beside the caller's own, which works: cancel the queries of what takes too long."""
    while not board.is_stopped:
        with board.lock:
            board.rest(min((a.ends_at for a in lane.attempts if a.cancelled_at is None), default=FOREVER))
            late = [a for a in lane.attempts if a.cancelled_at is None and a.ends_at <= monotonic()]
            for trying in late:
                trying.cancelled_at = monotonic()
        for trying in late:
            trying.cancel()
