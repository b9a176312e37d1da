"""Sub-responses in, the answer to the whole batch out."""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from http.cookies import Morsel, SimpleCookie
from typing import Any

from rest_framework.response import Response

from batchapi.batch import Batch, SubResponse
from batchapi.conf import Limits
from batchapi.exceptions import ResponseTooLarge
from batchapi.parent import Parent
from batchapi.problem import problem_response
from batchapi.render.body import render_body, unpack

DROPPED = frozenset(
    {  # Hop-by-hop (RFC 9110, section 7.6.1)
        *("Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection"),
        *("Te", "Trailer", "Transfer-Encoding", "Upgrade"),
        # About bytes that are not in the answer; cookies are on the answer as a whole.
        *("Content-Length", "Content-Encoding", "Set-Cookie"),
    }
)


def render_batch(batch: Batch, responses: Iterable[SubResponse], *, parent: Parent, limits: Limits) -> Response:
    """Collect the sub-responses as they become final and answer in the order of the requests."""
    answer = Response(headers={"Cache-Control": "no-store", "X-Request-ID": parent.correlation_id})
    records: dict[int, dict[str, Any]] = {}
    room = limits.MAX_RESPONSE_BYTES
    for response in responses:
        keep_cookies(answer.cookies, response.cookies)
        fitting = fit(response, room)
        room = max(room - len(fitting.body), 0)
        records[response.request.index] = render_record(fitting)
    parent.settle(answer.cookies)
    answer.data = {"responses": [records[request.index] for request in batch.requests]}
    return answer


def keep_cookies(cookies: SimpleCookie, morsels: Iterable["Morsel[str]"]) -> None:
    """Add cookies to those of the answer. Two with one name and different paths are two."""
    for morsel in morsels:
        is_other = morsel.key in cookies and cookies[morsel.key]["path"] != morsel["path"]
        cookies[f"{morsel.key};{morsel['path']}" if is_other else morsel.key] = morsel


def fit(response: SubResponse, room: int) -> SubResponse:
    """The response with its body unpacked, or what stands in its place if the answer has no room for it."""
    if response.is_json and len(response.body) <= room:
        return response  # Made here, so not compressed.
    try:
        return replace(response, body=unpack(response, room=room))
    except ResponseTooLarge as refusal:
        return problem_response(response.request, refusal)


def render_record(response: SubResponse) -> dict[str, Any]:
    """One entry of `responses`. An error carries its request, so that a log of answers can be read alone."""
    headers = {title_case(name): value for name, value in response.headers if title_case(name) not in DROPPED}
    if not response.body:
        headers.pop("Content-Type", None)
    request = response.request
    group = {} if request.group is None else {"atomicityGroup": request.group}
    record = {"id": request.id, **group, "status": response.status, "headers": headers, **render_body(response)}
    if response.status >= 400:
        record["request"] = {"method": request.method, "url": request.url}
    return record


@lru_cache(maxsize=1024)
def title_case(name: str) -> str:
    """A header name as HTTP/1.1 writes it: "etag" is "Etag"."""
    return name.title()
