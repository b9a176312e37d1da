"""Every circuit of all processes that share a Redis."""

import json
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import fields as fields_of
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple

from batchapi.processes import debtors, residents
from batchapi.store.circuit import BUCKETS, PATIENCE, Opening, State, Terms
from batchapi.store.circuits import Call, list_states, log_change, logger
from batchapi.store.link import ROOM, Link
from batchapi.store.local_circuits import LocalCircuits

SCRIPT: Final = Path(__file__).with_name("circuits.lua").read_text()
FRESH = 1.0  # Seconds for which a process goes by what it knows of circuits before it asks again.


class Known(NamedTuple):
    """A circuit that is not closed, as this process last heard."""

    opening: Opening  # on the server's clock
    ends: float  # by time.monotonic()


class SharedCircuits:
    """The circuits of all processes on one Redis; of this process alone while that is away.

    Calls go by what this process knows, which is at most FRESH seconds old. In that time one of them costs a round
    trip, which also brings what has ended since the last one. Two cost one each: a call that may be a probe, of a
    circuit that is due to be half-open, and the end of a batch in which something has failed or probed.
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
        debtors.add(self)

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
