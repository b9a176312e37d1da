"""Where a process may die: before and after each statement, in views, after commits, between two sub-requests."""

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.backends.signals import connection_created

from batchapi.batch import SubResponse
from batchapi.signals import subrequest_finished


@dataclass(slots=True)
class Cut:
    """Sends this process a signal at the event of this number, or at the first one whose name begins so."""

    at: int | str
    how: str = "SIGKILL"

    def meet(self, number: int, name: str) -> None:
        is_here = number == self.at if isinstance(self.at, int) else name.startswith(self.at)
        if is_here:
            self.at = 0
            # To this thread: another one would be stopped first, and this one go on for a moment.
            signal.pthread_kill(threading.get_ident(), signal.Signals[self.how])


cut: Cut | None = None
events: list[str] = []


def happen(name: str) -> None:
    """Something has happened; counted from 1, in a process that may be cut."""
    if cut is not None:
        events.append(name)
        cut.meet(len(events), name)


def expect(at: int | str, how: str) -> None:
    """From here on this process counts, and is cut."""
    global cut
    cut = Cut(at, how)
    subrequest_finished.connect(note_answer)
    connection_created.connect(watch_statements)


def note_answer(*, response: SubResponse, **_kwargs: object) -> None:
    happen(f"finished {response.request.key}")


def watch_statements(*, connection: Any, **_kwargs: object) -> None:
    if note_statement not in connection.execute_wrappers:
        connection.execute_wrappers.append(note_statement)


def note_statement(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    happen(f"before {sql}")
    result = execute(sql, params, many, context)
    happen(f"after {sql}")
    return result
