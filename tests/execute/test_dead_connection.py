"""A connection that PostgreSQL ends in the middle of a batch costs one sub-request, not all that come after it."""

import json
import os
import subprocess
import sys

from django.db import connection
from django.urls import include, path
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response


@api_view(["GET"])
@permission_classes([AllowAny])
def lose(request: Request) -> Response:
    """The server ends this connection; the statement after it finds out."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    return Response("unreachable")


@api_view(["GET"])
@permission_classes([AllowAny])
def read(request: Request) -> Response:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return Response(cursor.fetchone()[0])


urlpatterns = [path("lose/", lose), path("read/", read), path("batch/", include("batchapi.urls"))]

SCRIPT = """
import django, json
django.setup()
from django.test import Client, override_settings
with override_settings(ROOT_URLCONF="tests.execute.test_dead_connection"):
    batch = {"requests": [{"url": url} for url in ("/read/", "/lose/", "/read/", "/read/")]}
    answer = Client(raise_request_exception=False).post("/batch/", batch, "application/json")
print(json.dumps([response["status"] for response in answer.json()["responses"]]))
"""


def test_the_next_sub_request_gets_a_new_connection(postgres_url: str) -> None:
    environment = {**os.environ, "DATABASE_URL": postgres_url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    ran = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [200, 500, 200, 200]
