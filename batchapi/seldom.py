"""Warnings that would come with every request while something is away; out, one line in a window of seconds."""

import logging
import time
from typing import Any


class Seldom:
    """Says one line in a window, and counts the others.

    Without a lock, which a forked child could inherit held: of two threads that come at the same moment both may say
    it, or one go uncounted.
    """

    def __init__(self, logger: logging.Logger, *, window: float = 1.0) -> None:
        self.logger, self.window = logger, window
        self.told_at, self.untold = float("-inf"), 0

    def warn(self, words: str, *arguments: object, **extra: Any) -> None:
        """Say it, with how often it went unsaid since the last time; or count it. `extra` goes onto the record."""
        now = time.monotonic()
        if now - self.told_at < self.window:
            self.untold += 1
            return
        untold, self.told_at, self.untold = self.untold, now, 0
        self.logger.warning(f"{words}%s", *arguments, f" ({untold} more before that)" if untold else "", extra=extra)
