"""What makes two sub-requests the same question."""

from collections.abc import Hashable
from functools import lru_cache

from batchapi.batch import SubRequest

IGNORED = frozenset(
    {
        *("user-agent", "referer", "traceparent", "tracestate", "baggage", "x-request-id", "x-correlation-id"),
        *("x-amzn-trace-id", "x-cloud-trace-context", "cf-ray", "sentry-trace", "b3", "x-b3-traceid", "x-b3-spanid"),
        *("x-request-start", "x-datadog-trace-id", "x-datadog-parent-id", "x-amz-cf-id", "x-azure-ref", "x-vercel-id"),
    }
)


@lru_cache(maxsize=8)
def unseen_names(ignores: tuple[str, ...]) -> frozenset[str]:
    """The CGI names of the headers that make no difference to any view: those of the built-in list, and some more."""
    return frozenset(cgi_name(name) for name in IGNORED.union(ignores))


def question(request: SubRequest, *, unseen: frozenset[str], method: str | None = None) -> Hashable:
    """What a view can see of a sub-request besides what all of its batch have in common, without the unseen headers.

    Two questions are equal exactly if their `repr` is. `method` stands in for the sub-request's own.
    """
    assert request.route is not None, "what has no route asks no view"
    headers = tuple(sorted(item for item in request.headers.items() if item[0] not in unseen))
    route = request.route
    return (method or request.method, route.path, route.query, route.location, route.urlconf, headers, request.body)


def cgi_name(header: str) -> str:
    """The name of a header in an environ (RFC 3875, section 4.1.18)."""
    return "HTTP_" + header.upper().replace("-", "_")
