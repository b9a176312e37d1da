"""A rate, a caller and a number in, the seconds to wait out. Counted in Redis; in this process while there is none."""

import logging
import threading
import time
from hashlib import sha256
from math import inf

from limits import RateLimitItem
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis import ConnectionPool

from batchapi.processes import residents
from batchapi.seldom import Seldom
from batchapi.store.pool import private_pool

logger = logging.getLogger("batchapi.store")

Storage = RedisStorage | MemoryStorage


class Counter:
    """How much each caller had. Threads may share one.

    Whatever goes wrong in Redis, nobody is refused for it: this process counts by itself, from nothing, and one of its
    threads looks for the server once in a window. So each caller pays one timeout at most, and then one of all.
    """

    def __init__(self, pool: ConnectionPool | None, prefix: str, *, timeout: float, window: float) -> None:
        """Counts where `pool` leads, which is only read, under keys that begin with `prefix`. Times are seconds."""
        self.pool, self.prefix = pool, prefix
        self.timeout, self.window = timeout, window
        self.start()
        residents.add(self)

    def start(self) -> None:
        """Have connections of our own, and nothing counted in memory."""
        self.lock = threading.Lock()
        self.memory: MemoryStorage | None = None
        self.shared: RedisStorage | None = None
        self.is_away = False
        self.next_look = -inf
        self.seldom = Seldom(logger, window=self.window)
        if self.pool is not None:
            ours = private_pool(self.pool, timeout=self.timeout)
            self.shared = RedisStorage("redis://", connection_pool=ours, key_prefix=self.prefix)

    def take(self, item: RateLimitItem, caller: str, *, cost: int) -> float:
        """0.0 if the caller may have `cost` more, which is then counted; else the seconds until they would fit.

        `inf` if they never do. What is refused is not counted. All or nothing, whoever else asks at the same time.
        """
        if cost > item.amount:
            return inf
        key = sha256(caller.encode()).hexdigest()  # Bounded, and no address lies about in Redis.
        if self.shared and self.may_ask():
            try:
                wait = take(self.shared, item, key, cost)
            except Exception as error:  # As in Link.trip: whatever it was, we cannot know what was counted.
                self.lose(error)
            else:
                self.is_away = False
                return wait
        with self.lock:
            self.memory = self.memory or MemoryStorage()
            return take(self.memory, item, key, cost)

    def may_ask(self) -> bool:
        """Whether the server is here; else True for one thread in each window."""
        if not self.is_away:
            return True
        with self.lock:
            is_due = time.monotonic() >= self.next_look
            if is_due:
                self.next_look = time.monotonic() + self.window
            return is_due

    def lose(self, error: Exception) -> None:
        """Do without the server for a window, and say so once."""
        with self.lock:
            self.is_away, self.next_look = True, time.monotonic() + self.window
        words = "Rates are counted by this process alone until Redis is back: %s: %s"
        self.seldom.warn(words, type(error).__name__, error)

    def restart(self) -> None:
        """In a child: a pool and a lock of its own."""
        self.start()

    def close(self) -> None:
        """End the connections."""
        if self.shared:
            self.shared.storage.connection_pool.disconnect()


def take(storage: Storage, item: RateLimitItem, key: str, cost: int) -> float:
    """One round trip, and one more for the time to wait. Raises what the storage raises."""
    if SlidingWindowCounterRateLimiter(storage).hit(item, key, cost=cost):
        return 0.0
    window = storage.get_sliding_window(item.key_for(key), item.get_expiry())
    return max(0.001, seconds_until(window, limit=item.amount, span=item.get_expiry(), cost=cost))


def seconds_until(window: tuple[int, float, int, float], *, limit: int, span: float, cost: int) -> float:
    """The seconds after which `cost`, not above `limit`, fits in, if nobody takes anything meanwhile.

    `window` is what was taken in the span before and how long it has an effect, what was taken in this span and how
    long, with the span after it, that has one. What was taken before fades out evenly over the span after it.
    """
    before, fades, taken, lasts = window
    rest = limit - taken - cost
    if rest >= 0:
        return fade(before, to=rest, seconds=fades, span=span)
    return max(0.0, lasts - span) + fade(taken, to=limit - cost, seconds=span, span=span)


def fade(count: int, *, to: int, seconds: float, span: float) -> float:
    """The seconds until no more than `to`, rounded down, is left of a count that is gone in `seconds`."""
    return max(0.0, seconds - (to + 1) * span / count) if count else 0.0
