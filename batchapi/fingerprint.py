"""What makes two sub-requests the same question."""

from collections.abc import Hashable, Iterable

from batchapi.batch import SubRequest

IGNORED = frozenset({"user-agent", "referer", "traceparent", "tracestate", "x-request-id", "x-correlation-id"})


def question(request: SubRequest, *, ignores: Iterable[str] = ()) -> Hashable:
    """What a view can see of a sub-request besides what all of its batch have in common.

    `ignores` names headers, added to the built-in list, that make no difference to any view.
    """
    assert request.route is not None, "what has no route asks no view"
    unseen = {cgi_name(name) for name in IGNORED.union(ignores)}
    headers = tuple(sorted(item for item in request.headers.items() if item[0] not in unseen))
    return (request.method, request.route.path, request.route.query, request.route.location, headers, request.body)


def cgi_name(header: str) -> str:
    """The name of a header in an environ (RFC 3875, section 4.1.18)."""
    return "HTTP_" + header.upper().replace("-", "_")
