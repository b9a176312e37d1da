"""Views whose answers may be kept, or must not be; each counts how often it ran."""

from collections import Counter
from typing import Any, ClassVar

from django.contrib.auth.decorators import user_passes_test
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import include, path
from django.utils import timezone
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from batchapi import batch_policy, batchable

RAN: Counter[str] = Counter()


class Counted(APIView):
    """Counts its runs."""

    permission_classes = (AllowAny,)

    def get(self, request: Request, **kwargs: Any) -> Any:
        RAN[self.__class__.__name__] += 1
        return self.answer(request, **kwargs)


class Names(Counted):
    """Reads a table."""

    def answer(self, request: Request) -> Response:
        return Response(sorted(Group.objects.values_list("name", flat=True)))

    def post(self, request: Request) -> Response:
        Group.objects.create(name=request.data["name"])
        return Response(status=201)


class Mine(Counted):
    """Says who is asking, and reads a table."""

    def answer(self, request: Request) -> Response:
        email = getattr(request.user, "email", None)
        return Response([request.user.username, email, Group.objects.count()])


class Nothing(Counted):
    def answer(self, request: Request) -> Response:
        return Response("nothing was read")


@batch_policy(cache=True)
class Kept(Nothing):
    """Read from nowhere, and kept all the same."""


@batch_policy(cache=False)
class NotKept(Names):
    pass


class Clock(Counted):
    def answer(self, request: Request) -> Response:
        return Response(User.objects.filter(date_joined__lt=timezone.now()).count())


class Visits(Counted):
    """Reads the session, and counts in it where it is told to."""

    def answer(self, request: Request) -> Response:
        if "count" in request.query_params:
            request.session["visits"] = request.session.get("visits", 0) + 1
        return Response([request.session.get("visits", 0), Group.objects.count()])


class Headers(Counted):
    """Sets the headers that it is told."""

    def answer(self, request: Request) -> Response:
        response = Response(Group.objects.count())
        for name, value in request.query_params.items():
            response[name.replace("_", "-")] = value
        return response


class Cookie(Counted):
    def answer(self, request: Request) -> Response:
        response = Response(Group.objects.count())
        response.set_cookie("seen", "yes")
        return response


class Status(Counted):
    def answer(self, request: Request, status: int) -> Response:
        return Response(Group.objects.count(), status=status)


class Stream(Counted):
    def answer(self, request: Request) -> StreamingHttpResponse:
        return StreamingHttpResponse(iter([str(Group.objects.count())]))


class Language(Counted):
    """Its answer depends on Accept-Language, as it came."""

    def answer(self, request: Request) -> Response:
        return Response([request.META.get("HTTP_ACCEPT_LANGUAGE"), request.LANGUAGE_CODE, Group.objects.count()])


class Twice(BaseThrottle):
    """Lets two through."""

    counted: ClassVar[Counter[str]] = Counter()

    def allow_request(self, request: Request, view: Any) -> bool:
        self.counted["asked"] += 1
        return self.counted["asked"] <= 2


class Throttled(Names):
    throttle_classes = (Twice,)


class Switch(BasePermission):
    """Lets in while a switch is on that no table tells of."""

    is_on = True

    def has_permission(self, request: Request, view: Any) -> bool:
        return Switch.is_on


class Switched(Names):
    permission_classes = (Switch,)


@batch_policy(public=True)
class Public(Names):
    """The same for everybody."""


@batch_policy(public=True)
class PublicSwitched(Names):
    permission_classes = (Switch,)


@batch_policy(public=True)
class Tenant(Counted):
    """Reads a header that the batch was sent with."""

    def answer(self, request: Request) -> Response:
        return Response([request.headers.get("X-Tenant"), Group.objects.count()])


class SetUp(Names):
    """Refuses before DRF has begun."""

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        if not Switch.is_on:
            raise PermissionDenied
        super().setup(request, *args, **kwargs)


@batchable
@user_passes_test(lambda _: Switch.is_on, login_url="/login/")
def decorated(request: HttpRequest) -> HttpResponse:
    RAN["decorated"] += 1
    return JsonResponse({"groups": Group.objects.count()})


class Fails(Counted):
    """Fails where it is told to from outside."""

    is_broken = False

    def answer(self, request: Request) -> Response:
        if Fails.is_broken:
            raise RuntimeError("broken")
        return Response(Group.objects.count())


@batchable
def plain(request: HttpRequest) -> HttpResponse:
    RAN["plain"] += 1
    return JsonResponse([request.user.get_username(), Group.objects.count()], safe=False)


@batchable
async def waiting(request: HttpRequest) -> HttpResponse:
    RAN["waiting"] += 1
    return JsonResponse({"groups": await Group.objects.acount()})


class Raw(Counted):
    """Reads by the SQL that it is told."""

    def answer(self, request: Request) -> Response:
        with connection.cursor() as cursor:
            cursor.execute(request.query_params["sql"])
            return Response([str(row) for row in cursor.fetchall()])


urlpatterns = [
    path("api/names/", Names.as_view()),
    path("api/mine/", Mine.as_view()),
    path("api/nothing/", Nothing.as_view()),
    path("api/kept/", Kept.as_view()),
    path("api/not-kept/", NotKept.as_view()),
    path("api/clock/", Clock.as_view()),
    path("api/visits/", Visits.as_view()),
    path("api/headers/", Headers.as_view()),
    path("api/cookie/", Cookie.as_view()),
    path("api/status/<int:status>/", Status.as_view()),
    path("api/stream/", Stream.as_view()),
    path("api/language/", Language.as_view()),
    path("api/throttled/", Throttled.as_view()),
    path("api/switched/", Switched.as_view()),
    path("api/public/", Public.as_view()),
    path("api/public-switched/", PublicSwitched.as_view()),
    path("api/fails/", Fails.as_view()),
    path("api/tenant/", Tenant.as_view()),
    path("api/set-up/", SetUp.as_view()),
    path("api/decorated/", decorated),
    path("api/plain/", plain),
    path("api/waiting/", waiting),
    path("api/raw/", Raw.as_view()),
    path("api/batch/", include("batchapi.urls")),
]
