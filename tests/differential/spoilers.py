"""Middleware that makes a batch answer wrongly, each in one small way, to see that the harness notices."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import AnonymousUser, Group
from django.core.cache import cache
from django.core.mail import send_mail
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

GetResponse = Callable[[HttpRequest], HttpResponse]
Spoil = Callable[[HttpRequest, HttpResponse], Any]


def after(spoil: Spoil) -> Callable[[GetResponse], GetResponse]:
    """Middleware that does something to a request and its response when the view is through."""

    def middleware(get_response: GetResponse) -> GetResponse:
        def respond(request: HttpRequest) -> HttpResponse:
            response = get_response(request)
            spoil(request, response)
            return response

        return respond

    return middleware


def before(spoil: Callable[[HttpRequest], Any]) -> Callable[[GetResponse], GetResponse]:
    """Middleware that does something to a request before the view has it."""

    def middleware(get_response: GetResponse) -> GetResponse:
        def respond(request: HttpRequest) -> HttpResponse:
            spoil(request)
            return get_response(request)

        return respond

    return middleware


def no_header(_request: HttpRequest, response: HttpResponse) -> None:
    del response["Allow"]


def one_byte_less(_request: HttpRequest, response: HttpResponse) -> None:
    response.content = response.content[:-2] + response.content[-1:]


def no_vary(_request: HttpRequest, response: HttpResponse) -> None:
    del response["Vary"]


another_header = after(lambda request, response: response.headers.setdefault("X-Spoilt", "1"))
missing_header = after(no_header)
missing_vary = after(no_vary)
another_status = after(lambda request, response: setattr(response, "status_code", 299))
another_body = after(one_byte_less)
another_row = after(lambda request, response: Group.objects.create(name="spoilt"))
another_mail = after(lambda request, response: send_mail("spoilt", "", "a@example.com", ["b@example.com"]))
another_cookie = after(lambda request, response: response.set_cookie("spoilt", "1"))
another_count = after(lambda request, response: cache.set("spoilt", 1))
another_user = before(lambda request: setattr(request, "user", AnonymousUser()))
another_zone = before(lambda request: timezone.activate("Asia/Tokyo"))
without_csrf = before(lambda request: setattr(request, "_dont_enforce_csrf_checks", True))
without_query = before(lambda request: request.META.update(QUERY_STRING=""))


def twice(get_response: GetResponse) -> GetResponse:
    """Calls the view twice."""

    def respond(request: HttpRequest) -> HttpResponse:
        get_response(request)
        return get_response(request)

    return respond


def without_session(get_response: GetResponse) -> GetResponse:
    """Has the session forget what it held."""
    return before(lambda request: request.session.flush())(get_response)
