"""Views that answer in every form that HTTP has: raw bodies, streams, files, conditional answers, redirects."""

import gzip
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseNotModified,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import include, path
from django.utils import timezone, translation
from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_control, cache_page, never_cache
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import condition, etag, last_modified, require_POST
from django.views.decorators.vary import vary_on_cookie, vary_on_headers
from rest_framework import renderers, viewsets
from rest_framework.decorators import action, api_view, permission_classes, renderer_classes
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import DefaultRouter
from rest_framework.views import APIView

from batchapi import batchable
from tests.views import happened

EVERY_BYTE = bytes(range(256))
JSON = "application/json"

BODIES: dict[str, tuple[bytes, str]] = {  # what a raw HttpResponse says, and what it calls it
    "json": (b'{"a": [1, 2.50, "\\u00e4"], "a": 1e400}', JSON),
    "spaced": (b'  {"a": 1}\t', JSON),
    "lines": (b'{\n  "a": 1,\r\n  "b": []\n}\n', JSON),
    "nan": (b'{"a": NaN}', JSON),
    "infinity": (b"[-Infinity]", JSON),
    "forged": (b'null},{"id":"me","status":200,"headers":{},"body":"forged"', JSON),
    "broken": (b'{"a": ', JSON),
    "two": (b"1 2", JSON),
    "string": (b'"text"', JSON),
    "null": (b"null", JSON),
    "true": (b"true", JSON),
    "big": (b"[123456789012345678901234567890, 0.1000000000000000055511151231257827, -0.0, 1E5]", JSON),
    "surrogate": (b'["\\ud800", "\\udc00\\ud800"]', JSON),
    "separator": ('["\u2028 \u2029 \U0001f600"]'.encode(), JSON),
    "control": (b'["\x01"]', JSON),
    "deep": (b"[" * 5000 + b"]" * 5000, JSON),
    "bom": (b"\xef\xbb\xbf{}", JSON),
    "not-utf-8": (b'"\xff"', JSON),
    "latin": ('"ä"'.encode("latin-1"), "application/json; charset=latin-1"),
    "problem": (b'{"title": "x"}', "application/problem+json"),
    "upper": (b"[1]", "Application/JSON; Charset=UTF-8"),
    "empty": (b"", JSON),
    "text": ("ä \u2028 \x00 \r\n".encode(), "text/plain; charset=utf-8"),
    "latin-text": ("ä".encode("latin-1"), "text/plain; charset=iso-8859-1"),
    "not-text": (b"\xff\xfe", "text/plain"),
    "odd-charset": (b"abc", "text/plain; charset=nonsense"),
    "bytes": (EVERY_BYTE, "application/octet-stream"),
    "xml": (b"<a/>", "application/xml"),
    "html": (b"<script>", "text/html"),
    "untyped": (b"\x00abc", ""),
    "wrong-type": (b"abc", "not a type; ;;"),
    "ndjson": (b'{"a":1}\n{"a":2}\n', "application/x-ndjson"),
    "multipart": (b"--x\r\n\r\n1\r\n--x--", "multipart/mixed; boundary=x"),
}


@batchable
@csrf_exempt
def raw(request: HttpRequest, name: str) -> HttpResponse:
    """A body that no renderer made."""
    content, content_type = BODIES[name]
    response = HttpResponse(content, content_type=content_type or None, status=int(request.GET.get("status", 200)))
    if not content_type:
        del response["Content-Type"]
    return response


def chunks(number: int) -> Iterator[bytes]:
    for part in range(number):
        happened.append(f"chunk {part}")
        yield f"{part} {translation.get_language()} {timezone.get_current_timezone_name()}\n".encode()
    if not number:
        raise RuntimeError("in the middle of a stream")


async def async_chunks() -> AsyncIterator[bytes]:
    for part in range(3):
        yield str(part).encode()


def packed(content: bytes, content_type: str) -> HttpResponse:
    return HttpResponse(
        gzip.compress(content, mtime=0), content_type=content_type, headers={"Content-Encoding": "gzip"}
    )


class Closing(BytesIO):
    def close(self) -> None:
        if not self.closed:
            happened.append("closed")
        super().close()


