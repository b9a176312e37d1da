"""Views that answer with what they were asked: environ, headers, parsed bodies, language, time zone."""

from hashlib import sha256
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse, parse_cookie
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import get_urlconf, path, reverse, set_urlconf
from django.utils import timezone, translation
from django.utils.translation import gettext
from django.views.decorators.csrf import csrf_exempt
from rest_framework.decorators import api_view, parser_classes, permission_classes
from rest_framework.parsers import FileUploadParser, FormParser, JSONParser, MultiPartParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from batchapi import batchable

OUR_OWN = {"HTTP_X_REQUEST_ID", "HTTP_COOKIE"}  # The first is ours to set; the second is compared when it is parsed.


@api_view(["GET", "POST", "OPTIONS"])
@permission_classes([AllowAny])
def meta(request: Request) -> Response:
    """Everything in META that is text."""
    told = {name: value for name, value in request.META.items() if isinstance(value, str) and name not in OUR_OWN}
    cookies = sorted(parse_cookie(request.META.get("HTTP_COOKIE", "")).items())
    return Response({name: told[name] for name in sorted(told)} | {"cookies": cookies})


@batchable
@csrf_exempt
def plain_meta(request: HttpRequest, **kwargs: Any) -> JsonResponse:
    """What Django's own request tells of itself."""
    return JsonResponse(
        {
            "method": request.method,
            "path": [request.path, request.path_info, request.get_full_path(), request.build_absolute_uri("x")],
            "query": dict(request.GET.lists()),
            "headers": sorted(item for item in request.headers.items() if item[0] not in ("X-Request-Id", "Cookie")),
            "cookies": sorted(request.COOKIES.items()),
            "body": sha256(request.body).hexdigest(),
            "content": [request.content_type, request.content_params, request.encoding],
            "is": [request.is_secure(), request.accepts("text/html"), hasattr(request, "urlconf")],
            "match": [request.resolver_match.view_name, request.resolver_match.route, request.resolver_match.kwargs],
        }
    )


@api_view(["GET", "POST", "PUT", "PATCH", "DELETE"])
@permission_classes([AllowAny])
def echo(request: Request, **kwargs: Any) -> Response:
    """What DRF makes of query and body."""
    return Response(
        {"query": request.query_params, "data": request.data, "kwargs": kwargs, "format": read_format(request)}
    )


def read_format(request: Request) -> list[str | None]:
    return [request.accepted_media_type, request.content_type, request.method]


@batchable
@csrf_exempt
def form(request: HttpRequest) -> JsonResponse:
    """What Django makes of a form, with its files."""
    files = {name: [file.name, file.size, file.read().hex()] for name, file in request.FILES.items()}
    return JsonResponse({"post": dict(request.POST.lists()), "files": files})


@api_view(["POST"])
@permission_classes([AllowAny])
@parser_classes([MultiPartParser, FormParser, JSONParser])
def upload(request: Request) -> Response:
    """What DRF makes of a form, with its files."""
    read = {name: value.read().hex() if hasattr(value, "read") else value for name, value in request.data.items()}
    return Response(read)


@api_view(["PUT"])
@permission_classes([AllowAny])
@parser_classes([FileUploadParser])
def put_file(request: Request, filename: str) -> Response:
    """One file as the whole body."""
    return Response({"name": request.data["file"].name, "bytes": request.data["file"].read().hex()})


@batchable
@csrf_exempt
def raw_body(request: HttpRequest) -> HttpResponse:
    """Reads the stream in pieces, and one byte too many."""
    first, rest, end = request.read(3), request.read(), request.read(1)
    return HttpResponse(first + b"|" + rest + b"|" + end, content_type="application/octet-stream")


@api_view(["GET"])
@permission_classes([AllowAny])
def language(request: Request) -> Response:
    """In which language, time zone and URL configuration a view runs."""
    return Response(
        {
            "language": translation.get_language(),
            "chosen": request.LANGUAGE_CODE,
            "words": gettext("This field is required."),
            "zone": timezone.get_current_timezone_name(),
            "urls": [get_urlconf(), reverse("tests-language")],
        }
    )


@batchable
def page(request: HttpRequest) -> TemplateResponse:
    """A template that is rendered late, in the language of the request."""
    template = engines["django"].from_string(
        "{% load i18n %}{% get_current_language as lang %}{{ lang }} {% trans 'Yes' %} "
        "{{ user.username }} {{ perms.auth.add_group }} {{ messages|length }} {{ csrf_token|length }}"
    )
    return TemplateResponse(request, template)


@api_view(["GET", "POST"])
@permission_classes([AllowAny])
def leak(request: Request) -> Response:
    """Changes the thread: language, time zone, URL configuration."""
    translation.activate("fr")
    timezone.activate("Asia/Tokyo")
    set_urlconf("project.urls")
    return Response({"language": translation.get_language()})


@batchable
async def anon_async(request: HttpRequest) -> JsonResponse:
    """An async view that asks for the user and sees the language."""
    user = await request.auser()
    return JsonResponse({"user": user.get_username(), "language": translation.get_language()})


urlpatterns = [
    path("meta/", meta),
    path("plain-meta/<str:word>/", plain_meta),
    path("plain-meta/", plain_meta),
    path("echo/", echo),
    path("echo/<int:number>/<path:rest>", echo),
    path("form/", form),
    path("upload/", upload),
    path("put-file/<str:filename>", put_file),
    path("raw-body/", raw_body),
    path("language/", language, name="tests-language"),
    path("page/", page),
    path("leak/", leak),
    path("async/", anon_async),
]
