"""The views that are measured, and the batch endpoint."""

from django.urls import include, path
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


urlpatterns = [
    path("api/trivial/<int:number>/", Trivial.as_view(), name="trivial"),
    path("api/batch/", include("batchapi.urls")),
]
