"""What a sub-request takes from earlier answers: every place, every source, and each value that does not fit."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import override_settings
from django.urls import include, path
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

from batchapi import batch_exempt, batch_policy
from chat.models import Session
from tests.factories import UserFactory


class Say(APIView):
    """Answers with what it is told to say: the body that was sent, a status, headers."""

    permission_classes = (AllowAny,)

    def post(self, request: Request, **kwargs: str) -> Response:
        told = request.data if isinstance(request.data, dict) else {}
        if "answer" not in told:
            seen = {"path": request.path, "query": request.query_params, "data": request.data, **kwargs}
            return Response(seen | {"etag": request.headers.get("If-Match")})
        return Response(told["answer"], status=told.get("status", 200), headers=told.get("headers", {}))

    get = put = delete = patch = post


@batch_exempt
class Closed(Say):
    """Takes no part."""


@batch_policy(changes_identity=True)
class Leave(Say):
    """Says that somebody else may be asking afterwards."""


class Raw(Say):
    """Answers with what DRF would not have made."""

    def get(self, _request: Request, kind: str) -> Any:
        if kind == "text":
            return HttpResponse('{"id": 1}', content_type="text/plain")
        return HttpResponse(b'{"half": "\\ud800", "nan": NaN, "big": 1e999}', content_type="application/json")


urlpatterns = [
    path("api/say/", Say.as_view()),
    path("api/say/<str:one>/", Say.as_view()),
    path("api/say/<str:one>/more/", Say.as_view()),
    path("api/closed/", Closed.as_view()),
    path("api/leave/", Leave.as_view()),
    path("api/raw/<str:kind>/", Raw.as_view()),
    path("", include("project.urls")),
]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

HARMLESS = {"id": "other", "url": "/api/say/other/"}


def ask(requests: list[Any], **more: Any) -> dict[str, Any]:
    """The records by id, of a batch that alice sends."""
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(UserFactory())
    response = client.post("/api/batch/", json.dumps({"requests": requests} | more), content_type="application/json")
    assert response.status_code == 200, response.content
    return {record["id"]: record for record in response.json()["responses"]}


def say(answer: Any, **more: Any) -> dict[str, Any]:
    """A sub-request "a" that answers so."""
    return {"id": "a", "method": "POST", "url": "/api/say/", "body": {"answer": answer, **more}}


def use(**more: Any) -> dict[str, Any]:
    return {"id": "b", "method": "POST", "url": "/api/say/", **more}


def outcome(*requests: dict[str, Any]) -> dict[str, Any]:
    """The record of "b"; the one beside it is unharmed."""
    records = ask([*requests, HARMLESS])
    assert records["other"]["body"]["one"] == "other"
    return records["b"]


def code(record: dict[str, Any]) -> tuple[int, str]:
    assert record["headers"]["Content-Type"] == "application/problem+json"
    assert record["body"]["executed"] is False
    return record["status"], record["body"]["code"]


SEGMENTS = {  # a value: what the view sees in its place
    "a word": ("word", "word"),
    "letters": ("ä €", "ä €"),
    "a number": (42, "42"),
    "a fraction": (1.5, "1.5"),
    "an encoded one": ("%2e%2e", "%2e%2e"),
    "a query": ("x?y=1&z", "x?y=1&z"),
    "a fragment": ("x#y", "x#y"),
    "another variable": ("{sid}{x}", "{sid}{x}"),
    "a reference": ("$a.body#", "$a.body#"),
}


@pytest.mark.parametrize("kind", SEGMENTS)
def test_a_value_is_one_segment_whatever_it_holds(kind: str):
    value, seen = SEGMENTS[kind]
    record = outcome(say({"v": value}), use(url="/api/say/{x}/", bind={"{x}": "$a.body#/v"}))
    assert (record["status"], record["body"]["one"]) == (200, seen)


@pytest.mark.parametrize("value", ["a/b&c=d", "../../admin", "//x", "%2e%2e", "..", "", "ä €#?", 7])
def test_a_value_is_one_query_value_whatever_it_holds(value: Any):
    record = outcome(say({"v": value}), use(url="/api/say/?q={x}&r={x}&s=1", bind={"{x}": "$a.body#/v"}))
    assert record["body"]["query"] == {"q": str(value), "r": str(value), "s": "1"}


REFUSED_VALUES = {
    "out of the tree": ("../../admin", "bad_url_after_bind"),
    "two slashes": ("//x", "bad_url_after_bind"),
    "a slash": ("a/b", "bad_url_after_bind"),
    "a backslash": ("a\\b", "bad_url_after_bind"),
    "a line break": ("a\r\nb", "bad_url_after_bind"),
    "a zero": ("a\0b", "bad_url_after_bind"),
    "dots": ("..", "bad_url_after_bind"),
    "a dot": (".", "bad_url_after_bind"),
    "nothing": ("", "bad_url_after_bind"),
    "a megabyte": ("x" * 1_000_000, "bad_url_after_bind"),
    "an object": ({"id": 1}, "unresolved_reference"),
    "a list": ([1], "unresolved_reference"),
    "null": (None, "unresolved_reference"),
    "true": (True, "unresolved_reference"),
}


@pytest.mark.parametrize("kind", REFUSED_VALUES)
@pytest.mark.parametrize("url", ["/api/say/{x}/", "/api/say/{x}", "{x}/", "say/{x}/more/"])
def test_a_value_that_is_no_segment_is_refused(kind: str, url: str):
    value, why = REFUSED_VALUES[kind]
    assert code(outcome(say({"v": value}), use(url=url, bind={"{x}": "$a.body#/v"}))) == (400, why)


def test_an_empty_value_does_not_turn_one_row_into_the_list():
    """DELETE /api/sessions/{id} without an id is another URL."""
    record = outcome(say({"v": ""}), use(method="GET", url="/api/sessions/{x}", bind={"{x}": "$a.body#/v"}))
    assert code(record) == (400, "bad_url_after_bind")


def test_a_long_value_in_many_places_is_never_written_out():
    """A URL of 20,000 variables, each a megabyte."""
    url = "/api/say/?q=" + "{x}" * 20_000
    record = outcome(say({"v": "x" * 1_000_000}), use(url=url, bind={"{x}": "$a.body#/v"}))
    assert code(record) == (400, "bad_url_after_bind")


NOWHERE = {  # a pointer into {"list": [1], "text": "abc", "null": None, "": {"a/b": {"m~n": 1}}}
    "a missing key": "/no",
    "a missing index": "/list/1",
    "the end of a list": "/list/-",
    "an index with a zero in front": "/list/00",
    "a strange digit": "/list/²",
    "a negative index": "/list/-1",
    "a giant index": "/list/" + "9" * 5000,
    "a word in a list": "/list/length",
    "a letter of a string": "/text/0",
    "below null": "/null/x",
}
DOCUMENT = {"list": [1], "text": "abc", "null": None, "": {"a/b": {"m~n": 1}}}


@pytest.mark.parametrize("kind", NOWHERE)
def test_a_place_that_is_not_there_is_unresolved(kind: str):
    record = outcome(say(DOCUMENT), use(bind={"/x": f"$a.body#{NOWHERE[kind]}"}))
    assert code(record) == (400, "unresolved_reference")


THERE = {"": DOCUMENT, "/list": [1], "/list/0": 1, "/text": "abc", "/null": None, "//a~1b/m~0n": 1, "/": DOCUMENT[""]}


@pytest.mark.parametrize("pointer", THERE)
def test_a_value_keeps_its_type_in_a_body(pointer: str):
    record = outcome(say(DOCUMENT), use(bind={"/x": f"$a.body#{pointer}"}))
    assert record["body"]["data"] == {"x": THERE[pointer]}


PLACES: dict[str, tuple[Any, dict[str, str], Any]] = {  # body, where to, body with 5 there
    "no body": (None, {"/x": "/n"}, {"x": 5}),
    "beside others": ({"y": 1}, {"/x": "/n"}, {"y": 1, "x": 5}),
    "over another": ({"x": 1}, {"/x": "/n"}, {"x": 5}),
    "nested": ({"a": {"b": {}}}, {"/a/b/c": "/n"}, {"a": {"b": {"c": 5}}}),
    "an index": ({"a": [1, 2]}, {"/a/1": "/n"}, {"a": [1, 5]}),
    "appended": ({"a": [1, 2]}, {"/a/-": "/n"}, {"a": [1, 2, 5]}),
    "in a list": ([1, [2]], {"/1/-": "/n"}, [1, [2, 5]]),
    "escaped": ({}, {"/a~1b": "/n", "/m~0n": "/n"}, {"a/b": 5, "m~n": 5}),
    "one in another": ({}, {"/x": "/o", "/x/y": "/n"}, {"x": {"z": 1, "y": 5}}),
    "the same twice": ({}, {"/x": "/o", "/y": "/o", "/x/z": "/n"}, {"x": {"z": 5}, "y": {"z": 1}}),
}


@pytest.mark.parametrize("kind", PLACES)
def test_a_value_goes_to_its_place_in_a_body(kind: str):
    body, bind, wanted = PLACES[kind]
    bind = {target: f"$a.body#{pointer}" for target, pointer in bind.items()}
    assert outcome(say({"n": 5, "o": {"z": 1}}), use(body=body, bind=bind))["body"]["data"] == wanted


NO_PLACES = {
    "below nothing": ({}, "/x/y"),
    "below a string": ({"x": "abc"}, "/x/0"),
    "below a number": ({"x": 1}, "/x/y"),
    "below null": ({"x": None}, "/x/y"),
    "past the end": ({"x": [1]}, "/x/1"),
    "below the end": ({"x": [1]}, "/x/-/y"),
    "a word in a list": ([1], "/x"),
    "an odd index": ({"x": [1]}, "/x/0abc"),
    "a strange digit": ({"x": [1]}, "/x/²"),
    "in a string": ("abc", "/0"),
}


@pytest.mark.parametrize("kind", NO_PLACES)
def test_a_body_without_the_place_is_refused(kind: str):
    body, target = NO_PLACES[kind]
    record = outcome(say({"n": 5}), use(body=body, bind={target: "$a.body#/n"}))
    assert code(record) == (400, "unresolved_reference")


URLS: dict[str, tuple[dict[str, Any], str, str]] = {  # what "a" asks, what "b" asks, which path and query "b" sees
    "its location": (say(1, headers={"Location": "/api/say/new/"}), "$a", "/api/say/new/"),
    "below its location": (say(1, headers={"Location": "/api/say/new/"}), "$a/more/", "/api/say/new/more/"),
    "a location without a slash": (say(1, headers={"location": "/api/say/new"}), "$a/more/", "/api/say/new/more/"),
    "a location with a query": (say(1, headers={"Location": "/api/say/new/?q=1"}), "$a/more/", "/api/say/new/more/"),
    "another query": (say(1, headers={"Location": "/api/say/new/?q=1"}), "$a?r=2", "/api/say/new/ r=2"),
    "the query": (say(1, headers={"Location": "/api/say/new/?q=1"}), "$a", "/api/say/new/ q=1"),
    "a relative location": (say(1, headers={"Location": "new/"}), "$a", "/api/say/new/"),
    "an absolute location": (say(1, headers={"Location": "http://testserver/api/say/new/"}), "$a", "/api/say/new/"),
    "one that was read": ({"id": "a", "url": "/api/say/x/"}, "$a/more/", "/api/say/x/more/"),
    "one that was put": ({"id": "a", "url": "say/x/?q=1", "method": "PUT"}, "$a", "/api/say/x/ q=1"),
    "one that was repaired": (say(1, headers={"Location": "new/"}) | {"url": "say"}, "$a", "/api/say/new/"),
}


@pytest.mark.parametrize("kind", URLS)
def test_a_url_may_begin_with_that_of_an_answer(kind: str):
    first, url, seen = URLS[kind]
    body = outcome(first, use(url=url, method="GET"))["body"]
    query = "&".join(f"{name}={value}" for name, value in body["query"].items())
    assert f"{body['path']} {query}".strip() == seen


BAD_URLS: dict[str, tuple[dict[str, Any], str, tuple[int, str]]] = {
    "no location": (say(1), "$a", (400, "unresolved_reference")),
    "another host": (say(1, headers={"Location": "http://evil/api/say/"}), "$a", (400, "bad_url_after_bind")),
    "no scheme": (say(1, headers={"Location": "//evil/api/say/"}), "$a", (400, "bad_url_after_bind")),
    "a fragment": (say(1, headers={"Location": "/api/say/#x"}), "$a", (400, "bad_url_after_bind")),
    "out of the tree": (say(1, headers={"Location": "/api/say/"}), "$a/../../admin/", (400, "bad_url_after_bind")),
    "encoded dots": (say(1, headers={"Location": "/api/say/%2e%2e/"}), "$a", (400, "bad_url_after_bind")),
    "a batch": (say(1, headers={"Location": "/api/batch/"}), "$a", (400, "bad_url_after_bind")),
    "a batch in other letters": (say(1, headers={"Location": "/api/ba%74ch/"}), "$a", (400, "bad_url_after_bind")),
    "nothing": (say(1, headers={"Location": "/api/nothing/"}), "$a", (404, "not_found")),
    "what takes no part": (say(1, headers={"Location": "/api/closed/"}), "$a", (404, "not_batchable")),
    "the admin": (say(1, headers={"Location": "/admin/"}), "$a", (404, "not_batchable")),
}


@pytest.mark.parametrize("kind", BAD_URLS)
def test_a_url_is_checked_from_the_start_when_it_is_known(kind: str):
    first, url, wanted = BAD_URLS[kind]
    assert code(outcome(first, use(url=url))) == wanted


@pytest.mark.parametrize("value", ["batch", "ba%74ch"])
def test_a_batch_is_not_reached_through_a_variable(value: str):
    record = outcome(say({"v": value}), use(url="/api/{x}/", bind={"{x}": "$a.body#/v"}))
    assert code(record) in {(400, "bad_url_after_bind"), (404, "not_found")}


def test_a_read_does_not_turn_into_a_login():
    """Nothing could have been planned round it."""
    leave = {"{x}": "$a.body#/v"}
    read = outcome(say({"v": "leave"}), use(method="GET", url="/api/{x}/", bind=leave))
    assert code(read) == (400, "bad_url_after_bind")
    assert outcome(say({"v": "leave"}), use(url="/api/{x}/", bind=leave))["status"] == 200
    known = use(method="GET", url="/api/leave/", bind={"/x": "$a.body#/v"})
    assert outcome(say({"v": "leave"}), known)["status"] == 200


HEADERS: dict[str, tuple[str, Any]] = {
    "as it is": ("$a.headers#/Location", "/api/x/"),
    "in small letters": ("$a.headers#/location", "/api/x/"),
    "without a slash": ("$a.headers#ETag", '"v1"'),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_header_is_a_source_in_any_case(kind: str):
    source, value = HEADERS[kind]
    first = say(1, headers={"LOCATION": "/api/x/", "etag": '"v1"'})
    assert outcome(first, use(bind={"/x": source}))["body"]["data"] == {"x": value}


@pytest.mark.parametrize("name", ["X-None", "Set-Cookie", "", "Location/x"])
def test_a_header_that_is_not_there_is_unresolved(name: str):
    record = outcome(say(1, headers={"Location": "/"}), use(bind={"/x": f"$a.headers#/{name}"}))
    assert code(record) == (400, "unresolved_reference")


def test_a_precondition_takes_the_etag():
    first = say(1, headers={"ETag": '"v1"'})
    assert outcome(first, use(headers={"If-Match": "$a"}))["body"]["etag"] == '"v1"'
    assert code(outcome(say(1), use(headers={"If-Match": "$a"}))) == (400, "unresolved_reference")


def test_a_precondition_that_takes_a_date_takes_no_etag():
    record = outcome(say(1, headers={"ETag": '"v1"'}), use(headers={"If-Modified-Since": "$a"}))
    assert record["status"] == 200


def test_the_story_of_the_documents():
    """Create, write below, change if unchanged, read again unless unchanged."""
    records = ask(
        [
            {"id": "new", "method": "POST", "url": "/api/sessions/", "body": {"title": "Plans"}},
            {"id": "first", "method": "POST", "url": "$new/messages/", "body": {"content": "hi"}},
            {
                "id": "second",
                "method": "POST",
                "url": "/api/sessions/{sid}/messages/",
                "body": {},
                "bind": {"{sid}": "$new.body#/id", "/content": "$first.body#/content"},
            },
            {"id": "get", "url": "$new"},
            {"id": "again", "url": "$get", "headers": {"If-None-Match": "$get"}},
            {
                "id": "title",
                "method": "PATCH",
                "url": "$get",
                "headers": {"If-Match": "$get"},
                "body": {"title": "Trip"},
            },
            {"id": "stale", "method": "PATCH", "url": "$get", "headers": {"If-Match": "$get"}, "body": {}},
        ]
    )
    statuses = {key: record["status"] for key, record in records.items()}
    wanted = {"new": 201, "first": 201, "second": 201, "get": 200, "again": 304, "title": 200, "stale": 412}
    assert statuses == wanted
    assert records["second"]["body"]["content"] == "hi"
    assert records["stale"]["request"]["url"] == records["new"]["headers"]["Location"]
    assert Session.objects.get().title == "Trip"


def test_the_example_of_the_readme_does_what_it_says():
    """Its second batch, as it is printed there."""
    readme = (Path(__file__).parent.parent.parent / "README.md").read_text()
    example = next(text for text in re.findall(r"```json\n(.*?)```", readme, re.DOTALL) if "atomicityGroup" in text)
    records = ask(json.loads(example)["requests"])
    assert [record["status"] for record in records.values()] == [201, 201, 200, 200, 424]
    assert Session.objects.get().title == "Trip"


@pytest.mark.parametrize("key", ["a.body#", "x.body#/y", "$a", "a b", "{x}", "ä", "a.headers#/b", "1"])
def test_an_id_may_hold_anything(key: str):
    """A source is split at its last mark; what an id holds is never a variable."""
    first = say({"v": "word"}, headers={"Location": "/api/say/new/"}) | {"id": key}
    bind = {"/x": f"${key}.body#/v", "/h": f"${key}.headers#/Location"}
    assert ask([first, use(bind=bind)])["b"]["body"]["data"] == {"x": "word", "h": "/api/say/new/"}
    if "/" not in key:
        known = {"{x}": f"${key}.body#/v"}
        record = ask([first, use(url=f"${key}?q={{x}}", bind=known)])["b"]
        assert (record["body"]["path"], record["body"]["query"]) == ("/api/say/new/", {"q": "word"})


NO_BODY: dict[str, dict[str, Any]] = {
    "204": say(None, status=204),
    "304": say(None, status=304),
    "text": {"id": "a", "url": "/api/raw/text/"},
    "HEAD": {"id": "a", "url": "/api/say/x/", "method": "HEAD"},
}


@pytest.mark.parametrize("kind", NO_BODY)
def test_an_answer_without_json_has_no_places(kind: str):
    for pointer in ("", "/id"):
        record = outcome(NO_BODY[kind], use(bind={"/x": f"$a.body#{pointer}"}))
        assert code(record) == (400, "unresolved_reference")


def test_a_reference_waits_and_does_not_run_where_its_source_failed():
    """It need not be listed after it, and dependsOn need not say it."""
    later = [use(bind={"/x": "$a.body#/v"}), say({"v": 1})]
    assert ask(later)["b"]["body"]["data"] == {"x": 1}
    record = outcome(say({"v": 1}, status=400), use(bind={"/x": "$a.body#/v"}))
    assert code(record) == (424, "dependency_failed")


def test_a_condition_lets_it_take_from_one_that_failed():
    condition = {"if": "not $a/$succeeded", "bind": {"/x": "$a.body#/v"}}
    assert outcome(say({"v": 1}, status=400), use(**condition))["body"]["data"] == {"x": 1}
    assert code(outcome(say({"v": 1}), use(**condition))) == (424, "condition_false")


LOOKS = {"$a.body#/v": "$a", "{x}": "$a.headers#/ETag", "bind": {"/x": "$a.body#/v"}}


def test_text_is_never_scanned_for_references():
    """Not what the client wrote, nor what a value brings."""
    body = {"text": "$a.body#/v", "list": ["$a", "{x}"], "object": LOOKS}
    record = outcome(say(LOOKS), use(url="/api/say/?q=$a&r={x}", body=body, bind={"/v": "$a.body#"}))
    assert record["body"]["data"] == body | {"v": LOOKS}
    assert record["body"]["query"] == {"q": "$a", "r": "{x}"}


def test_an_error_tells_the_url_with_its_values():
    record = outcome(say({"v": "none"}), use(method="GET", url="/api/sessions/{x}/", bind={"{x}": "$a.body#/v"}))
    assert (record["status"], record["request"]["url"]) == (404, "/api/sessions/none/")


def test_values_do_not_double_a_body_without_bounds():
    """Twenty that each take the one before twice: a million times as much."""
    chain = [say({"v": "x" * 1000}) | {"id": "0"}]
    for n in range(1, 20):
        both = {"/answer/l": f"${n - 1}.body#", "/answer/r": f"${n - 1}.body#"}
        chain.append({"id": str(n), "method": "POST", "url": "/api/say/", "body": {"answer": {}}, "bind": both})
    with override_settings(BATCHAPI=settings.BATCHAPI | {"MAX_REQUEST_BYTES": 100_000}):
        records = ask([*chain, HARMLESS])
    refused = next(record for record in records.values() if record["status"] != 200)
    assert code(refused) == (400, "unresolved_reference")
    assert (refused["id"], records["19"]["status"], records["other"]["status"]) == ("6", 424, 200)


def test_all_values_in_bodies_are_as_much_as_a_client_could_send_itself():
    """One that is too large leaves the room to those that are not, and a value that is known is not written again."""
    uses = [use(bind={"/x": f"$a.body#/{size}"}) | {"id": f"{size}{n}"} for size in ("big", "small") for n in range(3)]
    with override_settings(BATCHAPI=settings.BATCHAPI | {"MAX_REQUEST_BYTES": 12_000}):
        records = ask([say({"big": "x" * 6_000, "small": "x" * 1_000}), *uses])
    assert [records[f"big{n}"]["status"] for n in range(3)] == [200, 400, 400]
    assert [records[f"small{n}"]["status"] for n in range(3)] == [200, 200, 200]
    assert code(records["big1"]) == (400, "unresolved_reference")


def test_one_that_has_no_room_leaves_what_it_had_begun_to_take():
    binds = {"/x": "$a.body#/small", "/y": "$a.body#/big", "/z": "$a.body#/big"}
    uses = [use(bind={"/x": "$a.body#/small"}) | {"id": f"small{n}"} for n in range(3)]
    with override_settings(BATCHAPI=settings.BATCHAPI | {"MAX_REQUEST_BYTES": 10_000}):
        records = ask([say({"big": "x" * 5_800, "small": "x" * 3_000}), use(bind=binds), *uses])
    assert [records[key]["status"] for key in ("b", "small0", "small1", "small2")] == [400, 200, 200, 200]


ODD = {"id": "a", "url": "/api/raw/json/"}


@pytest.mark.parametrize("name", ["nan", "big"])
def test_what_is_not_json_is_not_written_as_json(name: str):
    assert code(outcome(ODD, use(bind={"/x": f"$a.body#/{name}"}))) == (400, "unresolved_reference")


def test_half_a_character_goes_into_a_body_but_into_no_url():
    seen = outcome(ODD, use(body={"answer": {}}, bind={"/answer/length": "$a.body#/half"}))
    assert seen["status"] == 500  # DRF cannot write it: as it is alone.
    for url in ("/api/say/{x}/", "/api/say/?q={x}"):
        assert code(outcome(ODD, use(url=url, bind={"{x}": "$a.body#/half"}))) == (400, "unresolved_reference")
