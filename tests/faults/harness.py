"""A fault in, out what clients saw of it: statuses, how long it took to be over, what was lost or done twice."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

from tests.faults.client import Client
from tests.faults.ledger import Ledger, Row, Trip
from tests.serving.server import Server

CALLERS = ("caller-0", "caller-0", "caller-1")  # Two of one, so that they meet on the same rows.
WINDOW = 0.8  # seconds that a fault lasts at least
SETTLED = 0.2  # seconds in which it takes hold
PATIENCE = 20.0  # seconds in which all has to be well again


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What came of one fault."""

    name: str
    batches: int  # that were under way while it lasted, or before all was well again
    seen: Counter[str]  # what their sub-requests were told in place of a right answer
    slowest: float  # seconds of the slowest of them
    recovery: float  # seconds from the end of the fault to the answer of the first batch in which all was right
    hits: int  # batches with kept answers, of those that came and went while it lasted
    kept_again: float | None  # seconds from its end to the first batch with a kept answer, where answers are kept
    faults: dict[str, list[Any]]  # where the database is not as clients were told

    def __str__(self) -> str:
        """A row of the table in docs/reliability.md."""
        seen = ", ".join(f"{what}: {times}" for what, times in self.seen.most_common()) or "nothing"
        lost, twice = (len(self.faults.get(name, [])) for name in ("lost", "twice"))
        kept = "" if self.kept_again is None else f"{self.kept_again:.1f} s"
        times = f"{self.slowest:.1f} s | {self.recovery:.1f} s | {kept}"
        return f"| {self.name} | {self.batches} | {seen} | {times} | {lost} | {twice} |"


@contextmanager
def clients(
    server: Server, ledger: Ledger, *, callers: Iterable[str] = CALLERS, keyed: Iterable[str] = ()
) -> Iterator[list[Client]]:
    """Clients that send batches for the length of the block, each waiting for its answer before the next.

    Those of the callers in `keyed` send each batch under a key, again and again until all of it is done.
    """
    crowd = [Client(server.port, caller, ledger) for caller in callers]
    crowd += [Client(server.port, caller, ledger, is_keyed=True) for caller in keyed]
    for client in crowd:
        client.prepare()
    for client in crowd:
        client.foreign = next(other.fixed["id"] for other in crowd if other.caller != client.caller)
    stop = Event()
    threads = [Thread(target=client.run, args=[stop]) for client in crowd]
    for thread in threads:
        thread.start()
    try:
        yield crowd
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def measure(
    name: str,
    server: Server,
    fault: AbstractContextManager[object],
    rows: Callable[[], list[Row]],
    *,
    window: float = WINDOW,
    is_kept: bool = True,
) -> Figures:
    """Let clients work before, during and after a fault. Fails if it is not over soon after its end.

    `is_kept` says that answers are kept, so hits are waited for.
    """

    def is_well(trip: Trip) -> bool:
        return trip.is_good and (trip.has_hit or not is_kept)

    ledger = Ledger()
    with clients(server, ledger):
        wait_for(ledger, is_well, since=0.0)
        begun = time.monotonic()
        with fault:
            time.sleep(window)
            wait_for(ledger, lambda _: True, since=begun)
            ending = time.monotonic()
        ended = time.monotonic()
        well = wait_for(ledger, is_well, since=ended)
    trips = [trip for trip in ledger.trips if trip.ended > begun and trip.began < well]
    return Figures(
        name=name,
        batches=len(trips),
        seen=sum((trip.seen for trip in trips), Counter()),
        slowest=max(trip.ended - trip.began for trip in trips),
        recovery=first(trips, lambda trip: trip.is_good, since=ended),
        hits=sum(trip.has_hit for trip in trips if trip.began > begun + SETTLED and trip.ended < ending),
        kept_again=first(trips, lambda trip: trip.has_hit, since=ended) if is_kept else None,
        faults=ledger.faults_of(rows()),
    )


def first(trips: list[Trip], is_so: Callable[[Trip], bool], *, since: float) -> float:
    """Seconds until the first answer of that kind to a batch sent since then."""
    return min(trip.ended for trip in trips if is_so(trip) and trip.began >= since) - since


def wait_for(ledger: Ledger, is_so: Callable[[Trip], bool], *, since: float) -> float:
    """Wait until each client has had an answer of that kind to a batch sent since then; the time of the last."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with ledger.lock:
            trips = [trip for trip in ledger.trips if trip.began >= since and is_so(trip)]
        firsts = {trip.client: trip.ended for trip in reversed(trips)}
        if firsts.keys() == ledger.counted.keys():
            return max(firsts.values())
        assert time.monotonic() < deadline, f"not well again: {[trip.seen for trip in ledger.trips[-5:]]}"
        time.sleep(0.01)
