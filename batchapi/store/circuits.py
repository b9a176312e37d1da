"""Every circuit of this process, or of all processes where they share a Redis."""

import json
import logging
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import fields as fields_of
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple, Protocol

from batchapi.store.circuit import BUCKETS, PATIENCE, Circuit, Opening, State, Terms, word_for
from batchapi.store.link import Link
from batchapi.store.processes import residents
from batchapi.store.shared import ROOM

logger = logging.getLogger("batchapi.circuit")

SCRIPT: Final = Path(__file__).with_name("circuits.lua").read_text()
FRESH = 1.0  # Seconds for which a process goes by what it knows, before it asks again; no request is sent more often.


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


class LocalCircuits:
    """The circuits of one process."""

    is_shared = False

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.start()
        residents.add(self)

    def start(self) -> None:
        """Know nothing."""
        self.lock = Lock()
        self.circuits: dict[str, Circuit] = {}

    def begin(self, route: str, seconds: float | None) -> Call | float:
        """See `Circuits.begin`."""
        token = secrets.token_hex(8)
        with self.lock:
            circuit = self.circuits.get(route)
            if circuit is None or circuit.opening is None:
                return Call(self, route)
            if seconds is None:
                return circuit.wait(time.monotonic())
            wait = circuit.ask(token, now=time.monotonic(), lease=seconds + PATIENCE)
        return Call(self, route, token) if wait is None else wait

    def note(self, call: Call, succeeded: bool | None) -> None:
        """See `Circuits.note`."""
        with self.lock:
            circuit = self.circuits.setdefault(call.route, Circuit(self.terms))
            before = circuit.opening
            if call.token:
                circuit.end_probe(call.token, succeeded=succeeded, now=time.monotonic())
            elif succeeded is not None:
                circuit.note(succeeded=int(succeeded), failed=int(not succeeded), now=time.monotonic())
            after = circuit.opening
        if after is not before:
            log_change(call.route, after)

    def tell(self) -> None:
        """See `Circuits.tell`: there is nobody else."""

    def states(self) -> list[State]:
        """See `Circuits.states`."""
        now = time.monotonic()
        with self.lock:
            openings = {route: circuit.opening for route, circuit in self.circuits.items() if circuit.opening}
        return list_states(openings, now=now, epoch=time.time() - now)

    def isolate(self, route: str) -> bool:
        """See `Circuits.isolate`."""
        with self.lock:
            self.circuits.setdefault(route, Circuit(self.terms)).isolate(time.monotonic())
        return True

    def reset(self, route: str) -> bool:
        """See `Circuits.reset`."""
        with self.lock:
            self.circuits.pop(route, None)
        return True

    def restart(self) -> None:
        """In a child: the lock may be held by a thread that is not there."""
        self.start()

    def last_try(self) -> None:
        """At the end of the process: nobody else would want to know."""


class Known(NamedTuple):
    """A circuit that is not closed, as this process last heard."""

    opening: Opening  # on the server's clock
    ends: float  # by time.monotonic()


