"""What clients were told in, what the database has to hold out: nothing lost, nothing twice, nothing by halves."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

Item = dict[str, Any]
Row = tuple[str, str]  # owner and content of a message
COUNT = "count "  # begins the content of messages that are written again and again


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """One batch, as its client saw it; times by time.monotonic()."""

    client: str
    began: float
    ended: float
    seen: Counter[str]  # what came in place of an answer that is as it should be, "504 timed_out"
    has_hit: bool  # Some answer was a kept one.

    @property
    def is_good(self) -> bool:
        """Whether all was as if nothing had happened."""
        return not self.seen


@dataclass(slots=True)
class Ledger:
    """What all clients of one run were told. Every write has a marker of its own, `owner/client/number/what`."""

    lock: Lock = field(default_factory=Lock)
    trips: list[Trip] = field(default_factory=list)
    done: set[str] = field(default_factory=set)  # markers of writes that must be there
    gone: set[str] = field(default_factory=set)  # that must not
    maybe: set[str] = field(default_factory=set)  # that may
    groups: list[tuple[str, ...]] = field(default_factory=list)  # markers that are there together or not at all
    counted: dict[str, set[str]] = field(default_factory=dict)  # by client: what its counter may say
    slowest: float = 0.0  # seconds that an answer took
    resent: int = 0  # batches, under their keys
    wrong: list[str] = field(default_factory=list)  # answers that were neither right nor an honest error

    def note(self, marker: str, record: Item) -> None:
        """What one sub-request that writes was told."""
        with self.lock:
            fate(record, self.done, self.gone, self.maybe).add(marker)

    def faults_of(self, rows: Iterable[Row]) -> dict[str, list[Any]]:
        """Where these rows, all that there are, are not as clients were told; {} if the ledger holds."""
        rows = list(rows)
        there = Counter(content for _, content in rows if not content.startswith(COUNT))
        counters = {content for _, content in rows if content.startswith(COUNT)}
        found = {
            "wrong": self.wrong,
            "lost": sorted(self.done - there.keys()),
            "twice": [content for content, times in there.items() if times > 1],
            "not gone": sorted(self.gone & there.keys()),
            "by halves": [group for group in self.groups if len(there.keys() & set(group)) not in (0, len(group))],
            "of somebody else": [row for row in rows if owner_in(row[1]) != row[0]],
            "not counted": [client for client, may in self.counted.items() if not may & counters],
        }
        return {name: what for name, what in found.items() if what}


def fate(record: Item, done: set[str], gone: set[str], maybe: set[str]) -> set[str]:
    """Which of the three a write belongs to, by its answer."""
    problem = record["body"] if record["status"] >= 400 else {}
    outcome = problem.get("outcome")
    if record["status"] < 400 or outcome == "committed":
        return done
    is_gone = outcome in ("none", "rolled_back") or problem.get("executed") is False
    return gone if is_gone or problem.get("code") == "rolled_back" else maybe


def owner_in(content: str) -> str:
    """Who wrote a message, by its marker."""
    return content.removeprefix(COUNT).partition("/")[0]
