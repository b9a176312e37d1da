"""How many sub-requests one caller may send in a span of time. A batch of N counts as N, all or nothing."""

from math import inf
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from limits import (
    RateLimitItem,
    RateLimitItemPerDay,
    RateLimitItemPerHour,
    RateLimitItemPerMinute,
    RateLimitItemPerSecond,
)
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from batchapi.callers import identify_or_address
from batchapi.conf import get_settings, read_rate
from batchapi.exceptions import BatchThrottled
from batchapi.parse.envelope import find_list
from batchapi.store import get_counter

SPANS: dict[str, type[RateLimitItem]] = {
    "s": RateLimitItemPerSecond,
    "m": RateLimitItemPerMinute,
    "h": RateLimitItemPerHour,
    "d": RateLimitItemPerDay,
}


class BatchRateThrottle(BaseThrottle):
    """Lets through what one caller may send: BATCH_RATE, or the `rate` of a subclass.

        class Burst(BatchRateThrottle):
            rate = "50/s"

        class MyBatchView(BatchView):
            throttle_classes = (Burst, BatchRateThrottle)

    Each class counts for itself, for all views that it stands in front of and all processes. One that refuses counts
    nothing, nor do those behind it; what those before it have counted stays, so the narrowest goes first.
    """

    rate: str | None = None  # None is what BATCH_RATE says.

    def allow_request(self, request: Request, view: Any) -> bool:
        """True, and the sub-requests are counted. `view` is a BatchView.

        Raises BatchThrottled, and what the batch itself is refused for if it is none or has too many sub-requests;
        then nothing is counted. An empty batch counts as one.
        """
        item = self.get_item()
        if item is None or request.method != "POST":
            return True
        settings = get_settings()
        items, _ = find_list(request.data, limits=settings.limits)
        cost = max(1, len(items))
        wait = get_counter(settings.caching.CACHE_ALIAS).take(item, self.get_caller(request), cost=cost)
        if wait:
            raise refusal(item, cost, wait)
        return True

    def get_item(self) -> RateLimitItem | None:
        """The rate as `limits` writes it; None for no limit. Raises ImproperlyConfigured for one that is none."""
        rate = self.rate if self.rate is not None else get_settings().limits.BATCH_RATE
        if rate is None:
            return None
        if (parts := read_rate(rate)) is None:
            raise ImproperlyConfigured(f'{type(self).__qualname__}.rate must be a rate such as "50/s", not {rate!r}.')
        amount, span = parts
        return SPANS[span](amount, namespace=f"{type(self).__module__}.{type(self).__qualname__}")

    def get_caller(self, request: Request) -> str:
        """Who is counted: the user of the first authenticator that succeeds, else the address."""
        return identify_or_address(request)


def refusal(item: RateLimitItem, cost: int, wait: float) -> BatchThrottled:
    """What a client is told of a batch that does not fit in."""
    rate = f"{item.amount} sub-requests per {item.GRANULARITY.name}"
    if wait == inf:
        return BatchThrottled(f"{cost} sub-requests never fit into {rate}; send fewer in one batch.", wait=None)
    seconds = int(wait) + 1  # Past the moment, not at it.
    return BatchThrottled(f"No more than {rate}. A batch of {cost} fits in again in {seconds} s.", wait=seconds)
