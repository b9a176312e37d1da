"""A lane is one thread's duty for one batch.

The first lane has the connections of whoever called, so it always can run, sees the rows of a test's transaction, and
keeps what middleware set on a connection. Further lanes have connections of their own and give them back at the end.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import copy_context
from threading import get_ident

from django.core.cache import BaseCache, caches
from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.urls import get_script_prefix, get_urlconf, set_script_prefix, set_urlconf
from django.utils import timezone, translation

from batchapi.execute.attempt import Attempt
from batchapi.execute.connections import give_back
from batchapi.execute.threads import Work


class Surroundings:
    """What code finds around it on the caller's thread, to be found on a lane as well."""

    def __init__(self) -> None:
        self.context = copy_context()
        self.language, self.zone = translation.get_language(), timezone.get_current_timezone()
        self.urlconf, self.prefix = get_urlconf(), get_script_prefix()

    def run(self, work: Work) -> None:
        """Do something on another thread as if on the caller's; what it changes goes no further."""
        self.context.copy().run(self.enter, work, open_caches())

    def enter(self, work: Work, own: dict[str, BaseCache]) -> None:
        """All this is kept in `Local`s, which are empty on another thread.

        Of caches, which are not made for several threads, each thread has its own, as Django gives it.
        """
        for alias, cache in own.items():
            caches[alias] = cache
        set_urlconf(self.urlconf)
        set_script_prefix(self.prefix)
        with translation.override(self.language), timezone.override(self.zone):
            work()


def open_caches() -> dict[str, BaseCache]:
    """This thread's caches. Made here, or every sub-request, in a context of its own, would make them anew."""
    return {alias: caches[alias] for alias in caches}


class Lane:
    """One thread's duty for one batch."""

    def __init__(self, borrowed: Mapping[str, BaseDatabaseWrapper] | None = None) -> None:
        self.is_first = borrowed is not None
        self.borrowed = borrowed or {}
        self.is_connected = False  # it has its connections, and takes up work
        self.is_abandoned = False  # it takes up nothing more
        self.is_left_behind = False  # nobody waits for it any more
        self.caller = ""  # whom it counts against since it was abandoned
        self.clock: int | None = None  # of its thread's processor time, where the system has one
        self.counted = 0.0  # what the clock showed last
        self.attempts: list[Attempt] = []  # what it works on; more than one only of async views

    @property
    def next_step_at(self) -> float:
        """When whoever keeps time must see to it."""
        return min((trying.next_step_at for trying in self.attempts), default=float("inf"))

    def start_clock(self) -> None:
        """On the lane's thread: count its processor time from here on, on systems that do; macOS does not."""
        if hasattr(time, "pthread_getcpuclockid"):
            self.counted = time.thread_time()
            self.clock = time.pthread_getcpuclockid(get_ident())

    def computed(self) -> float:
        """Seconds of processor time that its thread has used since the last call."""
        if self.clock is None:
            return 0.0
        before, self.counted = self.counted, time.clock_gettime(self.clock)
        return self.counted - before

    @property
    def is_lost(self) -> bool:
        """Whether it is at nothing any more that somebody waits for."""
        return bool(self.attempts) and all(trying.is_given_up for trying in self.attempts)

    @contextmanager
    def connected(self) -> Iterator[None]:
        """On the lane's thread: have the connections that it works with, and give them back."""
        own = {connection.alias: connection for connection in connections.all(initialized_only=True)}
        for alias, connection in self.borrowed.items():
            connections[alias] = connection
        try:
            yield
        finally:
            for alias in self.borrowed:
                del connections[alias]
            for alias, connection in own.items():
                connections[alias] = connection
            give_back()

    def close(self) -> None:
        """Close what was borrowed from somebody who has gone on without it."""
        for connection in self.borrowed.values():
            with suppress(Error):
                connection.close()
