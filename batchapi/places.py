"""The batches that run in this process, each in a place of its own; in comes one more, out goes it or a refusal.

While fewer run than one caller may have, nobody is asked who they are: that may take a query or a password hash.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from django.conf import settings
from django.http import HttpRequest

from batchapi.callers import name_caller
from batchapi.exceptions import BatchThrottled
from batchapi.processes import residents


class Place:
    """What one batch that runs says of its caller."""

    def __init__(self, request: HttpRequest) -> None:
        self.address = name_caller(None, request)
        given = (request.META.get("HTTP_AUTHORIZATION"), request.COOKIES.get(settings.SESSION_COOKIE_NAME))
        self.credentials = given if any(given) else (self.address,)
        self.caller: str | None = None  # once it was asked for
        self.hear: Callable[[], str] | None = None  # tells whom the views authenticated so far, else the address

    def listen(self, hear: Callable[[], str]) -> None:
        """From now on, `hear` names the caller, and asks nobody."""
        self.hear = hear

    def name(self) -> str | None:
        """The caller, as far as that is known by now."""
        if self.caller is None and self.hear is not None:
            heard = self.hear()
            return heard if heard != self.address else None
        return self.caller

    def is_of(self, newcomer: "Place") -> bool:
        """Whether the caller of one who was asked is this one's too. While this one's is not known: if it may be."""
        if name := self.name():
            return name == newcomer.caller
        return self.credentials == newcomer.credentials or self.address == newcomer.caller


class Places:
    """The places of this process."""

    def __init__(self) -> None:
        self.restart()
        residents.add(self)

    def restart(self) -> None:
        """Also in a child, where none of them runs but the one that forked it; nobody counts that."""
        self.lock = Lock()
        self.taken: set[Place] = set()

    @contextmanager
    def place(self, request: HttpRequest) -> Iterator[Place]:
        """A place that is not taken yet, and is free again at the end, whatever happens."""
        place = Place(request)
        try:
            yield place
        finally:
            with self.lock:
                self.taken.discard(place)

    def take(self, place: Place, *, most: int, identify: Callable[[], str]) -> None:
        """Let a batch run. Raises BatchThrottled where `most` of its caller do; only then `identify` is asked."""
        with self.lock:
            if len(self.taken) < most:
                self.taken.add(place)
                return
        place.caller = identify()  # Not under the lock: it may take a while.
        with self.lock:
            if sum(other.is_of(place) for other in self.taken) >= most:
                raise BatchThrottled(f"No more than {most} batches of one caller run at the same time.")
            self.taken.add(place)


places = Places()
