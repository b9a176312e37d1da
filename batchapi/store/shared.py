"""Answers kept in the Redis behind a cache of the project, for all of its processes."""

import logging
import re
import secrets
import time
from collections.abc import Collection, Iterator, Mapping, Sequence

from django.core.cache.backends.base import BaseCache
from redis import ConnectionPool

from batchapi.seldom import Seldom
from batchapi.store.databases import is_in_memory
from batchapi.store.entry import ALONE, EVERYTHING, Entry, Found, Snapshot, judge
from batchapi.store.link import ROOM, TIMEOUT, WINDOW, Command, Link
from batchapi.store.outage import Standing
from batchapi.store.value import decode, decode_head, encode

logger = logging.getLogger("batchapi.store")

CHUNK = 500  # Keys that a scan asks for at a time.
HEAD_BYTES = 4096  # In which the first line of most entries ends.
NO_TAGS = frozenset({b"epoch", b"server"})
GLOB = re.compile(r"([*?\[\]\\])")
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


class RedisStore:
    """One Redis hash has the epoch and a generation for each tag; each entry is a key that expires.

    If the hash is gone, the next reader makes one with another epoch, so no generation ever stands for two states.
    """

    is_shared = True

    def __init__(
        self, cache: BaseCache, pool: ConnectionPool, *, timeout: float = TIMEOUT, window: float = WINDOW
    ) -> None:
        """A store on the server of `pool`, under the key prefix and version of `cache`; both are only read."""
        self.cache = cache
        self.generations = cache.make_key(f"{ROOM}:generations")
        self.link = Link(pool, self.generations, timeout=timeout, window=window)
        self.seldom = Seldom(logger, window=window)  # A value that is broken may be asked for by every request.

    # -- entries

    def read(self, keys: Sequence[tuple[str, str]]) -> tuple[Snapshot | None, list[Found | None]]:
        """See `Store.read`. One round trip.

        Without MULTI, which would only make the server wait with all of it: the generations are read before the
        entries, so an entry that is current by them was so at a moment of this call. The HSETNX makes the epoch if
        there is none; otherwise it does nothing, but a server that refuses writes, and so moves, refuses it too.
        """
        commands: list[Command] = [
            ("TIME",),
            ("HSETNX", self.generations, "epoch", secrets.token_hex(16)),
            ("HGETALL", self.generations),
        ]
        if keys:
            commands.append(("MGET", *(self.entry_key(key) for key, _ in keys)))
        answers = self.link.trip(*commands)
        if answers is None or b"epoch" not in answers[2]:  # It may be evicted between two commands.
            return None, [None] * len(keys)
        snapshot = read_snapshot(answers[0], answers[2])
        values = answers[3] if keys else []
        return snapshot, [self.look(value, key, snapshot) for value, key in zip(values, keys, strict=True)]

    def look(self, value: bytes | None, key: tuple[str, str], snapshot: Snapshot) -> Found | None:
        """What a value is worth; None, and a word in the log, if it is not the entry that was asked for."""
        if value is None:
            return None
        if entry := decode(value, identity=key[1]):
            return judge(entry, snapshot)
        self.seldom.warn("The value of %s is no entry that answers this question.", key[0])
        return None

    def write(self, entries: Mapping[str, Entry]) -> None:
        """See `Store.write`. One round trip; an entry whose text no JSON can hold is left out."""
        commands: list[Command] = []
        for key, entry in entries.items():
            if (milliseconds := int((entry.ttl + entry.stale) * 1000)) <= 0:
                continue
            try:
                commands.append(("SET", self.entry_key(key), encode(entry), "PX", milliseconds))
            except TypeError as error:
                self.seldom.warn("An answer cannot be kept under %s: %s", key, error)
        if commands:
            self.link.trip(*commands)

    def scan(self) -> Iterator[Found]:
        """See `Store.scan`. In chunks, so that the server is never busy with it for long; bodies are not sent."""
        snapshot, _ = self.read([])
        pattern, cursor = GLOB.sub(r"\\\1", self.entry_key("")) + "*", 0
        while snapshot:
            answers = self.link.trip(("SCAN", cursor, "MATCH", pattern, "COUNT", CHUNK, "TYPE", "string"))
            if answers is None:
                return
            cursor, keys = answers[0]
            entries = (decode_head(head) for head in self.heads(keys))
            yield from filter(None, (judge(entry, snapshot) for entry in entries if entry))
            if not cursor:
                return

    def heads(self, keys: Sequence[bytes]) -> list[bytes]:
        """At least the first line of what is kept under each key."""
        heads = self.beginnings(keys, HEAD_BYTES)
        long = [key for key, head in zip(keys, heads, strict=False) if len(head) == HEAD_BYTES and b"\n" not in head]
        return heads + self.beginnings(long, 0)  # The beginning of a long line is no JSON, so no entry is told twice.

    def beginnings(self, keys: Sequence[bytes], size: int) -> list[bytes]:
        """The first `size` bytes of each value, 0 for all; empty if the server is away."""
        commands = [("GETRANGE", key, 0, size - 1) for key in keys]
        return (self.link.trip(*commands) or []) if commands else []

    # -- generations

    def move(self, tags: Collection[str]) -> bool:
        """See `Store.move`. One round trip, all tags or none.

        No reader needs that: one that sees half of a commit's tags moved came before the move was done. But then two
        answers of one wave could stand on both sides of one commit, and this way they do not.
        """
        if not tags:
            return True
        if EVERYTHING in tags:
            return self.renew()
        moves: list[Command] = [("HINCRBY", self.generations, tag, 1) for tag in tags]
        return self.link.trip(*moves, least=Standing.RETURNING, is_atomic=True) is not None

    def renew(self) -> bool:
        """See `Store.renew`. One round trip."""
        return self.link.new_epoch()

    # -- claims

    def claim(self, key: str, seconds: float) -> str | None:
        """See `Store.claim`. The claim ends by itself, so that one who dies holds nobody up."""
        token = secrets.token_hex(16)
        answers = self.link.trip(("SET", self.lock_key(key), token, "NX", "PX", max(1, int(seconds * 1000))))
        if answers is None:
            return ALONE
        return token if answers[0] else None

    def release(self, key: str, token: str) -> None:
        """See `Store.release`. A script, because the claim may end and be another's between a look and a delete."""
        if token != ALONE:
            self.link.trip(("EVAL", RELEASE, 1, self.lock_key(key), token))

    # -- what it is

    def covers(self, alias: str) -> bool:
        """All but a database in the memory of one process: other processes have another one of that name."""
        return not is_in_memory(alias)

    @property
    def is_away(self) -> bool:
        """See `Store.is_away`."""
        return self.link.is_away

    def close(self) -> None:
        """See `Store.close`."""
        self.link.close()

    def entry_key(self, key: str) -> str:
        """Where an entry lies."""
        return self.cache.make_key(f"{ROOM}:entry:{key}")

    def lock_key(self, key: str) -> str:
        """Where a claim lies."""
        return self.cache.make_key(f"{ROOM}:lock:{key}")


def read_snapshot(moment: tuple[int, int], fields: Mapping[bytes, bytes]) -> Snapshot:
    """What the hash holds, at a moment in seconds and microseconds on the server's clock."""
    tags = {name.decode(errors="replace"): read_number(text) for name, text in fields.items() if name not in NO_TAGS}
    epoch = fields[b"epoch"].decode(errors="replace")
    return Snapshot(epoch, tags, moment[0] + moment[1] / 1e6, time.monotonic())


def read_number(text: bytes) -> int:
    """A generation; a number that never comes again if somebody put something else there."""
    return int(text) if text.isdigit() else -secrets.randbits(62)