class SharedCircuits:
    """The circuits of all processes on one Redis; of this process alone while that is away.

    Calls go by what this process knows, which is at most a second old. One round trip at most in that second asks, and
    brings what has ended since the last one; one more at the end of a batch in which something has failed.
    """

    is_shared = True

    def __init__(
        self, link: Link, make_key: Callable[[str], str], terms: Terms, *, clock: Callable[[], float] | None = None
    ) -> None:
        """`make_key` names our keys on the server of `link`. Time is the server's, or in place of that a clock's."""
        self.link, self.make_key, self.terms, self.clock = link, make_key, terms, clock
        self.alone = LocalCircuits(terms)
        self.start()
        residents.add(self)

    def start(self) -> None:
        """Know nothing, and ask before the first call."""
        self.lock = Lock()
        self.asking = Lock()
        self.asked_at = float("-inf")
        self.known: dict[str, Known] = {}
        self.calls: dict[str, list[int]] = {}  # by route: how many have succeeded and failed since the last trip
        self.ended: list[tuple[str, str, str]] = []  # probes
        self.is_urgent = False
        self.is_refused = False  # The server runs no scripts of ours.

    def begin(self, route: str, seconds: float | None) -> Call | float:
        """See `Circuits.begin`."""
        if time.monotonic() - self.asked_at >= FRESH and self.asking.acquire(blocking=False):
            try:
                self.trip()
            finally:
                self.asking.release()
        known = self.known.get(route)
        if known is None:
            return self.alone.begin(route, seconds) if self.is_alone else Call(self, route)
        if known.opening.is_isolated:
            return self.terms.reset
        if (wait := known.ends - time.monotonic()) > 0:
            return wait
        return PATIENCE if seconds is None else self.probe(route, seconds)

    @property
    def is_alone(self) -> bool:
        """Whether this process goes by what it sees itself."""
        return self.is_refused or self.link.is_away

    def probe(self, route: str, seconds: float) -> Call | float:
        """See `Circuits.begin`, for a circuit that may be half-open by now: only the server knows."""
        token = secrets.token_hex(8)
        waits = self.trip(asked=[(route, token, seconds + PATIENCE)])
        if waits is None:
            return self.alone.begin(route, seconds)
        return float(waits[0]) if waits[0] else Call(self, route, token)

    def note(self, call: Call, succeeded: bool | None) -> None:
        """See `Circuits.note`."""
        if self.is_alone and not call.token:
            return self.alone.note(call, succeeded)
        with self.lock:
            if call.token:
                self.ended.append(
                    (call.route, call.token, {True: "succeeded", False: "failed", None: "neither"}[succeeded])
                )
            elif succeeded is not None:
                self.calls.setdefault(call.route, [0, 0])[not succeeded] += 1
            self.is_urgent |= bool(call.token) or succeeded is False
        return None

    def tell(self) -> None:
        """See `Circuits.tell`."""
        if self.is_urgent:
            self.trip()

    def trip(
        self,
        *,
        asked: Iterable[tuple[str, str, float]] = (),
        isolated: Iterable[str] = (),
        closed: Iterable[str] = (),
    ) -> list[bytes] | None:
        """Tell what has ended, ask, and learn which circuits are not closed; None while the server is away."""
        with self.lock:
            calls, self.calls = self.calls, {}
            ended, self.ended = self.ended, []
            self.is_urgent, self.asked_at = False, time.monotonic()
        message: dict[str, Any] = {
            **self.terms._asdict(),
            "buckets": BUCKETS,
            "patience": PATIENCE,
            "ended": ended,
            "asked": [*asked],
            "calls": [[route, *counts] for route, counts in calls.items()],
            "isolated": [*isolated],
            "closed": [*closed],
        }
        if self.clock:
            message["now"] = self.clock()
        keys = [self.key("circuits"), *(self.key(f"calls:{route}") for route in (*calls, *isolated, *closed))]
        answers = self.link.trip(("EVAL", SCRIPT, len(keys), *keys, json.dumps(message)), may_refuse=True)
        if answers is None or isinstance(answers[0], Exception):
            self.refuse(answers)
            return None
        self.is_refused = False
        now, fields, waits = answers[0]
        self.learn(float(now), dict(zip(fields[::2], fields[1::2], strict=True)))
        return list(waits)

    def refuse(self, answers: list[Any] | None) -> None:
        """Go by what this process sees itself, where the server runs no script. Kept answers are not harmed by that."""
        was_refused, self.is_refused = self.is_refused, answers is not None
        if answers and not was_refused:
            logger.warning("Circuits are this process's alone, since Redis runs no script: %s", answers[0])

    def learn(self, now: float, fields: dict[bytes, bytes]) -> None:
        """What the server knows at a moment of its clock. Whatever this process thought while it was away is over."""
        here = time.monotonic()
        openings = {route.decode(): opening for route, text in fields.items() if (opening := read_opening(text))}
        with self.lock:
            before, self.known = (
                self.known,
                {route: Known(opening, here + opening.ends - now) for route, opening in openings.items()},
            )
        self.alone.circuits.clear()
        for route in before.keys() | openings.keys():
            had, has = before.get(route), openings.get(route)
            if (had and had.opening.since) != (has and has.since):
                log_change(route, has)

    def key(self, name: str) -> str:
        """Where something lies."""
        return self.make_key(f"{ROOM}:{name}")

    def states(self) -> list[State]:
        """See `Circuits.states`."""
        self.trip()
        here = time.monotonic()
        with self.lock:
            known = dict(self.known)
        alone = {state.route: state for state in self.alone.states()}
        shared = [
            state
            for route, one in known.items()
            for state in list_states({route: one.opening}, now=here - one.ends + one.opening.ends)
        ]
        return sorted({**{state.route: state for state in shared}, **alone}.values())

    def isolate(self, route: str) -> bool:
        """See `Circuits.isolate`."""
        return self.trip(isolated=[route]) is not None

    def reset(self, route: str) -> bool:
        """See `Circuits.reset`."""
        return self.trip(closed=[route]) is not None

    def restart(self) -> None:
        """In a child: the locks may be held by threads that are not there."""
        self.start()

    def last_try(self) -> None:
        """At the end of the process: have the others know of what has failed."""
        self.tell()


def read_opening(text: bytes) -> Opening | None:
    """An opening as the script wrote it, or one of another release; None for anything else."""
    try:
        told: dict[str, Any] = json.loads(text)
        return Opening(**{field.name: told[field.name] for field in fields_of(Opening) if field.name in told})
    except (TypeError, ValueError):
        return None


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
