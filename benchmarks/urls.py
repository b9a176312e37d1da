"""The views that are measured, and the batch endpoint."""

import threading
import time
from typing import ClassVar

from django.contrib.auth.models import Group
from django.db import connection
from django.urls import include, path
from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication
from rest_framework.generics import RetrieveAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class Trivial(APIView):
    """The least that a DRF view can do: no database, a small JSON body."""

    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Request, number: int) -> Response:
        """A small object."""
        return Response({"number": number, "name": "trivial", "tags": ["a", "b"]})


class Waiting(APIView):
    """Waits, as for another service, and notes its thread."""

    authentication_classes = ()
    permission_classes = ()
    threads: ClassVar[set[int]] = set()

    def get(self, request: Request, ms: int, number: int) -> Response:
        """A small object, after so many milliseconds."""
        self.threads.add(threading.get_ident())
        time.sleep(ms / 1000)
        return Response({"number": number})


class Asking(Waiting):
    """Asks the database first, so that its thread needs a connection."""

    def get(self, request: Request, ms: int, number: int) -> Response:
        """The same, after a query."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return super().get(request, ms, number)


class GroupSerializer(serializers.ModelSerializer[Group]):
    class Meta:
        model = Group
        fields = ("id", "name")


class OneGroup(RetrieveAPIView[Group]):
    """A row, for whoever is logged in."""

    permission_classes = (IsAuthenticated,)
    authentication_classes = (SessionAuthentication,)
    queryset = Group.objects.all()
    serializer_class = GroupSerializer


urlpatterns = [
    path("api/groups/<int:pk>/", OneGroup.as_view(), name="group"),
    path("api/waiting/<int:ms>/<int:number>/", Waiting.as_view(), name="waiting"),
    path("api/asking/<int:ms>/<int:number>/", Asking.as_view(), name="asking"),
    path("api/trivial/<int:number>/", Trivial.as_view(), name="trivial"),
    path("api/batch/", include("batchapi.urls")),
]
