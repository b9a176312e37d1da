"""Views that take their time, write, crash, and tell what the process holds: what a real server is asked in tests."""

import os
import threading
import time
from contextlib import nullcontext

from django.db import connection, transaction
from django.http import Http404
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chat.models import Session

ROWS_PER_MS = 2_000  # that SQLite counts, roughly
SLOW = {
    "postgresql": "SELECT pg_sleep(%s / 1000.0)",
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %s) SELECT count(*) FROM n",
}


class Open(APIView):
    authentication_classes = ()
    permission_classes = ()


class Wait(Open):
    def get(self, _request: Request, ms: int) -> Response:
        """Waits in Python, where no database can end it."""
        time.sleep(ms / 1000)
        return Response({"waited": ms})


class Query(Open):
    def get(self, _request: Request, ms: int) -> Response:
        """Waits for the database."""
        run_query(ms)
        return Response({"queried": ms})


class Rows(Open):
    def get(self, _request: Request) -> Response:
        return Response(list(Session.objects.order_by("key").values_list("key", flat=True)))

    def post(self, request: Request) -> Response:
        """Writes a row, then waits or queries for `ms`, inside of a transaction if told so."""
        asked = request.data
        with transaction.atomic() if asked.get("atomic") else nullcontext():
            Session.objects.create(owner_id=1, key=asked["key"], title="written")
            match asked.get("then"):
                case "wait":
                    time.sleep(asked["ms"] / 1000)
                case "query":
                    run_query(asked["ms"])
        return Response({"key": asked["key"]}, status=201)


class Row(Open):
    def get(self, _request: Request, key: str) -> Response:
        title = Session.objects.filter(key=key).values_list("title", flat=True).first()
        if title is None:
            raise Http404
        return Response({"key": key, "title": title})


class Crash(Open):
    def get(self, _request: Request) -> Response:
        raise RuntimeError("boom")


class Counts(Open):
    def get(self, _request: Request) -> Response:
        """What this process holds right now."""
        files = len(os.listdir("/dev/fd"))
        return Response({"process": os.getpid(), "threads": threading.active_count(), "files": files})


def run_query(ms: int) -> None:
    """One statement that takes about so long."""
    amount = ms if connection.vendor == "postgresql" else ms * ROWS_PER_MS
    with connection.cursor() as cursor:
        cursor.execute(SLOW[connection.vendor], [amount])
        cursor.fetchall()


urlpatterns = [
    path("api/wait/<int:ms>/", Wait.as_view()),
    path("api/query/<int:ms>/", Query.as_view()),
    path("api/rows/", Rows.as_view()),
    path("api/rows/<str:key>/", Row.as_view()),
    path("api/crash/", Crash.as_view()),
    path("api/counts/", Counts.as_view()),
    path("api/batch/", include("batchapi.urls")),
]
