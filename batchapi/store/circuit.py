"""Calls of one view and how they ended in; out, whether it is called: closed, open, half-open, or isolated.

Time is handed in, in seconds on any clock that goes one way. `circuits.lua` says the same for all processes together.
"""

from collections import deque
from dataclasses import dataclass, field
from math import floor
from typing import Literal, NamedTuple

BUCKETS = 10  # that a window is counted in; the oldest leaves it as a whole
PATIENCE = 1.0  # Seconds after which it is worth asking again where all probes are out.

Word = Literal["closed", "open", "half-open", "isolated"]


class Terms(NamedTuple):
    """When a circuit opens, and how it closes again."""

    threshold: float  # share of the calls that fail, above 0
    window: float  # seconds
    min_calls: int
    reset: float  # seconds that it stays open
    probes: int


@dataclass(slots=True)
class Opening:
    """A circuit that is not closed."""

    since: float
    ends: float  # of the time in which nobody calls
    calls: int = 0  # in the window that opened it
    failures: int = 0
    is_isolated: bool = False  # by an operator: no time ends it
    successes: int = 0  # of probes
    probes: dict[str, float] = field(default_factory=dict)  # that are out: by token, when nobody waits for it any more


class State(NamedTuple):
    """What is known of a circuit that is not closed."""

    route: str
    word: Word
    since: float  # seconds since 1970
    wait: float  # seconds until it is probed; 0 where it is
    calls: int
    failures: int


class LocalCircuit:
    """One view's circuit, in this process. Whoever calls it holds a lock."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.counts: deque[tuple[int, int, int]] = deque()  # bucket, calls that succeeded in it, that failed
        self.opening: Opening | None = None

    def note(self, *, succeeded: int, failed: int, now: float) -> None:
        """Calls have ended that were not probes. Those that began before it opened tell nothing new."""
        if self.opening:
            return
        bucket = floor(now * BUCKETS / self.terms.window)
        if self.counts and self.counts[-1][0] == bucket:
            _, before, failed_before = self.counts.pop()
            self.counts.append((bucket, before + succeeded, failed_before + failed))
        else:
            self.counts.append((bucket, succeeded, failed))
        while self.counts[0][0] <= bucket - BUCKETS:
            self.counts.popleft()
        if not failed:
            return
        failures = sum(count for _, _, count in self.counts)
        calls = failures + sum(count for _, count, _ in self.counts)
        if calls >= self.terms.min_calls and failures >= self.terms.threshold * calls:
            self.open(now, calls=calls, failures=failures)

    def open(self, now: float, *, calls: int, failures: int) -> None:
        """Nobody calls for a while."""
        self.opening = Opening(since=now, ends=now + self.terms.reset, calls=calls, failures=failures)
        self.counts.clear()

    def wait(self, now: float) -> float:
        """Seconds after which it is worth asking again for whoever is no probe."""
        assert self.opening is not None
        if self.opening.is_isolated:
            return self.terms.reset
        return self.opening.ends - now if now < self.opening.ends else PATIENCE

    def ask(self, token: str, *, now: float, lease: float) -> float | None:
        """Have a call be let through: None; or the seconds after which it is worth asking again.

        Half-open, it is a probe under this token, which frees its place after `lease` seconds whatever becomes of it.
        """
        opening = self.opening
        if opening is None:
            return None
        if opening.is_isolated or now < opening.ends:
            return self.wait(now)
        opening.probes = {name: ends for name, ends in opening.probes.items() if ends > now}
        if len(opening.probes) + opening.successes >= self.terms.probes:
            return PATIENCE
        opening.probes[token] = now + lease
        return None

    def end_probe(self, token: str, *, succeeded: bool | None, now: float) -> None:
        """A probe has come back; None tells nothing. One that nobody waits for any more counts no more."""
        opening = self.opening
        if opening is None or opening.probes.pop(token, 0.0) <= now:
            return
        if succeeded is False:
            self.open(now, calls=opening.calls, failures=opening.failures)
        elif succeeded:
            opening.successes += 1
            if opening.successes >= self.terms.probes:
                self.reset()

    def isolate(self, now: float) -> None:
        """By an operator's hand: nobody calls until it is reset."""
        self.opening = Opening(since=now, ends=now, is_isolated=True)
        self.counts.clear()

    def reset(self) -> None:
        """Closed, as if nothing had ever failed."""
        self.opening = None
        self.counts.clear()


def word_for(opening: Opening, now: float) -> Word:
    """What an opening is called at a moment."""
    if opening.is_isolated:
        return "isolated"
    return "open" if now < opening.ends else "half-open"
