"""What a batch asks of the circuits of all views, and what an operator does; how that is told to both."""

import logging
from typing import Protocol

from batchapi.store.circuit import Opening, State, word_for

logger = logging.getLogger("batchapi.circuit")


class Circuits(Protocol):
    """What a batch asks, and what an operator does."""

    is_shared: bool  # False: each process has circuits of its own.

    def begin(self, route: str, seconds: float | None) -> "Call | float":
        """A call that may take so many seconds; or the seconds after which it is worth asking again.

        Without seconds it is never a probe.
        """

    def note(self, call: "Call", succeeded: bool | None) -> None:
        """A call has ended; None tells nothing of its view."""

    def tell(self) -> None:
        """A batch is over: have other processes know of what has failed in it, and of its probes."""

    def states(self) -> list[State]:
        """All circuits that are not closed, by route."""

    def isolate(self, route: str) -> bool:
        """By an operator's hand: nobody calls this view until it is reset. True if it is certain that it happened."""

    def reset(self, route: str) -> bool:
        """Close a circuit. True if it is certain that it happened."""


class Call:
    """One call of a view, to be ended once; whoever comes second with its end is not heard."""

    __slots__ = ("circuits", "is_ended", "route", "token")

    def __init__(self, circuits: Circuits, route: str, token: str | None = None) -> None:
        self.circuits = circuits
        self.route = route
        self.token = token  # of a probe
        self.is_ended = False

    def end(self, succeeded: bool | None) -> None:
        """How it came out, as far as its view is to blame: None where that cannot be said."""
        if not self.is_ended:
            self.is_ended = True
            self.circuits.note(self, succeeded)


def list_states(openings: dict[str, Opening], *, now: float, epoch: float = 0.0) -> list[State]:
    """Openings as an operator reads them; `epoch` is when their clock began, in seconds since 1970."""
    return [
        State(
            route=route,
            word=word_for(opening, now),
            since=epoch + opening.since,
            wait=max(opening.ends - now, 0.0),
            calls=opening.calls,
            failures=opening.failures,
        )
        for route, opening in sorted(openings.items())
    ]


def log_change(route: str, opening: Opening | None) -> None:
    """One line where a circuit opens, and one where it closes: not one for each call."""
    if opening is None:
        logger.info("%s is called again.", route, extra={"route": route, "circuit": "closed"})
    elif opening.is_isolated:
        logger.warning("%s was isolated by an operator.", route, extra={"route": route, "circuit": "isolated"})
    else:
        logger.warning(
            "%s is left alone: %d of its last %d calls have failed.",
            route,
            opening.failures,
            opening.calls,
            extra={"route": route, "circuit": "open"},
        )
