"""ATOMIC_REQUESTS inside a batch: each view has its own transaction, a failure takes back its own writes only."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import include, path
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chat.models import Session
from tests.factories import UserFactory


class Write(APIView):
    """Writes a row, then answers, refuses or crashes as the URL says."""

    authentication_classes = ()
    permission_classes = ()
    ended: list[str] = []  # noqa: RUF012 - what on_commit hooks have told, in order

    def post(self, request: Request, key: str, end: str) -> Response:
        Session.objects.create(owner_id=request.data["owner"], key=key)
        transaction.on_commit(lambda: self.ended.append(key))
        if end == "refuse":
            raise ValidationError("no")
        if end == "crash":
            raise RuntimeError("boom")
        return Response({"in_transaction": connection.in_atomic_block})


class WriteOutside(Write):
    """The same without a transaction of its own."""


urlpatterns = [
    path("api/write/<str:key>/<str:end>/", Write.as_view()),
    path("api/outside/<str:key>/<str:end>/", transaction.non_atomic_requests(WriteOutside.as_view())),
    path("api/batch/", include("batchapi.urls")),
]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _atomic_requests() -> Iterator[None]:
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    Write.ended.clear()
    yield
    connection.settings_dict["ATOMIC_REQUESTS"] = False


def post(*urls: str) -> list[dict[str, Any]]:
    owner = UserFactory().pk
    requests = [{"method": "POST", "url": url, "body": {"owner": owner}} for url in urls]
    client = Client(raise_request_exception=False)
    response = client.post("/api/batch/", {"requests": requests}, content_type="application/json")
    assert response.status_code == 200, response.content
    answers: list[dict[str, Any]] = response.json()["responses"]
    return answers


def keys() -> set[str]:
    return set(Session.objects.values_list("key", flat=True))


@pytest.mark.parametrize("end", ["refuse", "crash"])
@pytest.mark.parametrize("index", range(4))
def test_a_failure_at_any_index_takes_back_its_own_writes_only(index: int, end: str) -> None:
    answers = post(*(f"/api/write/k{i}/{end if i == index else 'answer'}/" for i in range(4)))
    expected = [{"refuse": 400, "crash": 500}[end] if i == index else 200 for i in range(4)]
    assert [answer["status"] for answer in answers] == expected
    survivors = [f"k{i}" for i in range(4) if i != index]
    assert keys() == set(survivors)
    assert Write.ended == survivors


def test_the_batch_itself_is_no_transaction() -> None:
    """Around it, a refused sub-request would mark everybody's writes for rollback."""
    answers = post("/api/outside/a/answer/", "/api/write/b/answer/", "/api/outside/c/crash/")
    assert [answer["body"].get("in_transaction") for answer in answers[:2]] == [False, True]
    assert keys() == {"a", "b", "c"}
