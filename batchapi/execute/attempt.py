"""One try at a sub-request: how long it may take, what its SQL did, and how it is ended from outside.

A thread cannot be stopped in Python. What can be done: cancel the query that it runs, raise at its next statement, and
refuse the COMMIT. So what is over writes nothing more, wherever its thread may hang.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from threading import Lock
from time import monotonic
from typing import Any, Literal, Protocol, TypeVar

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from batchapi.batch import Node, SubRequest
from batchapi.execute.footprint import Footprint

Answer = TypeVar("Answer")
Outcome = Literal["none", "rolled_back", "committed", "unknown"]
LONG = 1e6  # seconds; longer than anybody waits
GRACE = 0.2  # seconds that a thread has to come back once its query is cancelled
CANCELS = 4  # So many are sent in that time: one that comes just before its query begins does nothing.
CANCEL_SECONDS = 0.5  # A cancel goes over the network; nobody waits for it longer.
TAKES_BACK = re.compile(r"\s*(?:ROLLBACK|RELEASE)\b[^;]*;?\s*", re.IGNORECASE)  # may run at any time


class Line(Protocol):
    """The attempts of one wave, in effective order."""

    def is_at_the_front(self, attempt: "Attempt") -> bool:
        """Whether the answers of all in front are final."""


class AttemptOver(BaseException):
    """The time of this attempt has passed; raised where its thread next asks the database for something."""


class TooEarly(AttemptOver):
    """It came to what others notice before those in front of it were done. It starts over when they are."""


class Attempt:
    """Shared by the lane that works and whoever watches its time. A `Watcher` of its SQL."""

    def __init__(
        self,
        node: Node | None = None,
        place: int = 0,
        *,
        ends_at: float = float("inf"),
        is_enforced: bool = True,
        hurry: Callable[[float], None] | None = None,
    ) -> None:
        self.node = node
        self.place = place  # of the node in its wave
        self.ends_at = ends_at  # by time.monotonic()
        self.is_enforced = is_enforced  # else its end is told, and nothing is kept from happening
        self.hurry = hurry  # tells whoever keeps time that there is a new end
        self.lock = Lock()
        self.request: SubRequest | None = None
        self.deadline = ends_at  # of the batch
        self.seconds = float("inf")  # that its sub-request may take
        self.is_shortened = False  # the client gives it less than the server would
        self.is_tried_again = False  # its sub-request, whose view was called before
        self.has_all_its_time = (
            False  # it ends by what the server gives one attempt, and not by what was left, or asked
        )
        self.limit = "the deadline of the batch"  # that it has come to, if it is over
        self.on_given_up: Callable[[], None] | None = None  # tells whoever must not wait for its thread
        self.is_over = False
        self.is_overtaken = False  # somebody in front of it was noisy, so its answer will not count
        self.is_early = False  # it came to what others notice before its turn, and starts over
        self.tables: set[str] = set()  # that it wrote
        self.line: Line | None = None  # it stands in
        self.is_done = False  # its thread has gone on to something else
        self.is_given_up = False  # its thread did not come back in time, and it was answered without
        self.cancels = 0  # how often it was told to come back
        self.cancelled_at = 0.0  # the first time, by time.monotonic()
        self.interrupt: Callable[[], object] | None = None  # ends what is not in the database: an async view
        self.is_interrupted = False
        self.asks: set[BaseDatabaseWrapper] = set()  # the connection that it waits for at this moment
        self.has_written = False
        self.is_committed = False  # something that it wrote
        self.is_flying = False  # a write, or the COMMIT of writes, was sent and has not returned
        self.is_settling = False  # the last statement was a write that committed itself
        self.has_effects = False  # it wrote, or saved a session: what is done twice by doing it again
        self.is_deferred = False  # its cookies count once its answer is final
        self.cookies: list[Any] = []  # that it set
        self.footprint: Footprint | None = None  # where its answer may be kept
        self.used: set[BaseDatabaseWrapper] = set()
        self.cancelled: set[BaseDatabaseWrapper] = set()

    @property
    def outcome(self) -> Outcome:
        """What became of its writes. What is not committed by the end never will be: the COMMIT is refused."""
        if self.is_flying:
            return "unknown"
        if self.is_committed:
            return "committed"
        return "rolled_back" if self.has_written else "none"

    @property
    def is_late(self) -> bool:
        """Whether its time has passed, noticed by somebody or not."""
        return self.is_over or monotonic() >= self.ends_at

    def end_request(self, *, ends_at: float) -> None:
        """A sub-request is answered; what may still come, such as the COMMIT of its group, has until then."""
        with self.lock:
            self.request, self.ends_at = None, ends_at

    def begin_request(self, request: SubRequest, *, seconds: float, is_shortened: bool = False) -> None:
        """The time of a sub-request begins: so many seconds, and no longer than the batch has.

        `is_shortened` where the client gives it less than the server would.
        """
        ends_at = monotonic() + seconds
        with self.lock:
            self.request, self.seconds, self.ends_at = request, seconds, min(ends_at, self.deadline)
            self.cancels, self.is_shortened = 0, is_shortened
            self.has_all_its_time = ends_at < self.deadline and not is_shortened
            self.limit = f"the {seconds:g} seconds it had" if ends_at < self.deadline else "the deadline of the batch"
        if self.hurry:
            self.hurry(self.ends_at)

    def rest(self) -> None:
        """Its time stands still until it is tried again."""
        with self.lock:
            self.ends_at = self.deadline

    def begin_again(self, *, cookies: int) -> None:
        """It is tried again, with all its time; of its cookies only the first so many count. Raises AttemptOver."""
        assert self.request is not None
        self.check()
        self.stop_if_overtaken()
        del self.cookies[cookies:]
        self.is_tried_again = True
        self.begin_request(self.request, seconds=self.seconds, is_shortened=self.is_shortened)

    @property
    def next_step_at(self) -> float:
        """When whoever keeps time must see to it: at its end, and then again until its thread should have come back."""
        if self.is_given_up:
            return float("inf")
        return self.cancelled_at + min(self.cancels / CANCELS, 1) * GRACE if self.cancels else self.ends_at

    @property
    def is_lost(self) -> bool:
        """Whether its thread has been told to come back, and does not."""
        return self.cancels > 0 and self.is_late and monotonic() >= self.cancelled_at + GRACE

    def remaining(self) -> float:
        """Seconds that are left to it; not infinite, as `threading` would refuse that."""
        return min(max(self.ends_at - monotonic(), 0.0), LONG)

    def check(self) -> None:
        """Raise AttemptOver if its time has passed, unless that is only to be told."""
        if self.is_enforced and self.is_late:
            self.is_over = True
            raise AttemptOver

    def stop_if_overtaken(self) -> None:
        """Raise AttemptOver if its answer will not count."""
        if self.is_overtaken:
            raise AttemptOver

    def need_turn(self) -> None:
        """Before what others notice and cannot be taken back. Raises TooEarly unless all in front are done."""
        if self.line and not self.line.is_at_the_front(self):
            self.is_early = True
            raise TooEarly

    @property
    def is_ended(self) -> bool:
        """Whether it is kept from going on."""
        return self.is_enforced and self.is_over

    def in_time_or_over(self, answer: Answer) -> Answer:
        """An answer that came in time. Raises AttemptOver for one that did not, even where nobody is stopped."""
        if self.is_late:
            raise AttemptOver
        return answer

    @contextmanager
    def in_time(self) -> Iterator[None]:
        """A block that happens as a whole before the end, or AttemptOver; nothing in it may wait."""
        with self.lock:
            self.check()
            yield

    # -- watching its SQL, on its own thread

    def begin(self, connection: BaseDatabaseWrapper, sql: str, params: object, *, is_write: bool) -> None:
        """Raise AttemptOver instead of letting a statement run that comes too late."""
        if not TAKES_BACK.fullmatch(sql):
            with self.in_time():
                self.stop_if_overtaken()
                if is_write:
                    self.need_turn()
                self.used.add(connection)
                self.asks.add(connection)
                self.is_settling = False
                self.has_written |= is_write
                self.has_effects |= is_write
                self.is_flying |= is_write and is_autocommit(connection)
            if self.footprint and not is_write:
                self.footprint.note(connection, sql, params)

    def end(self, *, is_write: bool, is_done: bool) -> None:
        """Note what became of a write. Raise AttemptOver in place of the error of a query that was cancelled."""
        with self.lock:
            # On SQLite an INSERT … RETURNING that was interrupted as it returned is taken back when its row is read.
            is_open = is_done and any(asked.vendor == "sqlite" for asked in self.asks & self.cancelled)
            if self.is_flying and is_write and is_done and not is_open:
                self.is_committed = self.is_settling = True
            # A write that commits itself may have come through although the connection is gone.
            self.is_flying &= is_open or (not is_done and any(map(is_lost, self.asks)))
            self.asks.clear()
            if self.is_ended and not is_done:
                raise AttemptOver

    def commit(self, connection: BaseDatabaseWrapper, commit: Callable[[], None]) -> None:
        """COMMIT in time, else roll back. Raise AttemptOver in place of the error of one that was cancelled."""
        try:
            with self.in_time():
                self.is_flying = self.has_written
            commit()
        except (AttemptOver, Error):
            connection.rollback()  # If that raises as well, nobody knows what became of a COMMIT that was sent.
            with self.lock:
                self.is_flying = False
            if self.is_ended:
                raise AttemptOver from None
            raise
        with self.lock:
            self.is_committed |= self.has_written
            self.is_flying = False

    def close(self, connection: BaseDatabaseWrapper, close: Callable[[], None]) -> None:
        """Close a connection; for good if it was sent a cancel, so that no pool hands it to anybody else."""
        with self.lock:  # Nobody cancels meanwhile.
            raw: Any = connection.connection
            if connection in self.cancelled and connection.vendor == "postgresql" and raw is not None:
                raw.close()
        close()

    # -- ending it, from another thread

    def note_cancel(self) -> None:
        """It is about to be told to come back."""
        if not self.cancels:
            self.cancelled_at = monotonic()
        self.cancels += 1

    def cancel(self) -> None:
        """Let nothing more begin, and cancel what runs in the database.

        Under the lock, so that its thread does not come to its next query meanwhile. A cancel may still arrive late:
        connections that were sent one are closed.
        """
        with self.lock:
            if self.is_done or not self.is_late:
                return  # Or it has gone on to the next member of its group.
            self.is_over = True
            # Async views share a connection: theirs is cancelled only while it is this one's query that runs.
            for connection in self.used if self.interrupt is None else self.asks:
                self.cancelled.add(connection)
                if not (self.is_settling and connection.vendor == "sqlite"):  # INSERT … RETURNING ends with its rows.
                    cancel_query(connection)
            is_first, self.is_interrupted = not self.is_interrupted, True
        if self.interrupt and is_first:
            with suppress(RuntimeError):  # Its event loop has ended by itself.
                self.interrupt()

    def finish(self) -> None:
        """On its own thread: from here on no cancel is sent."""
        with self.lock:
            self.is_done = True

    def close_cancelled(self) -> None:
        """On its own thread, last of all: close the connections that were sent a cancel."""
        for connection in self.cancelled:
            with suppress(Error):
                connection.close()


def is_autocommit(connection: BaseDatabaseWrapper) -> bool:
    """Whether a statement that runs now is committed as it ends."""
    return connection.autocommit and not connection.in_atomic_block


def is_lost(connection: BaseDatabaseWrapper) -> bool:
    """Whether a connection has been ended by somebody else, as its driver knows; SQLite has none that could."""
    return bool(getattr(connection.connection, "closed", False))


def cancel_query(connection: BaseDatabaseWrapper) -> None:
    """Cancel what a connection runs at this moment, where its database can do that."""
    raw: Any = connection.connection
    with suppress(AttributeError, Error, connection.Database.Error):  # type: ignore[attr-defined] # It may be gone by now.
        if connection.vendor == "postgresql" and hasattr(raw, "cancel_safe"):
            raw.cancel_safe(timeout=CANCEL_SECONDS)
        elif connection.vendor == "postgresql":
            raw.cancel()
        elif connection.vendor == "sqlite":
            raw.interrupt()


current: ContextVar[Attempt | None] = ContextVar("batchapi_attempt", default=None)


def this() -> Attempt:
    """The attempt that this code runs for; elsewhere one that never ends."""
    return current.get() or Attempt()
