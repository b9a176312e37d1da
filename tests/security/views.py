"""Views that an attacker would like to reach, or to have as a tool; each notes that it was called."""

from collections.abc import Iterator
from time import sleep
from typing import Any

from django.contrib.auth import get_user_model, login, logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.test import Client
from django.views.decorators.csrf import csrf_exempt
from rest_framework import serializers
from rest_framework.authentication import BasicAuthentication, SessionAuthentication, TokenAuthentication
from rest_framework.authtoken.models import Token
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from batchapi import batch_exempt, batch_policy, batchable
from batchapi.views import BatchView

CALLS: list[str] = []  # the path of each request that reached a view
SECRET = "SELECT secret FROM vault WHERE path='/etc/shadow'"


class Recorded(APIView):
    """Notes each call before anything else can refuse it."""

    permission_classes = (AllowAny,)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        CALLS.append(request.path)
        return super().dispatch(request, *args, **kwargs)


class Item(Recorded):
    """Tells which path it was reached under."""

    def get(self, request: Request, **kwargs: Any) -> Response:
        return Response({"path": request.path, "full": request.get_full_path(), **kwargs})

    post = get


class Meta(Recorded):
    """Tells everything in META that is text, and the bytes of the body."""

    def get(self, request: Request) -> Response:
        told = {name: value for name, value in request.META.items() if isinstance(value, str)}
        return Response({"meta": told, "cookies": request.COOKIES, "body": request.body.decode("latin-1")})

    post = get


class WhoAmI(Recorded):
    """Tells the user's name, to whom it may be told."""

    permission_classes = (IsAuthenticated,)

    def get(self, request: Request) -> Response:
        return Response({"user": request.user.get_username()})

    post = get


class SessionOnly(WhoAmI):
    authentication_classes = (SessionAuthentication,)


class TokenOnly(WhoAmI):
    authentication_classes = (TokenAuthentication,)


class BasicOnly(WhoAmI):
    authentication_classes = (BasicAuthentication,)


class NoAuthentication(Recorded):
    """Authenticates nobody, and trusts what middleware says of the user."""

    authentication_classes = ()

    def post(self, request: Request) -> Response:
        return Response({"middleware": request._request.user.get_username(), "drf": str(request.user)})


class Flags(Recorded):
    """Tells the attributes that would switch a protection off."""

    def get(self, request: Request) -> Response:
        there = vars(request._request)
        names = ("_dont_enforce_csrf_checks", "csrf_processing_done", "_force_auth_user", "_force_auth_token")
        return Response({name: str(there[name]) for name in names if name in there})


@batch_exempt
class Closed(Recorded):
    def get(self, _request: Request) -> Response:
        return Response({"closed": True})


class HalfClosed(Recorded):
    """A class that closes one of its methods."""

    @batch_exempt
    def get(self, _request: Request) -> Response:
        return Response({"closed": True})

    def post(self, _request: Request) -> Response:
        return Response({"open": True})


def tell(request: HttpRequest) -> JsonResponse:
    CALLS.append(request.path)
    return JsonResponse({"user": request.user.get_username()})


plain = csrf_exempt(tell)
batchable_plain = batchable(lambda request: tell(request))
batchable_exempt = batchable(csrf_exempt(lambda request: tell(request)))
for_logged_in = login_required(Item.as_view())


# Views that change who is asking


@batch_policy(changes_identity=True)
class LogIn(Recorded):
    def post(self, request: Request) -> Response:
        user = get_user_model().objects.get(username=request.data["username"])
        login(request._request, user, backend="django.contrib.auth.backends.ModelBackend")
        return Response({"user": user.get_username()})


@batch_policy(changes_identity=True)
class LogOut(Recorded):
    def post(self, request: Request) -> Response:
        logout(request._request)
        return Response()


class Change(Recorded):
    """Does something to a user's row: POST {"username", "do"}."""

    def post(self, request: Request) -> Response:
        user = get_user_model().objects.get(username=request.data["username"])
        match request.data["do"]:
            case "deactivate":
                get_user_model().objects.filter(pk=user.pk).update(is_active=False)
            case "delete":
                user.delete()
            case "change password":
                user.set_password("another horse")
                user.save()
            case "delete token":
                Token.objects.filter(user=user).delete()
        return Response()


# Views that break


class Leaky(serializers.Serializer[Any]):
    value = serializers.SerializerMethodField()

    def get_value(self, _source: object) -> str:
        raise LookupError(SECRET)


class LeakyRenderer(JSONRenderer):
    def render(self, *_args: Any, **_kwargs: Any) -> bytes:
        raise LookupError(SECRET)


class Crash(Recorded):
    """Breaks where it is told to."""

    def get(self, _request: Request, place: str) -> HttpResponseBase:
        if place == "serializer":
            return Response(Leaky({}).data)
        if place == "stream":
            return StreamingHttpResponse(breaking_off())
        if place == "json":
            return Response({"value": object()})
        raise LookupError(SECRET)


class CrashInRenderer(Recorded):
    renderer_classes = (LeakyRenderer,)

    def get(self, _request: Request) -> Response:
        return Response({})


def breaking_off() -> Iterator[bytes]:
    yield b"so far"
    raise LookupError(SECRET)


def break_if_asked(get_response: Any) -> Any:
    """Middleware that breaks."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        if "in-middleware" in request.path:
            raise LookupError(SECRET)
        return get_response(request)

    return respond


class Raw(Recorded):
    """Answers bytes and headers of the caller's choice: {"body" (latin-1), "type", "encoding"}."""

    def post(self, request: Request) -> HttpResponse:
        asked = request.data
        response = HttpResponse(asked["body"].encode("latin-1"), content_type=asked["type"])
        if asked.get("encoding"):
            response["Content-Encoding"] = asked["encoding"]
        return response


class Bulk(Recorded):
    """Many bytes, or a stream without an end."""

    def get(self, request: Request) -> HttpResponseBase:
        if "endless" in request.query_params:
            return StreamingHttpResponse(iter(lambda: b"x" * 4096, None), content_type="text/plain")
        content = b"x" * int(request.query_params["bytes"])
        if "stream" in request.query_params:
            return StreamingHttpResponse([content], content_type="text/plain")
        return HttpResponse(content, content_type="text/plain")


class Nap(Recorded):
    """Takes as many milliseconds as the URL says."""

    def get(self, _request: Request, ms: int) -> Response:
        sleep(ms / 1000)
        return Response({})


# Views that lead back to the batch

INNER = {"requests": [{"url": "/api/items/inner/"}]}


def to_batch(_request: HttpRequest) -> HttpResponse:
    return redirect("/api/batch/")


class Redirecting(Recorded):
    def get(self, _request: Request) -> HttpResponse:
        return redirect("/api/batch/")


@batchable
@csrf_exempt
def undecorated_batch(request: HttpRequest) -> HttpResponseBase:
    """Hides the class of the view, so that only what runs can tell that it is a batch."""
    return BatchView.as_view()(request)


class PostingBatch(Recorded):
    """Posts a batch over Django's test client, as view code might over a helper of its own."""

    def post(self, _request: Request) -> HttpResponse:
        answer = Client(raise_request_exception=False).post("/api/batch/", INNER, content_type="application/json")
        return HttpResponse(answer.content, status=answer.status_code, content_type=answer["Content-Type"])


class MyBatchView(BatchView):
    """A project's own kind of batch endpoint."""
