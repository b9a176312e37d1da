"""Views that set the headers and the status that they are told, and that look at those that they were sent."""

from typing import Any

from django.contrib.auth.models import Group
from django.http import HttpResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.http import http_date
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from batchapi import batch_policy
from tests.cache.views import RAN, Counted
from tests.cache.views import urlpatterns as of_the_others

MODIFIED = 1_700_000_000  # seconds since 1970


class Said(Counted):
    """Answers with the headers in its query, and who is asking; `status` is the status."""

    def answer(self, request: Request) -> Response:
        response = Response([request.user.username, RAN["Said"], Group.objects.count()])
        response.status_code = int(request.query_params.get("status", 200))
        for name, value in request.query_params.items():
            if name != "status":
                response[name] = value
        return response


class Tagged(Counted):
    """With an ETag and a date; a view that knows of no conditions."""

    def answer(self, request: Request) -> Response:
        count = Group.objects.count()
        headers = {"ETag": f'{request.query_params.get("weak", "")}"{count}"', "Last-Modified": http_date(MODIFIED)}
        return Response(count, headers=headers)


class Conditional(Counted):
    """Tells which condition and range it was sent."""

    def answer(self, request: Request) -> Response:
        names = ("HTTP_IF_MATCH", "HTTP_IF_UNMODIFIED_SINCE", "HTTP_IF_RANGE", "HTTP_IF_NONE_MATCH")
        return Response([Group.objects.count(), *(request.META.get(name) for name in names)])


class Template(Counted):
    """A page whose template looks into the session, after the view is done, or asks for a CSRF token."""

    def answer(self, request: Request) -> TemplateResponse:
        words = "{{ request.session.secret }}" if "session" in request.query_params else "{% csrf_token %}"
        template = engines["django"].from_string(f"{words} {{{{ count }}}}")
        return TemplateResponse(request._request, template, {"count": Group.objects.count()})


class Token(Counted):
    def answer(self, request: Request) -> Response:
        return Response([get_token(request._request), Group.objects.count()])


class RawCookie(Counted):
    """Sets a cookie by its header, where Django does not count it as one."""

    def answer(self, request: Request) -> Response:
        return Response(Group.objects.count(), headers={"Set-Cookie": "secret=alice"})


class Lines(Counted):
    """A stream, or a part."""

    def answer(self, request: Request) -> HttpResponse | StreamingHttpResponse:
        if "part" in request.query_params:
            return HttpResponse(str(Group.objects.count()), status=206, headers={"Content-Range": "bytes 0-0/2"})
        return StreamingHttpResponse(iter([str(Group.objects.count())]))


@batch_policy(public=True)
class PublicSaid(Said):
    pass


@api_view(["GET", "POST"])
@permission_classes([AllowAny])
def both(request: Request, **kwargs: Any) -> Response:
    """GET and POST of one URL."""
    RAN["both"] += 1
    return Response([request.method, Group.objects.count()])


urlpatterns = [
    path("api/said/", Said.as_view()),
    path("api/public-said/", PublicSaid.as_view()),
    path("api/tagged/", Tagged.as_view()),
    path("api/conditional/", Conditional.as_view()),
    path("api/template/", Template.as_view()),
    path("api/token/", Token.as_view()),
    path("api/raw-cookie/", RawCookie.as_view()),
    path("api/lines/", Lines.as_view()),
    path("api/both/", both),
    *of_the_others,
]
