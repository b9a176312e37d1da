"""A view that keeps failing is left alone for a while, so that it costs nobody time and can recover.

What counts is a fault that passes, 502, 503 or 504, and a timeout of the server's own limit. A crash is a mistake, and
a timeout that the client asked for is its own affair: neither says that the view would do better if it were left alone.
"""

from functools import partial
from math import ceil

from batchapi.batch import AsyncHandler, Handler, SubRequest, SubResponse
from batchapi.exceptions import CircuitOpen
from batchapi.execute import attempt, gate
from batchapi.problem import problem_response
from batchapi.store import Call, Circuits

FAILURES = frozenset({502, 503, 504})


class Guard:
    """Asks before a call, and notes how it came out."""

    def __init__(self, circuits: Circuits) -> None:
        self.circuits = circuits

    def begin(self, request: SubRequest) -> Call | SubResponse | None:
        """The call; 503 where it is not to be made; None where nobody counts."""
        if request.policy.circuit is False or not request.route_name or gate.known.get() is not None:
            return None
        trying = attempt.this()
        # One that the client gives less time may tell nothing of the view, so it is no probe.
        seconds = None if trying.is_shortened else trying.remaining()
        call = self.circuits.begin(request.route_name, seconds)
        if isinstance(call, Call):
            trying.on_given_up = partial(end_late, call, trying)
            return call
        words = "This view has failed too often of late, and is left alone for a while."
        refusal = CircuitOpen(words, retry_after=ceil(call))
        refusal.executed = trying.is_tried_again
        return problem_response(request, refusal)


class Circuit:
    """In front of a view."""

    def __init__(self, get_response: Handler, *, guard: Guard) -> None:
        self.get_response = get_response
        self.guard = guard

    def __call__(self, request: SubRequest) -> SubResponse:
        """The view's answer, or 503."""
        call = self.guard.begin(request)
        if call is None:
            return self.get_response(request)
        if isinstance(call, SubResponse):
            return call
        try:
            return end_with(call, self.get_response(request))
        finally:
            end_late(call, attempt.this())  # Where it did not end by an answer.


class AsyncCircuit:
    """The same in front of an async view."""

    def __init__(self, get_response: AsyncHandler, *, guard: Guard) -> None:
        self.get_response = get_response
        self.guard = guard

    async def __call__(self, request: SubRequest) -> SubResponse:
        """The view's answer, or 503."""
        call = self.guard.begin(request)
        if call is None:
            return await self.get_response(request)
        if isinstance(call, SubResponse):
            return call
        try:
            return end_with(call, await self.get_response(request))
        finally:
            end_late(call, attempt.this())


def end_with(call: Call, response: SubResponse) -> SubResponse:
    """It has ended by an answer, in time or not."""
    if not attempt.this().is_late:
        call.end(not is_failure(response))
    return response


def is_failure(response: SubResponse) -> bool:
    """Whether an answer says that its view would do better if it were left alone."""
    return bool(response.fault) or (response.status in FAILURES and not response.is_own)


def end_late(call: Call, trying: attempt.Attempt) -> None:
    """It was not done in time. Nobody blames the view where the client, or the end of the batch, gave it less."""
    call.end(False if trying.is_late and trying.has_all_its_time else None)
