"""The project's routes, views that take their time, and one that tells what its process holds."""

import os
import threading

from django.contrib.auth.models import User
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response

from batchapi.execute.abandoned import abandoned
from project.urls import urlpatterns as of_the_project
from tests.serving.views import Open, Query, Row, Rows, Wait


class People(Open):
    def get(self, _request: Request) -> Response:
        """Reads a table that nobody writes, so its answer is kept."""
        return Response({"people": User.objects.count()})


class Counts(Open):
    def get(self, _request: Request) -> Response:
        """What this process holds right now."""
        held = {"threads": threading.active_count(), "files": len(os.listdir("/dev/fd"))}
        return Response({"process": os.getpid(), **held, "abandoned": sum(abandoned.by_caller.values())})


own = [
    path("wait/<int:ms>/", Wait.as_view()),
    path("query/<int:ms>/", Query.as_view()),
    path("rows/", Rows.as_view()),
    path("rows/<str:key>/", Row.as_view()),
    path("people/", People.as_view()),
    path("counts/", Counts.as_view()),
]
urlpatterns = [path("api/", include(own)), *of_the_project]
