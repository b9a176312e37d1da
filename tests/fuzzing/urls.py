"""The routes that an attacker finds, and two views that take any header and say anything."""

import json

from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from batchapi import batchable
from tests.security.urls import urlpatterns as of_security


@batchable
@csrf_exempt
def tell(request: HttpRequest) -> JsonResponse:
    """Everything in META that is text, whatever was accepted or expected."""
    return JsonResponse({name: value for name, value in request.META.items() if isinstance(value, str)})


@batchable
@csrf_exempt
def say(request: HttpRequest) -> JsonResponse:
    """What the client wants an answer to hold, in its body and, where that can be, as its Location."""
    said = json.loads(request.body or b"[null]")
    response = JsonResponse({"said": said})
    if isinstance(said[0], str) and said[0].isprintable() and said[0].isascii():
        response["Location"] = said[0]
    return response


urlpatterns = [path("api/", include([path("tell/", tell), path("say/", say)])), *of_security]
