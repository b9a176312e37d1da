"""Views that write, and what becomes of the write when they then fail, count, or hook into the commit."""

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from django.contrib.auth.models import Group
from django.core.exceptions import BadRequest, DisallowedHost, PermissionDenied, SuspiciousOperation
from django.core.mail import send_mail
from django.db import IntegrityError, connection, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions, throttling
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from batchapi import batch_policy, batchable
from tests.views import happened


class OddError(exceptions.APIException):
    """A DRF error with headers of its own."""

    status_code = 503
    default_detail = "Come back."
    wait = 7
    auth_header = "Odd"


ERRORS: dict[str, Callable[[], Exception]] = {
    "crash": lambda: RuntimeError("secret"),
    "key": lambda: KeyError("secret"),
    "404": lambda: Http404("Nothing here."),
    "403": lambda: PermissionDenied("No."),
    "400": lambda: BadRequest("Bad."),
    "suspicious": lambda: SuspiciousOperation("Hm."),
    "host": lambda: DisallowedHost("Hm."),
    "invalid": lambda: exceptions.ValidationError({"name": ["Wrong."]}),
    "drf-404": lambda: exceptions.NotFound("Nothing at all."),
    "drf-401": exceptions.NotAuthenticated,
    "drf-429": lambda: exceptions.Throttled(wait=3.2),
    "odd": OddError,
    "integrity": lambda: IntegrityError("made up"),
}


def write(name: str) -> Group:
    """One row more; the name is unique."""
    return Group.objects.create(name=name)


@api_view(["GET", "POST"])
@authentication_classes([])
@permission_classes([AllowAny])
def groups(request: Request) -> Response:
    """GET lists the rows, POST adds one; a second of that name is a crash."""
    if request.method == "POST":
        group = write(request.data.get("name", "unnamed") if isinstance(request.data, dict) else "odd")
        return Response({"id": group.pk, "atomic": connection.in_atomic_block}, status=201)
    return Response({"names": list(Group.objects.order_by("pk").values_list("pk", "name"))})


@api_view(["POST"])
@authentication_classes([])
@permission_classes([AllowAny])
def fail(_request: Request, how: str) -> NoReturn:
    """Writes, then raises."""
    write(f"before {how}")
    raise ERRORS[how]()


@batchable
@csrf_exempt
def plain_fail(_request: HttpRequest, how: str) -> NoReturn:
    """The same without DRF."""
    write(f"plainly before {how}")
    raise ERRORS[how]()


@batchable
@csrf_exempt
@transaction.non_atomic_requests
def loose_fail(_request: HttpRequest, how: str) -> NoReturn:
    """The same, never in a transaction of the request's."""
    write(f"loosely before {how}")
    raise ERRORS[how]()


class LooseAPI(APIView):
    """A DRF view that refuses the transaction."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def post(self, _request: Request) -> Response:
        """A DRF error after a write; says whether a transaction is open."""
        write("loose")
        raise exceptions.ValidationError([str(connection.in_atomic_block)])


@api_view(["POST"])
@authentication_classes([])
@permission_classes([AllowAny])
def ends(_request: Request, how: str) -> Any:
    """Writes, then ends in a way of its own."""
    write(f"ends {how}")
    if how == "none":
        return None
    if how == "rollback" and connection.in_atomic_block:
        transaction.set_rollback(True)
    if how == "savepoint":
        try:
            with transaction.atomic():
                write(f"ends {how}")
        except IntegrityError:
            write("caught")
    if how == "broken":
        try:
            write(f"ends {how}")
        except IntegrityError:
            write("after an error that was caught outside of a savepoint")
    if how == "durable":
        with transaction.atomic(durable=True):
            write("durably")
    return Response({"how": how, "savepoints": len(connection.savepoint_ids)}, status=400 if how == "400" else 200)


@api_view(["POST"])
@authentication_classes([])
@permission_classes([AllowAny])
def hooks(_request: Request, how: str) -> Response:
    """Leaves hooks for the commit."""
    with transaction.atomic():
        write(f"with hooks {how}")
        transaction.on_commit(partial(happened.append, f"first {how}"))
        transaction.on_commit(partial(write, f"by a hook {how}"))
        if how == "raises":
            transaction.on_commit(partial(int, "no number"))
        if how == "robust":
            transaction.on_commit(partial(int, "no number"), robust=True)
        transaction.on_commit(partial(happened.append, f"last {how}"))
        if how == "undone":
            raise exceptions.ValidationError("after all")
    happened.append(f"returns {how}")
    return Response({"happened": list(happened)})


@api_view(["POST"])
@authentication_classes([])
@permission_classes([AllowAny])
def mail(_request: Request) -> Response:
    """Sends mail, at once and on commit."""
    send_mail("now", "body", "a@example.com", ["b@example.com"])
    transaction.on_commit(lambda: send_mail("then", "body", "a@example.com", ["b@example.com"]))
    return Response(status=202)


class PerUser(throttling.UserRateThrottle):
    rate = "3/min"


class PerAddress(throttling.AnonRateThrottle):
    rate = "2/min"


class Scoped(throttling.ScopedRateThrottle):
    THROTTLE_RATES = {"zoo": "2/hour"}  # noqa: RUF012 # a dict in the class body is what DRF reads


class Limited(APIView):
    """A view that counts."""

    permission_classes = (AllowAny,)

    def get(self, _request: Request) -> Response:
        """Let through."""
        happened.append("let through")
        return Response({"ok": True})

    post = get


@batch_policy(priority="background")
class LowPriority(Limited):
    """One that the view itself puts last."""

    def post(self, _request: Request) -> Response:
        """Tells the order that writes come in."""
        write(f"low {Group.objects.count()}")
        return Response({"groups": Group.objects.count()})


@batchable
@csrf_exempt
async def async_write(request: HttpRequest) -> HttpResponse:
    """An async view that writes, through Django's async ORM; ATOMIC_REQUESTS does not allow it."""
    group = await Group.objects.acreate(name="async")
    if request.GET.get("crash"):
        raise RuntimeError("after a write")
    return HttpResponse(str(group.pk), content_type="text/plain")


limited = Limited.as_view
urlpatterns = [
    path("groups/", groups),
    path("fail/<str:how>/", fail),
    path("plain-fail/<str:how>/", plain_fail),
    path("loose-fail/<str:how>/", loose_fail),
    path("loose/", transaction.non_atomic_requests(LooseAPI.as_view())),
    path("ends/<str:how>/", ends),
    path("hooks/<str:how>/", hooks),
    path("mail/", mail),
    path("limited/user/", limited(throttle_classes=(PerUser,))),
    path("limited/address/", limited(throttle_classes=(PerAddress,))),
    path("limited/both/", limited(throttle_classes=(PerAddress, PerUser))),
    path(
        "limited/scoped/",
        type("ScopedLimited", (Limited,), {"throttle_scope": "zoo"}).as_view(throttle_classes=(Scoped,)),
    ),
    path("low/", LowPriority.as_view()),
    path("async-write/", async_write),
]
