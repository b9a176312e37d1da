"""Something that is done in another thread, again and again, for as long as a block lasts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread


@contextmanager
def again_and_again(do: Callable[[], object], *, every: float = 0.0) -> Iterator[None]:
    """Do it now and each so many seconds; what it raises is raised in the end."""
    stop, failures = Event(), list[Exception]()

    def run() -> None:
        try:
            do()
            while not stop.wait(every):
                do()
        except Exception as error:
            failures.append(error)

    thread = Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if failures:
        raise failures[0]
