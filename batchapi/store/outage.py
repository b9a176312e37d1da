"""An error in, a store that is away out; a thread of its own brings it back, under a new epoch."""

import logging
import threading
from collections.abc import Callable
from enum import IntEnum

logger = logging.getLogger("batchapi.store")


class Standing(IntEnum):
    """What may be asked of the server now."""

    AWAY = 0  # Nothing.
    RETURNING = 1  # Moves only.
    HERE = 2  # Everything.


class Outage:
    """Whether a server is away, and the thread that looks for it.

    While it is away moves are lost, so entries may be outdated that nobody will ever know to be. A new epoch outdates
    them all, and only after that the store is back. It takes two: a move that is lost between a first new epoch and
    the store's return would be covered by none. So moves are let through after the first, reads after the second.
    """

    def __init__(self, renew: Callable[[], bool], *, window: float, is_away: bool = False) -> None:
        """`renew` makes a new epoch or returns False; it is tried each `window` seconds while the server is away."""
        self.renew = renew
        self.window = window
        self.standing = Standing.AWAY if is_away else Standing.HERE
        self.number = 0  # outages so far
        self.lock = threading.Lock()
        self.healer: threading.Thread | None = None
        self.closed = threading.Event()

    def lets(self, least: Standing) -> bool:
        """Whether something that needs this standing may be tried."""
        if self.standing is Standing.AWAY and self.healer is None:  # a child after a fork, or no thread was to be had
            with self.lock:
                self.send_healer()
        return self.standing >= least

    def begin(self, error: BaseException) -> None:
        """The server did not do what it was asked: from here on nothing is asked of it."""
        with self.lock:
            is_new = self.standing is Standing.HERE
            self.standing = Standing.AWAY
            self.number += is_new
            self.send_healer()
        if is_new and not self.closed.is_set():
            logger.warning("Kept answers are not used until Redis is back: %s: %s", type(error).__name__, error)

    def send_healer(self) -> None:
        """Have one thread that looks for the server. Called under the lock."""
        if self.healer is None and not self.closed.is_set():
            healer = threading.Thread(target=self.heal, name="batchapi-store-healer", daemon=True)
            try:
                healer.start()
            except RuntimeError:  # No thread is to be had now; whoever asks next tries again.
                return
            self.healer = healer

    def heal(self) -> None:
        """Try until it is back. The first time after a window too: an outage costs one timeout per window, not more."""
        while not self.closed.wait(self.window):
            if self.come_back():
                return

    def come_back(self) -> bool:
        """On the healer's thread: make new epochs, and be back if nothing failed meanwhile."""
        if not self.renew():
            return False
        with self.lock:
            self.standing = Standing.RETURNING
        if not self.renew():
            return False
        with self.lock:
            if self.standing is not Standing.RETURNING:  # Somebody's move has failed.
                return False
            self.standing = Standing.HERE
            self.healer = None
        logger.info("Redis is back; what was kept before is outdated.")
        return True

    def last_try(self) -> None:
        """At the end of the process: others should not go on with what our lost moves outdated."""
        if self.standing is not Standing.HERE:
            self.renew()

    def close(self) -> None:
        """End the thread, soon."""
        self.closed.set()
