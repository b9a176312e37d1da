"""Equal questions are asked once: the copies are marked, and equal in all else; whoever could tell runs itself."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.http import etag
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from batchapi import batch_policy
from chat.models import Session
from tests.execute import lanes
from tests.execute.lanes import RAN, Open, Slow, answers, get, pause, post, runs, statuses, with_settings
from tests.factories import SessionFactory, UserFactory

MARK = "batchapi; fwd=miss; collapsed"


class Ends(Open):
    """Ends as the URL says."""

    def get(self, request: Request, name: str) -> Response:
        RAN.append((name, 0))
        pause(request)
        if name == "crash":
            raise RuntimeError("boom")
        if name == "write":
            Session.objects.update_or_create(owner=User.objects.get(), key=name)
        if name == "session":
            request.session["visited"] = True
        response = Response({"name": name}, status=int(name) if name.isdigit() else 200, headers={"X-Name": name})
        if name == "cookie":
            response.set_cookie("cookie", "1")
        if name == "marked":
            response["Cache-Status"] = "proxy; hit"
        return response


@batch_policy(dedupe=False)
class Counts(Slow):
    """A read that counts its calls."""


@method_decorator(etag(lambda request, name: '"1"'), name="get")
class Tagged(Slow):
    pass


class Denied(Slow):
    def get(self, request: Request, name: str) -> Response:
        super().get(request, name)
        raise PermissionDenied


urlpatterns = [
    path("api/ends/<str:name>/", Ends.as_view()),
    path("api/counts/<str:name>/", Counts.as_view()),
    path("api/tagged/<str:name>/", Tagged.as_view()),
    path("api/denied/<str:name>/", Denied.as_view()),
    *lanes.urlpatterns,
]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True, databases=["default", "other"])]


@pytest.fixture(autouse=True)
def _nothing_ran(transactional_db: None) -> None:
    RAN.clear()
    UserFactory()


def marks(records: list[dict[str, Any]]) -> list[bool]:
    return [MARK in record["headers"].get("Cache-Status", "") for record in records]


def plain(record: dict[str, Any]) -> dict[str, Any]:
    """Without the mark and the id."""
    headers = {name: value for name, value in record["headers"].items() if name != "Cache-Status"}
    return {**record, "headers": headers, "id": None}


def test_one_runs_and_the_others_get_copies():
    records = answers(*[get("ends/same/?ms=3", str(n)) for n in range(5)])
    assert marks(records) == [False, True, True, True, True]
    assert [record["id"] for record in records] == list("01234")
    assert all(plain(record) == plain(records[0]) for record in records)
    assert records[4]["body"] == {"name": "same"}
    assert records[4]["headers"]["X-Name"] == "same"
    assert runs() == {"same": 1}


@pytest.mark.parametrize("status", [200, 204, 302, 400, 404, 410])
def test_an_answer_that_is_no_fault_is_copied(status: int):
    records = answers(*[get(f"ends/{status}/")] * 3)
    assert [record["status"] for record in records] == [status] * 3
    assert runs() == {str(status): 1}


@pytest.mark.parametrize("name", ["crash", "503", "write", "cookie", "session", "429"])
def test_what_crashed_wrote_or_set_a_cookie_is_not_shared(name: str):
    assert len(set(statuses(*[get(f"ends/{name}/?ms=3")] * 3))) == 1
    assert runs() == {name: 3}


def test_a_refusal_is_copied_as_well():
    assert statuses(*[get("denied/x/")] * 3) == [403] * 3
    assert runs() == {"x": 1}


DIFFERENT = [
    (get("ends/a/"), get("ends/b/")),
    (get("ends/a/?x=1"), get("ends/a/?x=2")),
    (get("ends/a/?x=1&y=2"), get("ends/a/?y=2&x=1")),
    (get("ends/a/"), get("ends/a/", headers={"Accept": "application/json"})),
    (get("ends/a/", headers={"Accept-Language": "de"}), get("ends/a/", headers={"Accept-Language": "en"})),
    (get("ends/a/", body={"a": 1}), get("ends/a/", body={"a": 2})),
    (get("ends/a/", body={"a": 1}), get("ends/a/")),
    (get("ends/a/"), get("ends/a/") | {"method": "HEAD"}),
]


@pytest.mark.parametrize("pair", DIFFERENT)
def test_what_a_view_could_tell_apart_is_asked_twice(pair: tuple[dict[str, Any], ...]):
    assert marks(answers(*pair)) == [False, False]
    assert runs() == {"a": 2} or runs() == {"a": 1, "b": 1}


def test_writes_are_never_copied():
    assert marks(answers(*[post("slow/same/")] * 3)) == [False] * 3
    assert runs() == {"same": 3}


def test_a_write_in_between_makes_it_another_question():
    requests = [get("slow/same/"), get("slow/same/"), post("slow/write/"), get("slow/same/"), get("slow/same/")]
    assert marks(answers(*requests)) == [False, True, False, False, True]
    assert runs() == {"same": 2, "write": 1}


def test_nor_is_a_copy_older_than_a_read_that_wrote():
    requests = [get("slow/same/"), get("ends/write/?ms=10"), get("slow/same/")]
    records = answers(*requests)
    assert [record["body"] for record in records] == [[], {"name": "write"}, ["write"]]


def test_a_view_may_refuse_copies():
    assert marks(answers(*[get("counts/x/")] * 3)) == [False] * 3
    assert runs() == {"x": 3}


def test_a_project_may_refuse_copies():
    with with_settings(ENABLE_DEDUPLICATION=False):
        assert marks(answers(*[get("slow/x/")] * 3)) == [False] * 3
    assert runs() == {"x": 3}


def counting(get_response: Any) -> Any:
    """Middleware that counts."""

    def respond(request: HttpRequest) -> HttpResponse:
        RAN.append(("middleware", 0))
        return get_response(request)

    return respond


def test_middleware_around_every_sub_request_sees_every_one():
    with with_settings(SUBREQUEST_MIDDLEWARE=(f"{__name__}.counting",)):
        assert marks(answers(*[get("slow/x/")] * 3)) == [False] * 3
    assert runs() == {"x": 3, "middleware": 3}


def test_members_of_a_group_share_nothing():
    assert marks(answers(*[get("slow/x/", atomicityGroup="g")] * 3)) == [False] * 3
    assert runs() == {"x": 3}


@pytest.mark.parametrize("header", ["User-Agent", "Traceparent", "X-Request-ID", "X-Correlation-ID"])
def test_headers_that_only_name_the_request_make_no_difference(header: str):
    records = answers(*[get("slow/x/", headers={header: str(n)}) for n in range(3)])
    assert {record["status"] for record in records} == {200}
    assert runs() == {"x": 1}


@pytest.fixture
def _allowed() -> Iterator[None]:
    with with_settings(ALLOWED_HEADERS=("X-Trace", "X-Other"), FINGERPRINT_IGNORES=("X-Trace",)):
        yield


@pytest.mark.usefixtures("_allowed")
def test_a_project_may_name_more_of_them():
    assert statuses(*[get("slow/x/", headers={"X-Trace": str(n)}) for n in range(3)]) == [200] * 3
    assert runs() == {"x": 1}
    assert statuses(*[get("slow/y/", headers={"X-Other": str(n)}) for n in range(3)]) == [200] * 3
    assert runs()["y"] == 3


def test_a_condition_is_part_of_the_question():
    """304 for whoever has it, and its copies; 200 for the others."""
    condition = {"If-None-Match": '"1"'}
    requests = [
        get("tagged/x/", headers=condition),
        get("tagged/x/"),
        get("tagged/x/", headers=condition),
        get("tagged/x/"),
    ]
    records = answers(*requests)
    assert [record["status"] for record in records] == [304, 200, 304, 200]
    assert marks(records) == [False, False, True, True]
    assert runs() == {"x": 1}


def test_the_mark_joins_one_that_the_view_has_set():
    """A Cache-Status is a list, the cache nearest to the client last (RFC 9211, section 2)."""
    records = answers(*[get("ends/marked/")] * 2)
    assert [record["headers"]["Cache-Status"] for record in records] == ["proxy; hit", f"proxy; hit, {MARK}"]


def test_values_that_are_filled_in_make_equal_questions():
    SessionFactory(key="row")
    requests = [
        get("slow/first/", "first"),
        get("slow/{name}/", bind={"{name}": "$first.body#/0"}),
        get("slow/{name}/", bind={"{name}": "$first.body#/0"}),
        get("slow/row/", dependsOn=["first"]),
    ]
    records = answers(*requests)
    assert [record["status"] for record in records] == [200] * 4
    assert sum(marks(records)) == 2
    assert runs() == {"first": 1, "row": 1}


def test_thirty_percent_duplicates_are_thirty_percent_fewer_runs():
    requests = [get(f"slow/{n if n < 70 else n - 70}/?ms=1") for n in range(100)]
    records = answers(*requests)
    assert [record["status"] for record in records] == [200] * 100
    assert sum(runs().values()) == 70
    assert sum(marks(records)) == 30


def test_on_several_lanes_one_runs_and_the_others_wait_for_it():
    assert statuses(*[get(f"slow/{n % 5}/?ms=8") for n in range(50)]) == [200] * 50
    assert runs() == {str(n): 1 for n in range(5)}
