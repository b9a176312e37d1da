"""The views of `views`, behind endpoints that stand elsewhere, or that ask others who is asking."""

from typing import ClassVar

from django.contrib.auth.models import Group
from django.urls import include, path
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from batchapi.views import BatchView
from tests.idempotency.views import CALLS, write
from tests.idempotency.views import urlpatterns as of_the_others


class AwayError(APIException):
    status_code = 503


class ByDevice(BaseAuthentication):
    """Devices are rows of another model, with primary keys of their own."""

    def authenticate(self, request: Request) -> tuple[Group, None] | None:
        if (pk := request.META.get("HTTP_X_DEVICE")) is None:
            return None
        device = Group.objects.get(pk=pk)
        device.is_authenticated = True  # type: ignore[attr-defined] # what DRF asks of a user
        return device, None


class ByService(SessionAuthentication):
    """Asks a service, which is away for some calls."""

    away: ClassVar[int] = 0

    def authenticate(self, request: Request) -> object:
        cls = type(self)
        cls.away -= 1
        if cls.away >= 0:
            raise AwayError
        return super().authenticate(request)


class Who(APIView):
    authentication_classes = (ByDevice, SessionAuthentication)

    def post(self, request: Request) -> Response:
        CALLS.append(name := request.user.__class__.__name__)  # It may be lazy.
        return Response({"who": name}, status=201)


class Elsewhere(APIView):
    def post(self, _request: Request, name: str, end: str) -> Response:
        write(f"{name} elsewhere")
        return Response(status=201)


class OfDevices(BatchView):
    authentication_classes = (ByDevice, SessionAuthentication)


class OfService(BatchView):
    authentication_classes = (ByService,)


urlpatterns = [
    path("api/who/", Who.as_view()),
    path("api/batch-of-devices/", OfDevices.as_view()),
    path("api/batch-of-service/", OfService.as_view()),
    path("elsewhere/write/<str:name>/<str:end>/", Elsewhere.as_view()),
    path("elsewhere/batch/", include("batchapi.urls", namespace="elsewhere")),
    *of_the_others,
]
