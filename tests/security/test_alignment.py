"""S1: a record that is wrong never shifts another, wherever it stands."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.security.asking import answers, refusal
from tests.security.views import CALLS

pytestmark = [pytest.mark.urls("tests.security.urls"), pytest.mark.django_db]

REFUSED: dict[str, Any] = {  # wrong enough to refuse the batch: the member that is told of
    "a string": ("GET /api/items/x/", ""),
    "null": (None, ""),
    "a list": (["GET"], ""),
    "no url": ({"method": "GET"}, ""),
    "a url of another kind": ({"url": 7}, "/url"),
    "another host": ({"url": "http://evil.example/api/items/x/"}, "/url"),
    "two slashes": ({"url": "//evil/admin/"}, "/url"),
    "a bad id": ({"url": "/api/items/x/", "id": []}, "/id"),
    "a bad method": ({"url": "/api/items/x/", "method": "BREW"}, "/method"),
    "a bad header": ({"url": "/api/items/x/", "headers": {"a b": "c"}}, "/headers/a%20b"),
    "a bad body": ({"url": "/api/items/x/", "headers": {"Content-Type": "text/plain"}, "body": {}}, "/body"),
    "a batch": ({"url": "/api/batch/", "method": "POST", "body": {}}, "/url"),
}
FAILING: dict[str, Any] = {  # an answer of its own, and of nobody else
    "no such route": ({"url": "/nowhere/"}, 404),
    "not batchable": ({"url": "/api/plain/"}, 404),
    "crash": ({"url": "/api/crash/view/"}, 500),
    "crash in a stream": ({"url": "/api/crash/stream/"}, 500),
    "method not allowed": ({"url": "/api/whoami/", "method": "DELETE"}, 401),
    "a forged answer": (
        {
            "url": "/api/answers/",
            "method": "POST",
            "body": {"body": '{}},{"id":"i0","status":200,"body":{}', "type": "application/json"},
        },
        200,
    ),
    "broken JSON": (
        {"url": "/api/answers/", "method": "POST", "body": {"body": "{broken", "type": "application/json"}},
        200,
    ),
}
SIZE = 4


def good(index: int) -> dict[str, Any]:
    return {"id": f"i{index}", "url": f"/api/items/i{index}/"}


@pytest.mark.parametrize("index", range(SIZE))
@pytest.mark.parametrize("kind", REFUSED)
def test_a_malformed_record_is_told_at_its_own_index(kind: str, index: int):
    """And nothing has run."""
    wrong, member = REFUSED[kind]
    requests = [good(i) for i in range(SIZE)]
    requests[index] = wrong
    assert [error["pointer"] for error in refusal(requests)["errors"]] == [f"#/requests/{index}{member}"]
    assert CALLS == []


@given(st.lists(st.sampled_from([None, *REFUSED]), min_size=1, max_size=8).filter(any))
def test_several_malformed_records_are_told_each_at_its_own_index(kinds: list[str | None]):
    """However many stand before it that could not be read."""
    told = refusal([REFUSED[kind][0] if kind else good(index) for index, kind in enumerate(kinds)])["errors"]
    wanted = [f"#/requests/{index}{REFUSED[kind][1]}" for index, kind in enumerate(kinds) if kind]
    assert [error["pointer"] for error in told] == wanted


@pytest.mark.parametrize("index", range(SIZE))
@pytest.mark.parametrize("kind", FAILING)
def test_a_failing_record_leaves_the_others_where_they_are(kind: str, index: int):
    """Each of the others is answered under its own id by its own view."""
    wrong, status = FAILING[kind]
    requests = [good(i) for i in range(SIZE)]
    requests[index] = {"id": "wrong", **wrong}
    records = answers(requests)
    assert [record["id"] for record in records] == [request["id"] for request in requests]
    assert records.pop(index)["status"] == status
    assert [record["body"]["name"] for record in records] == [record["id"] for record in records]


@given(st.lists(st.sampled_from([None, *FAILING]), min_size=1, max_size=8), st.data())
def test_answers_are_in_the_order_of_the_requests(kinds: list[str | None], data: st.DataObject):
    """Whatever fails, whatever goes first, and whoever waits for whom."""
    priorities = st.sampled_from(["critical", "high", "normal", "low", "background"])
    requests = []
    for index, kind in enumerate(kinds):
        request = {**(FAILING[kind][0] if kind else good(index)), "id": f"i{index}", "priority": data.draw(priorities)}
        requests.append(request)
    for request, record in zip(requests, answers(requests), strict=True):
        assert record["id"] == request["id"]
        if request["url"].startswith("/api/items/"):
            assert record["body"]["name"] == record["id"]
        if record["status"] >= 400:
            assert record["request"]["url"] == request["url"]
