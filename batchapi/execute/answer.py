"""A view's finished response in, what a sub-response carries of it out: headers, and a body that has been read."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

from asgiref.sync import async_to_sync
from django.http import HttpResponse, HttpResponseBase
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from batchapi.batch import SubRequest, SubResponse
from batchapi.exceptions import ResponseTooLarge
from batchapi.media import is_json

BODILESS = frozenset({204, 304})  # RFC 9110, sections 15.3.5 and 15.4.5


def read_answer(request: SubRequest, response: HttpResponseBase, *, max_stream_bytes: int) -> SubResponse:
    """The sub-response that a view's response makes. Raises ResponseTooLarge, and whatever a stream raises."""
    body = read_body(response, max_stream_bytes)
    if request.method == "HEAD" or response.status_code in BODILESS:
        body = b""  # As the server would for a request of its own.
    return SubResponse(
        request=request,
        status=response.status_code,
        headers=tuple(response.items()),
        body=body,
        is_json=bool(body) and is_spliceable(response),
        cookies=tuple(response.cookies.values()),
        is_streamed=response.streaming,
        fault=getattr(response, "fault", ""),
    )


def read_body(response: HttpResponseBase, max_stream_bytes: int) -> bytes:
    """All bytes of a response, streaming or not."""
    if isinstance(response, HttpResponse):
        return response.content
    chunks, size = [], 0
    for chunk in stream(response, max_stream_bytes):
        chunks.append(chunk)
        size += len(chunk)
        if size > max_stream_bytes:
            raise ResponseTooLarge(f"A streaming answer has at most {max_stream_bytes} bytes in a batch.")
    return b"".join(chunks)


def stream(response: Any, enough: int) -> Iterable[bytes]:
    """The chunks of a StreamingHttpResponse; of an async one no more than it takes to pass `enough` bytes."""
    chunks: Iterable[bytes] = response.streaming_content
    return async_to_sync(take)(response.streaming_content, enough) if response.is_async else chunks


async def take(chunks: AsyncIterator[bytes], enough: int) -> list[bytes]:
    """The first chunks, all in one event loop: a loop that ends closes the generators that began in it."""
    taken, size = [], 0
    async for chunk in chunks:
        taken.append(chunk)
        size += len(chunk)
        if size > enough:
            break
    return taken


def keep_rendered(response: Any) -> Any:
    """Have a DRF response remember the bytes that DRF's own JSON renderer makes for it."""
    renderer = getattr(response, "accepted_renderer", None)
    is_plain = type(response) is Response and type(renderer) is JSONRenderer and renderer.strict
    if is_plain and not response.is_rendered:
        response._post_render_callbacks.insert(0, remember_rendered)  # before any that might change the content
    return response


def remember_rendered(response: Any) -> None:
    """Right after rendering: what the renderer made."""
    response.rendered_here = response.content


def is_spliceable(response: HttpResponseBase) -> bool:
    """Whether a body is one line of JSON for certain, and need not be read to be sure.

    It is if DRF's JSONRenderer made exactly these bytes here, without NaN and without indentation.
    """
    rendered = getattr(response, "rendered_here", None)
    if not rendered or b"\n" in rendered or not is_json_type(response.get("Content-Type", "")):
        return False
    return bool(rendered == getattr(response, "content", None))


def is_json_type(content_type: str) -> bool:
    """Whether a Content-Type says JSON."""
    return is_json(content_type.partition(";")[0].strip().lower())
