"""A small API over rows with a key and a value, and the same as a dict that a person can follow."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.http import Http404
from django.urls import include, path
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chat.models import Session

LONGEST = 50  # characters of a value
Rows = dict[str, str]
Answer = tuple[int, Any, str | None]  # status, body, Location


class Open(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)


class Collection(Open):
    def get(self, _request: Request) -> Response:
        return Response(dict(Session.objects.order_by("key").values_list("key", "title")))

    def post(self, request: Request) -> Response:
        """The key counts the rows; one that is taken is a crash."""
        key = f"n{Session.objects.count()}"
        return created(Session.objects.create(owner=User.objects.get(), key=key, title=value_of(request)))


class Item(Open):
    def find(self, key: str) -> Session:
        row = Session.objects.filter(key=key).first()
        if row is None:
            raise Http404
        return row

    def get(self, _request: Request, key: str) -> Response:
        return shown(self.find(key))

    def put(self, request: Request, key: str) -> Response:
        Session.objects.filter(key=key).delete()
        return created(Session.objects.create(owner=User.objects.get(), key=key, title=value_of(request)))

    def patch(self, request: Request, key: str) -> Response:
        row = self.find(key)
        row.title = (row.title + value_of(request))[:LONGEST]
        row.save()
        return shown(row)

    def delete(self, _request: Request, key: str) -> Response:
        self.find(key).delete()
        return Response(status=204)


class Fail(Open):
    """Writes, then says no. Outside of a group the write stays."""

    def post(self, request: Request, key: str, how: str) -> Response:
        Item().put(request, key)
        if how == "crash":
            raise RuntimeError("boom")
        raise ValidationError("no")


def value_of(request: Request) -> str:
    return str(request.data["value"])


def shown(row: Session, **more: Any) -> Response:
    return Response({"key": row.key, "value": row.title}, **more)


def created(row: Session) -> Response:
    return shown(row, status=201, headers={"Location": f"/api/rows/{row.key}/"})


urlpatterns = [
    path("api/rows/", Collection.as_view()),
    path("api/rows/<str:key>/", Item.as_view()),
    path("api/rows/<str:key>/<str:how>/", Fail.as_view()),
    path("api/batch/", include("batchapi.urls")),
]


def in_dict(rows: Rows, method: str, url: str, value: str) -> Answer:
    """What the views above answer, and what they do to the rows. The body of an answer that is no 2xx is None."""
    parts = url.strip("/").split("/")[2:]
    name = f"{method} {len(parts)}"
    return CALLS[name](rows, value, *parts) if name in CALLS else (405, None, None)


def list_rows(rows: Rows, _value: str) -> Answer:
    return 200, dict(sorted(rows.items())), None


def add_row(rows: Rows, value: str) -> Answer:
    key = f"n{len(rows)}"
    return (500, None, None) if key in rows else put_row(rows, value, key)


def get_row(rows: Rows, _value: str, key: str) -> Answer:
    return (200, {"key": key, "value": rows[key]}, None) if key in rows else (404, None, None)


def put_row(rows: Rows, value: str, key: str) -> Answer:
    rows[key] = value
    return 201, {"key": key, "value": value}, f"/api/rows/{key}/"


def patch_row(rows: Rows, value: str, key: str) -> Answer:
    if key in rows:
        rows[key] = (rows[key] + value)[:LONGEST]
    return get_row(rows, "", key)


def delete_row(rows: Rows, _value: str, key: str) -> Answer:
    return (404, None, None) if rows.pop(key, None) is None else (204, None, None)


def fail_row(rows: Rows, value: str, key: str, how: str) -> Answer:
    rows[key] = value
    return (500 if how == "crash" else 400), None, None


CALLS: dict[str, Callable[..., Answer]] = {
    "GET 0": list_rows,
    "POST 0": add_row,
    "GET 1": get_row,
    "PUT 1": put_row,
    "PATCH 1": patch_row,
    "DELETE 1": delete_row,
    "POST 2": fail_row,
}


def rows_now() -> Rows:
    return dict(Session.objects.values_list("key", "title"))


def start_with(rows: Rows) -> None:
    """Exactly these rows, and somebody who owns them."""
    with transaction.atomic():
        Session.objects.all().delete()
        owner, _ = User.objects.get_or_create(username="owner")
        for key, value in rows.items():
            Session.objects.create(owner=owner, key=key, title=value)
