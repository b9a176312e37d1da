"""The threads of this process that views run on, made when they are needed.

The standard library's ThreadPoolExecutor would wait for a view that hangs before the process may end.
"""

from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread

from django.db import Error, connections

from batchapi.processes import residents

Work = Callable[[], None]
IDLE_SECONDS = 10.0  # A thread that had nothing to do for so long ends, and what it holds open with it.


class Worker:
    """One thread that is handed work."""

    def __init__(self, pool: "Pool") -> None:
        self.pool = pool
        self.work: SimpleQueue[Work] = SimpleQueue()
        # A daemon: a view that hangs must not keep the server from stopping.
        Thread(target=self.run, name="batchapi-lane", daemon=True).start()

    def run(self) -> None:
        """Work until there is none."""
        while work := self.next():
            work()
            self.pool.rest(self)
        with suppress(Error):
            connections.close_all()

    def next(self) -> Work | None:
        """What to do next; None after a while without work."""
        try:
            return self.work.get(timeout=IDLE_SECONDS)
        except Empty:
            return None if self.pool.dismiss(self) else self.work.get()


class Pool:
    """The workers of this process, made when needed. The one that rested last works first, so that others may end."""

    def __init__(self) -> None:
        self.restart()
        residents.add(self)

    def restart(self) -> None:
        """Also in a child, where there are no threads yet."""
        self.lock = Lock()
        self.resting: list[Worker] = []
        self.working = 0

    def start(self, work: Work) -> None:
        """Have a thread do something that raises nothing. Raises RuntimeError if the system has no thread left."""
        with self.lock:
            worker = self.resting.pop() if self.resting else None
        worker = worker or Worker(self)
        with self.lock:
            self.working += 1
        worker.work.put(work)

    def rest(self, worker: Worker) -> None:
        """A worker is free again."""
        with self.lock:
            self.resting.append(worker)
            self.working -= 1

    def dismiss(self, worker: Worker) -> bool:
        """Whether a worker may end: not if it was just handed something."""
        with self.lock:
            if worker not in self.resting:
                return False
            self.resting.remove(worker)
            return True


pool = Pool()
