"""Throttle checks one at a time, in effective order: of a hundred sub-requests it is the *first* ten that pass.

DRF's throttles read a count and then write it; two at a time would both find room for one.
"""

from collections import deque
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from threading import Condition

from batchapi.execute import attempt
from batchapi.execute.attempt import AttemptOver


class Turnstile:
    """The places of a wave's sub-requests that may be throttled, in effective order; each passes once."""

    def __init__(self, places: Iterable[int]) -> None:
        self.queue = deque(places)
        self.passed: set[int] = set()
        self.moved = Condition()

    def wait(self, place: int) -> None:
        """Return when everybody in front has passed. Raises AttemptOver where time is over before that."""
        trying = attempt.this()

        def is_next() -> bool:
            return not self.queue or self.queue[0] >= place or trying.is_overtaken

        with self.moved:
            has_come = self.moved.wait_for(is_next, trying.remaining())
        trying.stop_if_overtaken()
        if not has_come:
            raise AttemptOver

    def leave(self, place: int) -> None:
        """Let the next one through."""
        if not self.queue:
            return
        with self.moved:
            self.passed.add(place)
            while self.queue and self.queue[0] in self.passed:
                self.queue.popleft()
            self.moved.notify_all()

    def wake(self) -> None:
        """Let those who wait look again whether they are still wanted."""
        with self.moved:
            self.moved.notify_all()


class Turn:
    """One sub-request's throttle checks. They count once, however often its view is tried."""

    def __init__(self, turnstile: Turnstile, place: int) -> None:
        self.turnstile = turnstile
        self.place = place
        self.outcomes: list[Exception | None] = []  # of each check that a try has come to
        self.checks = 0  # that the present try has come to

    def begin(self) -> None:
        """A try begins: it will come to the same checks."""
        self.checks = 0

    def take(self, check: Callable[[], None]) -> None:
        """Run a check when it is its turn, or have the outcome that it had before. Raises what it raises."""
        self.checks += 1
        if self.checks > len(self.outcomes):
            self.turnstile.wait(self.place)
            try:
                check()
            except Exception as refusal:
                self.outcomes.append(refusal)
            else:
                self.outcomes.append(None)
            self.leave()
        if (outcome := self.outcomes[self.checks - 1]) is not None:
            raise outcome

    def leave(self) -> None:
        """There will be no more checks: let the next one through."""
        self.turnstile.leave(self.place)


current: ContextVar[Turn | None] = ContextVar("batchapi_turn", default=None)
