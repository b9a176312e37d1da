"""What failed for a reason that may be gone is tried again, after a wait that nobody else waits as well.

Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/. A budget for the whole process
keeps retries from becoming the load that keeps a database down.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from random import uniform
from threading import Lock

from batchapi.batch import AsyncHandler, Handler, SubRequest, SubResponse
from batchapi.conf import Failures
from batchapi.execute import attempt
from batchapi.execute.attempt import Attempt
from batchapi.execute.kept import ATTEMPTS
from batchapi.processes import residents
from batchapi.seldom import Seldom
from batchapi.signals import subrequest_retried

RECENT = 10  # Seconds of traffic that a budget is a share of.
LEAST = 3  # Retries that are always allowed in that time.


class Budget:
    """How many retries this process may still do. Time is handed in, in seconds."""

    def __init__(self) -> None:
        self.restart()
        residents.add(self)

    def restart(self) -> None:
        """Also in a child: what its parent was asked and has tried again is the parent's."""
        self.lock = Lock()
        self.asked: dict[int, int] = {}  # by second
        self.spent: dict[int, int] = {}

    def expect(self, requests: int, *, now: float) -> None:
        """So many sub-requests have come."""
        with self.lock:
            self.forget(now)
            self.asked[int(now)] = self.asked.get(int(now), 0) + requests

    def spend(self, share: float, *, now: float) -> bool:
        """Whether one more retry is in it."""
        if share == 0:
            return False
        with self.lock:
            self.forget(now)
            if sum(self.spent.values()) >= max(LEAST, share * sum(self.asked.values())):
                return False
            self.spent[int(now)] = self.spent.get(int(now), 0) + 1
            return True

    def forget(self, now: float) -> None:
        """Under the lock: what was longer ago than one looks back."""
        for counts in (self.asked, self.spent):
            for second in [second for second in counts if second <= now - RECENT]:
                del counts[second]


seldom = Seldom(logging.getLogger("batchapi.retry"))
budget = Budget()  # of this process


class Retries:
    """Which answers of one batch are tried again, and when."""

    def __init__(self, failures: Failures, *, is_taken_back: Callable[[SubRequest], bool]) -> None:
        """`is_taken_back` tells of a sub-request that writes whether a failed attempt has done nothing, or is found."""
        self.failures = failures
        self.is_taken_back = is_taken_back

    def pause(self, request: SubRequest, response: SubResponse, trying: Attempt, *, attempts: int) -> float | None:
        """Seconds to wait before another attempt; None where this answer stands."""
        if response.is_success or not self.is_passing(response) or attempts >= self.failures.RETRY_ATTEMPTS:
            return None
        if request.policy.retry is False or not self.is_repeatable(request, response, trying):
            return None
        pause = uniform(0, self.failures.RETRY_WAIT * 2 ** (attempts - 1))
        if time.monotonic() + pause >= trying.deadline:
            return None
        if not budget.spend(self.failures.RETRY_BUDGET, now=time.monotonic()):
            return None
        tell(request, response, attempts=attempts, pause=pause)
        return pause

    def is_passing(self, response: SubResponse) -> bool:
        """Whether it may be gone the next time. A view that says when to come again knows better than we do."""
        if response.is_own or any(name.lower() == "retry-after" for name, _ in response.headers):
            return False
        return bool(response.fault) or response.status in self.failures.RETRY_STATUSES

    def is_repeatable(self, request: SubRequest, response: SubResponse, trying: Attempt) -> bool:
        """Whether nothing is done twice by doing it again. What a recorded one wrote is taken back by a 5xx only."""
        if request.group is not None:
            return False
        if self.is_taken_back(request):
            return response.status >= 500
        return request.is_safe and not trying.has_effects


class Retry:
    """In front of all that one attempt is."""

    def __init__(self, get_response: Handler, *, retries: Retries) -> None:
        self.get_response = get_response
        self.retries = retries

    def __call__(self, request: SubRequest) -> SubResponse:
        """The first answer that stands; marked if it is not the first."""
        attempts, trying = 1, attempt.this()
        cookies = len(trying.cookies)
        response = self.get_response(request)
        while (pause := self.retries.pause(request, response, trying, attempts=attempts)) is not None:
            trying.rest()
            time.sleep(pause)
            trying.begin_again(cookies=cookies)
            attempts += 1
            response = self.get_response(request)
        return mark(response, attempts)


class AsyncRetry:
    """The same in front of an async view."""

    def __init__(self, get_response: AsyncHandler, *, retries: Retries) -> None:
        self.get_response = get_response
        self.retries = retries

    async def __call__(self, request: SubRequest) -> SubResponse:
        """The first answer that stands; marked if it is not the first."""
        attempts, trying = 1, attempt.this()
        cookies = len(trying.cookies)
        response = await self.get_response(request)
        while (pause := self.retries.pause(request, response, trying, attempts=attempts)) is not None:
            trying.rest()
            await asyncio.sleep(pause)
            trying.begin_again(cookies=cookies)
            attempts += 1
            response = await self.get_response(request)
        return mark(response, attempts)


def mark(response: SubResponse, attempts: int) -> SubResponse:
    """An answer that tells how many attempts it took."""
    return response if attempts == 1 else replace(response, headers=(*response.headers, (ATTEMPTS, str(attempts))))


def tell(request: SubRequest, response: SubResponse, *, attempts: int, pause: float) -> None:
    """Whoever counts hears of each retry, the log of one in a while."""
    seldom.warn(
        "%s is tried again after %d, in %.3f s.",
        request.route_name,
        response.status,
        pause,
        correlation_id=request.correlation_id,
        route=request.route_name,
        status=response.status,
        attempts=attempts,
    )
    subrequest_retried.send_robust(None, request=request, status=response.status, attempts=attempts, pause=pause)
