"""A small API over rows with a key and a value, and the same as dicts that a person can follow."""

from collections.abc import Callable
from threading import get_ident
from time import sleep
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
Browser = dict[str, Any]  # what the client's cookies and its session hold
Answer = tuple[int, Any, str | None]  # status, body, Location


THREADS: set[int] = set()  # on which views ran


class Open(APIView):
    """Takes as many milliseconds as the query says, before or after it does its work."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        THREADS.add(get_ident())
        sleep(int(request.query_params.get("before", 0)) / 1000)

    def finalize_response(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        sleep(int(request.query_params.get("after", 0)) / 1000)
        return super().finalize_response(request, *args, **kwargs)


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


class Noisy(Open):
    """Reads that others notice: one writes a row, one sets a cookie, one counts in the session. And one that looks."""

    def get(self, request: Request, how: str, key: str) -> Response:
        if how == "write":
            return Item().put(request, key)
        if how == "visit":
            request.session["visits"] = request.session.get("visits", 0) + 1
        response = Response(
            {"key": request.COOKIES.get("cookie", "none"), "value": str(request.session.get("visits", 0))}
        )
        if how == "set":
            response.set_cookie("cookie", key)
        return response


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
    path("api/noisy/<str:how>/<str:key>/", Noisy.as_view()),
    path("api/batch/", include("batchapi.urls")),
]


def in_dict(rows: Rows, browser: Browser, method: str, url: str, value: str) -> Answer:
    """What the views above answer, and what they do to the rows. The body of an answer that is no 2xx is None."""
    kind, *parts = url.partition("?")[0].strip("/").split("/")[1:]
    if kind == "noisy":
        return be_noisy(rows, browser, value, *parts) if method == "GET" else (405, None, None)
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


def be_noisy(rows: Rows, browser: Browser, value: str, how: str, key: str) -> Answer:
    if how == "write":
        return put_row(rows, value, key)
    if how == "visit":
        browser["visits"] = browser.get("visits", 0) + 1
    found = {"key": browser.get("cookie", "none"), "value": str(browser.get("visits", 0))}
    if how == "set":
        browser["cookie"] = key
    return 200, found, None


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
