"""The nouns of the store, what makes an entry current, and the shape that every store has."""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

EVERYTHING: Final = "*"  # The tag that all entries have.
ALONE: Final = "alone"  # The token of a claim that nobody could check: go on, and do not wait for others.
SKEW = 1.0  # Seconds by which an entry may seem to come from the future: the times of two machines are estimates.


class Snapshot(NamedTuple):
    """What was true of a store before the views of a wave ran."""

    epoch: str
    generations: Mapping[str, int]  # by tag; what is missing was never moved in this epoch: 0
    now: float  # seconds on the store's own clock
    taken_at: float  # time.monotonic() of this process, a moment later

    def clock(self) -> float:
        """The time on the store's clock by now, in seconds, never too late: steps of our own clock do no harm."""
        return self.now + time.monotonic() - self.taken_at

    def generations_of(self, tags: Collection[str]) -> dict[str, int]:
        """What an entry with these tags has to carry if its view ran after this snapshot."""
        return {tag: self.generations.get(tag, 0) for tag in tags}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One kept answer."""

    identity: str  # The whole question; a key that holds an answer to another one is a miss.
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    is_json: bool
    stored: float  # seconds, on the store's clock
    ttl: float  # seconds that it is fresh
    stale: float = 0.0  # seconds after that for which it may still stand in for a view that fails
    epoch: str  # of the snapshot before its view ran
    generations: Mapping[str, int]  # of its tags, from the same snapshot
    route: str = ""  # for those who count
    user: str = ""  # the primary key as text; "" for nobody
    who: str = ""  # a seal of whom its view authenticated, where only the view can tell


class Found(NamedTuple):
    """An entry as it was read. It is fresh if it is not outdated and `age <= entry.ttl`."""

    entry: Entry
    age: float  # seconds, never below 0
    is_outdated: bool  # one of its tags has moved, or the epoch has

    @property
    def is_fresh(self) -> bool:
        """Whether it may answer in place of its view."""
        return not self.is_outdated and self.age <= self.entry.ttl


def judge(entry: Entry, snapshot: Snapshot) -> Found | None:
    """How old an entry is and whether it is current; None if it is past its time, or from the future.

    The store's clock may have been set back, and then nobody knows the age.
    """
    age = snapshot.now - entry.stored
    if age < -SKEW or age > entry.ttl + entry.stale:
        return None
    current = snapshot.generations
    is_outdated = entry.epoch != snapshot.epoch or any(
        current.get(tag, 0) != number for tag, number in entry.generations.items()
    )
    return Found(entry, max(age, 0.0), is_outdated)


class Store(Protocol):
    """Where answers are kept. Nothing here raises because a server is away: it is a miss, or False.

    A tag is a word with a sign in front, given by the caller: `t:<table>`, `r:<route>`, `u:<bucket>`. Each entry has
    `@<alias>` too, for every database that it was read from; what that stands for is the store's affair.
    """

    is_shared: bool  # False: each process has a store of its own.

    @property
    def is_away(self) -> bool:
        """Whether it answers at once that it has nothing and that nothing was moved."""

    def read(self, keys: Sequence[tuple[str, str]]) -> tuple[Snapshot | None, list[Found | None]]:
        """The state of the store, and what it holds under these pairs of key and identity, in their order.

        Without keys only the state. (None, all None) if the store is away: then nothing may be kept either.
        """

    def write(self, entries: Mapping[str, Entry]) -> None:
        """Keep entries by key, for `ttl + stale` seconds."""

    def move(self, tags: Collection[str]) -> bool:
        """Outdate all entries with one of these tags (`*`: all); True if it is certain that it happened.

        False: this process serves nothing that was kept before, and outdates everything as soon as it can.
        """

    def renew(self) -> bool:
        """Outdate all entries, in constant time; True if it is certain that it happened."""

    def claim(self, key: str, seconds: float) -> str | None:
        """Be the only one to compute a key for some seconds: a token for `release`, None if somebody else is.

        ALONE if the store is away: nobody waits for a store that cannot tell when the wait is over.
        """

    def release(self, key: str, token: str) -> None:
        """Give a claim back, if it still is the one with this token."""

    def scan(self) -> Iterator[Found]:
        """All entries without their bodies, for counting only: one may come twice, and it ends early if away."""

    def covers(self, alias: str) -> bool:
        """Whether answers made from the rows of this database may be kept here."""

    def close(self) -> None:
        """End its connections and its thread."""
