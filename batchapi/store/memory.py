"""Answers kept in the memory of one process, made from SQLite files, whose every commit it can see."""

import secrets
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from django.db import connections

from batchapi.processes import residents
from batchapi.store.databases import sqlite_file
from batchapi.store.entry import EVERYTHING, Entry, Found, Snapshot, judge
from batchapi.store.monitor import Monitor

Key = tuple[str, str]  # alias, name of the file


class MemoryStore:
    """The entries used last, and a monitor for each file. Other processes' writes are seen by their commits alone.

    The tag `@<alias>` has the version of that file, so any commit to it outdates all that was read from it.
    """

    is_shared = False
    is_away = False

    def __init__(self, size: int) -> None:
        """`size` is the number of entries that it may hold."""
        self.size = size
        self.start()
        residents.add(self)

    def start(self) -> None:
        """Be empty."""
        self.lock = threading.Lock()
        self.entries: OrderedDict[str, Entry] = OrderedDict()
        self.generations: Counter[str] = Counter()
        self.claims: dict[str, tuple[str, float]] = {}  # token and end, by key
        self.monitors: dict[Key, Monitor] = {}
        self.epoch = secrets.token_hex(16)

    def read(self, keys: Sequence[tuple[str, str]]) -> tuple[Snapshot | None, list[Found | None]]:
        """See `Store.read`. The files are looked at first, and not under the lock."""
        versions = self.versions()
        with self.lock:
            now = time.monotonic()
            snapshot = Snapshot(self.epoch, {**self.generations, **versions}, now, now)
            entries = [self.look_up(key, identity) for key, identity in keys]
        return snapshot, [judge(entry, snapshot) if entry else None for entry in entries]

    def look_up(self, key: str, identity: str) -> Entry | None:
        entry = self.entries.get(key)
        if entry is None or entry.identity != identity:
            return None
        self.entries.move_to_end(key)
        return entry

    def write(self, entries: Mapping[str, Entry]) -> None:
        """See `Store.write`. An entry without the version of a file is left out: nothing would outdate it."""
        with self.lock:
            for key, entry in entries.items():
                if is_watched(entry):
                    self.entries[key] = entry
                    self.entries.move_to_end(key)
            while len(self.entries) > self.size:
                self.entries.popitem(last=False)

    def versions(self) -> dict[str, int]:
        """By tag, the version of each SQLite file that the project has."""
        return {
            f"@{alias}": self.monitor(alias, name).version() for alias in connections if (name := sqlite_file(alias))
        }

    def monitor(self, alias: str, name: str) -> Monitor:
        """The one monitor of a file."""
        with self.lock:
            if (alias, name) not in self.monitors:
                self.monitors[alias, name] = Monitor(name)
            return self.monitors[alias, name]

    def move(self, tags: Collection[str]) -> bool:
        """See `Store.move`. Seen by this process only."""
        if EVERYTHING in tags:
            return self.renew()
        with self.lock:
            self.generations.update(tags)
        return True

    def renew(self) -> bool:
        """See `Store.renew`. Seen by this process only."""
        with self.lock:
            self.epoch = secrets.token_hex(16)
            self.entries.clear()
        return True

    def claim(self, key: str, seconds: float) -> str | None:
        """See `Store.claim`. Seen by this process only."""
        now, token = time.monotonic(), secrets.token_hex(16)
        with self.lock:
            self.claims = {name: claim for name, claim in self.claims.items() if claim[1] > now}
            return token if self.claims.setdefault(key, (token, now + seconds))[0] == token else None

    def release(self, key: str, token: str) -> None:
        """See `Store.release`."""
        with self.lock:
            if key in self.claims and self.claims[key][0] == token:
                del self.claims[key]

    def scan(self) -> Iterator[Found]:
        """See `Store.scan`."""
        snapshot, _ = self.read([])
        assert snapshot is not None, "memory is never away"
        with self.lock:
            entries = [replace(entry, body=b"") for entry in self.entries.values()]
        yield from filter(None, (judge(entry, snapshot) for entry in entries))

    def covers(self, alias: str) -> bool:
        """SQLite files only: of another database this process would not hear when another one writes it."""
        return sqlite_file(alias) is not None

    def restart(self) -> None:
        """In a child: be empty, without the parent's connections."""
        for monitor in self.monitors.values():
            monitor.abandon()
        self.start()

    def close(self) -> None:
        """See `Store.close`."""
        with self.lock:
            for monitor in self.monitors.values():
                with monitor.lock:
                    monitor.drop()


def is_watched(entry: Entry) -> bool:
    """Whether an entry has the version of each file that it says it was read from, and of one at least."""
    versions = [number for tag, number in entry.generations.items() if tag.startswith("@")]
    return bool(versions) and all(versions)
