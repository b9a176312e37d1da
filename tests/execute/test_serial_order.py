"""Serial order: the answers and the rows are those of running the sub-requests one by one in effective order."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from hypothesis import example, given
from hypothesis import strategies as st

from tests.execute.interpreter import URGENCY, Interpreter, Item, Told
from tests.execute.resource import THREADS, Rows, rows_now, start_with

pytestmark = [
    pytest.mark.urls("tests.execute.resource"),
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]

KEYS = ["a", "b"]
CALLS = [
    *[("GET", "/api/rows/"), ("POST", "/api/rows/")],
    *[(method, f"/api/rows/{key}/") for key in KEYS for method in ("GET", "PUT", "PATCH", "DELETE")],
    *[("POST", f"/api/rows/{key}/{how}/") for key in KEYS for how in ("refuse", "crash")],
]
NOISY = [
    *[("GET", f"/api/noisy/write/{key}/") for key in KEYS],
    *[("GET", f"/api/noisy/{how}/x/") for how in ("set", "visit", "visit", "show", "show")],
]
PAUSES = ["", "", "?before=2", "?before=5", "?after=5"]  # Milliseconds; a lane that is busy for two gets company.
VARIABLE = [(method, "/api/rows/{k}/") for method in ("GET", "PUT", "PATCH", "DELETE")]


@st.composite
def batches(draw: st.DrawFn) -> list[Item]:
    """Up to eight sub-requests, some in groups; what one waits for comes before it in a hidden order of nodes."""
    homes = draw(st.lists(st.sampled_from([None, None, None, "g", "h"]), min_size=1, max_size=8))
    if draw(st.booleans()):
        homes.sort(key=lambda home: home or "")  # Groups side by side, so that one can wait for another.
    items: list[Item] = []
    for index, group in enumerate(homes):
        whole = {home for home in homes[:index] if home and home not in homes[index:]}  # groups without later members
        earlier = [item["id"] for item in items if item.get("atomicityGroup") in {None, group, *whole}]
        items.append(draw(sub_requests(f"r{index}", group, earlier, sorted(whole))))
    return shuffle(items, draw(st.permutations(range(len(items)))))


def shuffle(items: list[Item], places: list[int]) -> list[Item]:
    """The nodes in another order; the members of a group keep theirs."""
    first = {item.get("atomicityGroup") or item["id"]: place for item, place in zip(items, places, strict=True)}
    return sorted(items, key=lambda item: first[item.get("atomicityGroup") or item["id"]])


@st.composite
def sub_requests(draw: st.DrawFn, key: str, group: str | None, earlier: list[str], groups: list[str]) -> Item:
    """One sub-request that may take from, wait for or ask about earlier ones."""
    method, url = draw(st.sampled_from(CALLS) | st.sampled_from(NOISY))
    url += draw(st.sampled_from(PAUSES))
    item: Item = {"id": key, "method": method, "url": url, "body": {"value": draw(st.sampled_from("xyz"))}}
    if group:
        item["atomicityGroup"] = group
    if draw(st.integers(0, 2)) == 0:
        item["priority"] = draw(st.sampled_from(URGENCY))
    if not earlier:
        return item
    return item | draw(links(earlier, [*earlier, *groups]))


@st.composite
def links(draw: st.DrawFn, earlier: list[str], names: list[str]) -> Item:
    kind = draw(st.sampled_from(["none", "none", "wait", "if", "variable", "url", "value", "if-value"]))
    other, name = draw(st.sampled_from(earlier)), draw(st.sampled_from(names))
    asks = {"if": draw(st.sampled_from(["", "not "])) + f"${name}/$succeeded"}
    method, url = draw(st.sampled_from(VARIABLE))
    value = {"bind": {"/value": f"${other}.body#/value"}}
    return {
        "none": {},
        "wait": {"dependsOn": [name]},
        "if": asks,
        "variable": {"method": method, "url": url, "bind": {"{k}": f"${other}.body#/key"}},
        "url": {"method": method, "url": f"${other}"},
        "value": value,
        "if-value": value | asks,
    }[kind]


def as_told(record: dict[str, Any]) -> Told:
    """What the interpreter tells of an answer too."""
    status, body = record["status"], record["body"]
    if status < 300:
        return status, body
    is_ours = record["headers"].get("Content-Type") == "application/problem+json"
    return status, body["code"] if is_ours else None


def ask(items: list[Item], **more: str) -> dict[str, Told]:
    client = Client(raise_request_exception=False)
    response = client.post("/api/batch/", json.dumps({"requests": items, **more}), content_type="application/json")
    assert response.status_code == 200, response.content
    records = response.json()["responses"]
    assert [record["id"] for record in records] == [item["id"] for item in items]
    return {record["id"]: as_told(record) for record in records}


resources = st.dictionaries(st.sampled_from(KEYS), st.sampled_from("xyz"))


@given(batches(), resources)
@example([], {})
def test_a_batch_is_its_sub_requests_one_by_one(items: list[Item], rows: Rows):
    start_with(rows)
    interpreter = Interpreter(rows)
    wanted = interpreter.run(items)
    assert ask(items) == wanted
    assert rows_now() == interpreter.rows


def test_reads_do_run_side_by_side():
    """Else all this would prove nothing. Nobody else could see a database in memory, so there is one lane."""
    start_with({"a": "x"})
    THREADS.clear()
    items = [
        {"id": str(n), "method": "GET", "url": f"/api/rows/?before=20&n={n}", "body": {"value": ""}} for n in range(9)
    ]
    assert {told[0] for told in ask(items).values()} == {200}
    is_in_memory = connection.vendor == "sqlite" and connection.is_in_memory_db()
    assert len(THREADS) == 1 if is_in_memory else len(THREADS) > 3


@given(st.lists(st.sampled_from([call for call in CALLS + NOISY if call[0] in ("GET", "PUT", "PATCH")])), resources)
def test_a_relaxed_batch_in_which_each_waits_for_the_last_is_one_by_one(calls: list[tuple[str, str]], rows: Rows):
    start_with({"a": "x", "b": "y"} | rows)
    interpreter = Interpreter({"a": "x", "b": "y"} | rows)
    items = [
        {"id": str(n), "method": method, "url": url, "body": {"value": "z"}, "dependsOn": [str(n - 1)] if n else []}
        for n, (method, url) in enumerate(calls)
    ]
    assert ask(items, ordering="relaxed") == interpreter.run(items)
    assert rows_now() == interpreter.rows


def test_a_relaxed_batch_keeps_its_links():
    """Whatever else may run in any order."""
    start_with({"a": "x"})
    change = {"id": "change", "method": "PATCH", "url": "/api/rows/a/", "body": {"value": "y"}}
    read = {"id": "read", "url": "$change", "method": "GET", "dependsOn": ["change"]}
    payload = {"requests": [read, change], "ordering": "relaxed"}
    response = Client().post("/api/batch/", json.dumps(payload), content_type="application/json")
    assert [record["body"]["value"] for record in response.json()["responses"]] == ["xy", "xy"]


def test_get_post_get_sees_the_write():
    """S10, in every run."""
    start_with({"a": "x"})
    read, change = {"method": "GET", "url": "/api/rows/a/"}, {"method": "PATCH", "url": "/api/rows/a/"}
    items = [read, change, read, change, read]
    told = ask([item | {"id": str(n), "body": {"value": "y"}} for n, item in enumerate(items)])
    assert [told[key][1]["value"] for key in "01234"] == ["x", "xy", "xy", "xyy", "xyy"]
