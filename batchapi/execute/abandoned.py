"""Threads that overran their time and have not come back, counted by whoever asked for what they do."""

from collections import Counter
from threading import Lock

from batchapi.processes import residents


class Abandoned:
    """The count of this process."""

    def __init__(self) -> None:
        self.restart()
        residents.add(self)

    def restart(self) -> None:
        """Also in a child, where there are none of those threads."""
        self.lock = Lock()
        self.by_caller: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self.by_caller)

    def add(self, caller: str) -> None:
        """A thread is waited for no more."""
        with self.lock:
            self.by_caller[caller] += 1

    def remove(self, caller: str) -> None:
        """It came back."""
        with self.lock:
            self.by_caller[caller] -= 1
            if not self.by_caller[caller]:
                del self.by_caller[caller]

    def is_full(self, caller: str, *, per_caller: int, in_all: int) -> bool:
        """Whether this caller must wait until some have come back.

        Nobody counts for more than `per_caller`, so no single one can keep all others out.
        """
        with self.lock:
            total = sum(min(count, per_caller) for count in self.by_caller.values())
            return self.by_caller.get(caller, 0) >= per_caller or total >= in_all


abandoned = Abandoned()
