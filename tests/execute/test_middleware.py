"""SUBREQUEST_MIDDLEWARE: every hook of it runs around each sub-request, in Django's order."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.test import Client, override_settings
from django.urls import include, path

from batchapi import batchable

GetResponse = Callable[[HttpRequest], HttpResponse]
calls: list[str] = []


class Outer:
    """Notes each of its hooks; the name is in front."""

    name = "outer"

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        calls.append(f"{self.name} in")
        response = self.get_response(request)
        calls.append(f"{self.name} out {response.status_code}")
        return response

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        calls.append(f"{self.name} view")

    def process_template_response(self, request: HttpRequest, response: TemplateResponse) -> TemplateResponse:
        calls.append(f"{self.name} template")
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        calls.append(f"{self.name} exception")
        return HttpResponse("saved", status=418) if self.name == "outer" else None


class Inner(Outer):
    name = "inner"


class Absent(Outer):
    def __init__(self, get_response: GetResponse) -> None:
        raise MiddlewareNotUsed


class Deferred(HttpResponse):
    """A response that is rendered late."""

    def render(self) -> "Deferred":
        calls.append("render")
        return self


@batchable
def page(request: HttpRequest) -> HttpResponse:
    calls.append("page")
    return Deferred("x")


@batchable
def crash(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("boom")


urlpatterns = [path("page/", page), path("crash/", crash), path("batch/", include("batchapi.urls"))]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]
MIDDLEWARE = tuple(f"{__name__}.{name}" for name in ("Outer", "Absent", "Inner"))


def ask(*urls: str) -> list[int]:
    calls.clear()
    with override_settings(BATCHAPI={"SUBREQUEST_MIDDLEWARE": MIDDLEWARE}):
        response = Client().post("/batch/", {"requests": [{"url": url} for url in urls]}, "application/json")
    return [answer["status"] for answer in response.json()["responses"]]


def test_every_hook_runs_in_djangos_order() -> None:
    assert ask("/page/") == [200]
    assert calls == [
        *("outer in", "inner in", "outer view", "inner view", "page"),
        *("inner template", "outer template", "render", "inner out 200", "outer out 200"),
    ]


def test_an_exception_hook_may_answer_for_the_view() -> None:
    """The innermost is asked first; the one that answers is the last."""
    assert ask("/crash/") == [418]
    assert calls[-4:] == ["inner exception", "outer exception", "inner out 418", "outer out 418"]


def test_each_sub_request_passes_through_it() -> None:
    assert ask("/page/", "/page/") == [200, 200]
    assert calls.count("outer in") == 2