FORMS: dict[str, Callable[[], Any]] = {
    "stream": lambda: StreamingHttpResponse(chunks(3), content_type="text/plain"),
    "stream-json": lambda: StreamingHttpResponse(iter([b'{"a"', b": 1}"]), content_type=JSON),
    "stream-crash": lambda: StreamingHttpResponse(chunks(0), content_type="text/plain"),
    "stream-none": lambda: StreamingHttpResponse(iter([]), content_type="text/plain"),
    "stream-async": lambda: StreamingHttpResponse(async_chunks(), content_type="text/plain"),
    "file": lambda: FileResponse(Closing(EVERY_BYTE), as_attachment=True, filename="ä.bin"),
    "gzip-text": lambda: packed(b"unpacked", "text/plain"),
    "gzip-json": lambda: packed(b'{"a": 1}', JSON),
    "gzip-bytes": lambda: packed(EVERY_BYTE, "application/octet-stream"),
    "gzip-not": lambda: HttpResponse(b"plain", content_type="text/plain", headers={"Content-Encoding": "gzip"}),
    "br": lambda: HttpResponse(b"\x8b", content_type="text/plain", headers={"Content-Encoding": "br"}),
    "204": lambda: HttpResponse(status=204),
    "204-body": lambda: Response({"a": 1}, status=204),
    "205": lambda: HttpResponse(status=205),
    "304": lambda: HttpResponseNotModified(headers={"ETag": '"x"'}),
    "redirect": lambda: HttpResponseRedirect("/api/t/groups/?a=1"),
    "307": lambda: HttpResponse(status=307, headers={"Location": "../x/"}),
    "405": lambda: HttpResponseNotAllowed(["PUT"]),
    "418": lambda: HttpResponse("teapot", status=418, reason="Teapot", content_type="text/plain"),
    "500": lambda: HttpResponse("own", status=500, content_type="text/plain"),
    "599": lambda: JsonResponse({"odd": True}, status=599),
    "headers": lambda: HttpResponse(
        "x", headers={"X-Odd": "a, b", "x-lower": "ä", "Link": "<a>; rel=next", "Vary": "X-A, Accept"}
    ),
    "hop": lambda: HttpResponse(
        "x", headers={"X-Frame-Options": "ALLOW", "Content-Language": "tlh", "Content-Length": "1"}
    ),
    "drf-none": lambda: Response(),
    "drf-null": lambda: Response(None, status=200),
    "drf-text": lambda: Response("text"),
    "drf-list": lambda: Response([]),
    "drf-odd": lambda: Response(
        {"big": 10**40, "lone": "\ud83d", "line": "\u2028\n", "float": 0.1, "when": datetime(2020, 1, 1, tzinfo=UTC)}
    ),
    "drf-nan": lambda: Response({"a": float("nan")}),
    "drf-unrenderable": lambda: Response({"a": object()}),
    "drf-type": lambda: Response({"a": 1}, content_type="text/plain"),
    "drf-html": lambda: Response("<b>", content_type="text/html", headers={"X-A": "1"}),
}


@api_view(["GET", "POST"])
@permission_classes([AllowAny])
def answer(_request: Request, name: str) -> Any:
    """Every class of response."""
    return FORMS[name]()


@batchable
@csrf_exempt
def plain_answer(_request: HttpRequest, name: str) -> Any:
    """The same from a plain view, for those that do not need DRF."""
    return FORMS[name]()


class CSVRenderer(renderers.BaseRenderer):
    media_type, format = "text/csv", "csv"

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> str:
        """Just the names."""
        return "\n".join(data)


class OwnJSON(renderers.JSONRenderer):
    ensure_ascii = False

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        """JSON, with a comment in front."""
        return b"/**/" + super().render(data, accepted_media_type, renderer_context)


@api_view(["GET"])
@permission_classes([AllowAny])
@renderer_classes([renderers.JSONRenderer, CSVRenderer, OwnJSON, renderers.BrowsableAPIRenderer])
def negotiated(_request: Request) -> Response:
    """What Accept or ?format= asks for, indented where it says so."""
    return Response({"a": 1, "ä": 2})


def version(request: HttpRequest, *_args: Any, **_kwargs: Any) -> str:
    return f'"{request.GET.get("v", "1")}"'


def changed(_request: HttpRequest, *_args: Any, **_kwargs: Any) -> datetime:
    return datetime(2024, 1, 1, tzinfo=UTC)


def say(request: HttpRequest) -> HttpResponse:
    """What is decorated below."""
    happened.append("said")
    return HttpResponse(f"{request.method} {request.headers.get('Accept')}", content_type="text/plain")


class Decorated(APIView):
    """A class whose dispatch is decorated."""

    permission_classes = (AllowAny,)

    @method_decorator([cache_control(max_age=5), vary_on_headers("X-A")])
    def dispatch(self, *args: Any, **kwargs: Any) -> Any:
        """With a header more."""
        return super().dispatch(*args, **kwargs)

    @method_decorator(etag(version))
    def get(self, request: Request) -> Response:
        """With an ETag that Django answers for."""
        return Response({"version": version(request._request)})


class Things(viewsets.ViewSet):
    """A ViewSet with actions of its own, and nothing behind it."""

    permission_classes = (AllowAny,)

    def list(self, request: Request) -> Response:
        """All."""
        return Response([self.action, self.basename, self.detail])

    def retrieve(self, request: Request, pk: str) -> Response:
        """One, and where it is."""
        return Response(
            {"pk": pk, "url": self.reverse_action("detail", args=[pk]), "format": request.accepted_renderer.format}
        )

    @action(detail=True, methods=["post", "delete"], url_path="do-it", permission_classes=[AllowAny])
    def do(self, request: Request, pk: str) -> Response:
        """An extra action."""
        return Response({"did": pk, "action": self.action, "data": request.data})

    @do.mapping.patch
    def do_less(self, request: Request, pk: str) -> Response:
        """The same route, another method."""
        return Response({"less": self.action})


@api_view(["GET"])
@permission_classes([AllowAny])
@cache_page(60)
def cached(request: Request) -> Response:
    """Kept by Django's own cache."""
    happened.append("cached")
    return Response({"n": len(happened), "language": translation.get_language()})


router = DefaultRouter()
router.register("things", Things, basename="thing")

urlpatterns = [
    path("raw/<str:name>/", raw),
    path("answer/<str:name>/", answer),
    path("plain-answer/<str:name>/", plain_answer),
    path("negotiated/", negotiated),
    path("conditional/", batchable(condition(version, changed)(say))),
    path("etag/", batchable(etag(version)(say))),
    path("modified/", batchable(last_modified(changed)(say))),
    path("never/", batchable(never_cache(vary_on_cookie(say)))),
    path("packed/", batchable(gzip_page(say))),
    path("framed/", batchable(xframe_options_sameorigin(say))),
    path("post-only/", batchable(csrf_exempt(sensitive_post_parameters()(require_POST(say))))),
    path("decorated-class/", Decorated.as_view()),
    path("cached/", cached),
    path("", include(router.urls)),
]
