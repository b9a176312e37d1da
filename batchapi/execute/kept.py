"""An answer as it is given again, and as it is kept."""

from collections.abc import Iterable
from dataclasses import replace

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response
from django.utils.http import parse_http_date_safe

from batchapi.batch import SubRequest, SubResponse
from batchapi.freshness import CONDITIONS, seconds
from batchapi.store import Entry, Found

CACHE_STATUS = "Cache-Status"  # RFC 9211
ATTEMPTS = "Batch-Attempts"  # How often a view was called for this one answer, where that was more than once.
OF_ITSELF = frozenset({"age", ATTEMPTS.lower()})  # what an answer says of itself, and not its copies


def answer_again(request: SubRequest, found: Found, *, said: str) -> SubResponse:
    """A kept answer, for somebody who asks the same; with its age, and what the cache says of it.

    304 where the condition that comes with the sub-request says that the client has it (RFC 9111, section 4.3.2).
    """
    entry = found.entry
    headers = [header for header in entry.headers if header[0].lower() not in OF_ITSELF]
    status, body = entry.status, b"" if request.method == "HEAD" else entry.body
    if not CONDITIONS.isdisjoint(request.headers) and (left := headers_if_not_modified(request, headers)) is not None:
        status, headers, body = 304, left, b""
    response = SubResponse(
        request=request,
        status=status,
        headers=(*headers, ("Age", str(int(found.age + age_when_kept(entry))))),
        body=body,
        is_json=entry.is_json and bool(body),
    )
    return mark(response, said)


def age_when_kept(entry: Entry) -> float:
    """The seconds that an answer was old before we had it, as a cache behind the view has said."""
    return sum(seconds(value, 0.0) for name, value in entry.headers if name.lower() == "age")


def headers_if_not_modified(request: SubRequest, headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]] | None:
    """The headers of a 304; None if the client has another answer than this one."""
    asking, response = HttpRequest(), HttpResponse()
    asking.method, asking.META = "GET", dict(request.headers)
    for name, value in headers:
        response[name] = value
    modified = parse_http_date_safe(response.get("Last-Modified", ""))
    judged = get_conditional_response(asking, response.get("ETag"), modified, response)
    return list(judged.items()) if judged is not None and judged.status_code == 304 else None


def mark(response: SubResponse, said: str) -> SubResponse:
    """An answer with a word on how the cache dealt with it; what caches behind the view said stays in front."""
    before = [value for name, value in response.headers if name.lower() == CACHE_STATUS.lower()]
    others = [header for header in response.headers if header[0].lower() != CACHE_STATUS.lower()]
    value = ", ".join([*before, f"batchapi; {said}"])
    return replace(response, headers=(*others, (CACHE_STATUS, value)))
