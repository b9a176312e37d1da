"""S12: what a batch may cost is bounded, and the bound is where the settings say."""

import gzip
import json
import tracemalloc
from dataclasses import fields
from time import monotonic, process_time
from typing import Any

import pytest
from django.test import Client, override_settings
from gunicorn.config import Timeout as GunicornTimeout

from batchapi.conf import Lanes, Limits, find_problems
from tests.security.asking import answer, answers, refusal, send
from tests.security.views import CALLS

pytestmark = [pytest.mark.urls("tests.security.urls"), pytest.mark.django_db]

ITEM = {"url": "/api/items/x/"}
SECONDS = 5  # Of processor time: far above what any of these takes, far below what quadratic would take.


def limits(**given: Any) -> Any:
    return override_settings(BATCHAPI=given)


def test_the_number_of_sub_requests_is_bounded():
    """The one that is the bound, and the one after it."""
    with limits(MAX_BATCH_SIZE=3):
        assert len(answers([ITEM] * 3)) == 3
        problem = refusal([ITEM] * 4)
        assert refusal(json.dumps([ITEM] * 4))["code"] == "too_many"
    assert (problem["status"], problem["code"], problem["errors"][0]["pointer"]) == (413, "too_many", "#/requests")


def test_the_bytes_that_come_in_are_bounded():
    """Exactly."""
    batch = json.dumps({"requests": [ITEM]})
    with limits(MAX_REQUEST_BYTES=len(batch)):
        assert send(batch, client=Client()).status_code == 200
        problem = refusal(batch + " ")
    assert (problem["status"], problem["code"]) == (413, "too_large")


@pytest.mark.parametrize("told", ["0", "", "-1", "x", "\u00b2"])
def test_a_length_that_is_not_told_opens_nothing(told: str):
    """What has no length has no body (Django reads none): a batch of nothing is refused."""
    problem = refusal(json.dumps({"requests": [ITEM]}), CONTENT_LENGTH=told)
    assert problem["code"] in ("bad_envelope", "bad_json")


def test_a_length_that_is_a_lie_reads_no_more_than_that():
    batch = json.dumps({"requests": [ITEM]})
    assert refusal(batch, CONTENT_LENGTH=str(len(batch) - 1))["code"] == "bad_json"


def test_djangos_own_bound_for_bodies_in_memory_stays_a_views_own():
    """A view that reads the body hears of it; the batch goes by MAX_REQUEST_BYTES."""
    big = {"url": "/api/meta/", "method": "POST", "body": "x" * 200}
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=100):
        alone = Client(raise_request_exception=False).post("/api/meta/", json.dumps("x" * 200), "application/json")
        assert [record["status"] for record in answers([big, ITEM])] == [alone.status_code, 200]


def test_the_bytes_that_go_out_are_bounded():
    """What fits is answered, what does not is 502, and what is small goes on fitting."""
    with limits(MAX_RESPONSE_BYTES=1000):
        sizes = [600, 400, 1]
        records = answers([{"url": f"/api/bulk/?bytes={size}"} for size in sizes])
        assert [record["status"] for record in records] == [200, 200, 502]
        assert records[2]["body"]["code"] == "response_too_large"
        records = answers([{"url": f"/api/bulk/?bytes={size}"} for size in (1001, 500)])
        assert [record["status"] for record in records] == [502, 200]


def test_a_gzip_bomb_is_counted_as_what_comes_out_of_it():
    """Each one, and all together; the rest of the batch is unharmed."""
    bomb = gzip.compress(b"x" * 2_000_000).decode("latin-1")
    asked = {"url": "/api/answers/", "method": "POST", "body": {"body": bomb, "type": "text/plain", "encoding": "gzip"}}
    with limits(MAX_RESPONSE_BYTES=1_000_000):
        assert [record["status"] for record in answers([asked, ITEM])] == [502, 200]
    with limits(MAX_RESPONSE_BYTES=3_000_000):
        assert [record["status"] for record in answers([asked, asked, asked, ITEM])] == [200, 502, 502, 200]


def test_an_endless_stream_ends():
    """And is one sub-request's 502."""
    with limits(MAX_STREAM_BYTES=10_000):
        endless, other = answers([{"url": "/api/bulk/?endless"}, ITEM])
    assert (endless["status"], endless["body"]["code"], other["status"]) == (502, "response_too_large", 200)


def test_the_bytes_of_a_stream_are_bounded():
    """Exactly."""
    with limits(MAX_STREAM_BYTES=100):
        records = answers([{"url": f"/api/bulk/?stream&bytes={size}"} for size in (100, 101)])
    assert [record["status"] for record in records] == [200, 502]


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def test_the_depth_is_bounded():
    """The object, its list and the sub-request are three levels."""
    with limits(MAX_DEPTH=10):
        assert answer({"url": "/api/meta/", "method": "POST", "body": nested(7)})["status"] == 200
        assert refusal([{"url": "/api/meta/", "method": "POST", "body": nested(8)}])["code"] == "too_deep"


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json"])
def test_depth_inside_a_string_is_a_views_own_matter(content_type: str):
    """Whatever the view makes of it, its neighbour is answered."""
    deep = {"url": "/api/answers/", "method": "POST", "headers": {"Content-Type": content_type}, "body": "[" * 100_000}
    records = answers([deep, ITEM])
    assert records[0]["status"] >= 400
    assert records[1]["status"] == 200


def test_depth_in_a_views_answer_is_no_harm():
    """It becomes text."""
    for body in ("[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000):
        asked = {"url": "/api/answers/", "method": "POST", "body": {"body": body, "type": "application/json"}}
        records = answers([asked, ITEM])
        assert (records[0]["body"], records[1]["status"]) == (body, 200)


def test_the_headers_are_bounded():
    """In number and in bytes, those that are dropped too."""
    with limits(MAX_HEADERS=2, MAX_HEADER_BYTES=20):
        assert answer(ITEM | {"headers": {"X-A": "1", "X-B": "2"}})["status"] == 200
        assert answer(ITEM | {"headers": {"X-Abc": "x" * 15}})["status"] == 200
        assert refusal([ITEM | {"headers": {"X-A": "1", "X-B": "2", "X-C": "3"}}])["code"] == "bad_header"
        assert refusal([ITEM | {"headers": {"X-Abc": "x" * 16}}])["code"] == "bad_header"


def test_an_accept_bomb_is_over_soon():
    """A hundred times what fits into the headers."""
    accept = ",".join(f"a/{n};q=0.{n}" for n in range(500))
    started = process_time()
    answers([ITEM | {"headers": {"Accept": accept}}] * 100)
    assert process_time() - started < 2 * SECONDS


@pytest.mark.parametrize("charset", ["punycode", "PUNYCODE", "idna", "undefined", "hex", "nowhere", "x" * 5000])
def test_a_charset_that_is_none_is_refused_at_once(charset: str):
    """Python's codecs for host names take a minute for 20,000 characters, and one sub-request is enough."""
    text = "".join(chr(0x4E00 + number % 20_000) for number in range(50_000))
    started = process_time()
    problem = refusal(
        [{"url": "/api/meta/", "headers": {"Content-Type": f"text/plain; charset={charset}"}, "body": text}]
    )
    assert (problem["code"], process_time() - started < SECONDS) == ("bad_body", True)
    assert len(str(problem)) < 1000


@pytest.mark.parametrize("charset", ["punycode", "idna"])
def test_a_charset_that_is_none_is_not_decoded(charset: str):
    """Neither is it in an answer that quotes its type from somebody."""
    body = {"body": "a-" + "bcd9" * 20_000, "type": f"text/plain; charset={charset}"}
    started = process_time()
    record = answer({"url": "/api/answers/", "method": "POST", "body": body})
    assert (record["bodyEncoding"], process_time() - started < SECONDS) == ("base64", True)


def test_giant_integers_are_handed_over_whole():
    """Up to what Python reads; as an id they are refused."""
    digits = "9" * 4300
    batch = f'{{"requests": [{{"url": "/api/meta/", "method": "POST", "body": {digits}}}]}}'
    assert send(batch).json()["responses"][0]["body"]["body"] == digits
    assert refusal(f'{{"requests": [{{"url": "/api/meta/", "id": {digits}}}]}}')["code"] == "bad_id"
    assert refusal(f'[{{"url": "/api/meta/", "dependsOn": [{digits}]}}]')["code"] == "unknown_dependency"


@pytest.mark.parametrize("name", ["id", "dependsOn", "headers", "extra"])
def test_a_million_values_are_over_soon(name: str):
    """Whatever member they are put into."""
    million = [str(number % 7) for number in range(1_000_000)]
    value: Any = {"Accept": million} if name == "headers" else million
    started = process_time()
    assert send([ITEM | {name: value}]).status_code in (200, 400, 413)
    assert process_time() - started < SECONDS


@pytest.mark.parametrize("shape", ["chain", "backward chain", "star", "all after all", "all the same twice"])
def test_who_waits_for_whom_is_found_in_linear_time(shape: str):
    """Over all the edges that were sent."""
    size = 200 if shape == "all after all" else 2000
    wait: dict[str, Any] = {
        "chain": lambda n: [n - 1] if n else [],
        "backward chain": lambda n: [n + 1] if n + 1 < size else [],
        "star": lambda n: [0] if n else [],
        "all after all": lambda n: list(range(n)),
        "all the same twice": lambda n: [0] * 50 if n else [],
    }
    requests = [{"url": "/nowhere/", "id": n, "dependsOn": wait[shape](n), "priority": "low"} for n in range(size)]
    started = process_time()
    with limits(MAX_BATCH_SIZE=size):
        records = answers(requests)
    assert process_time() - started < SECONDS
    assert [record["id"] for record in records] == list(range(size))
    assert {record["status"] for record in records} <= {404, 424}


def test_the_longest_id_is_echoed_and_the_log_line_stays_a_line(caplog: pytest.LogCaptureFixture):
    ident = "\U0001f600" * 256
    with caplog.at_level("INFO", "batchapi.access"):
        assert answer(ITEM | {"id": ident})["id"] == ident
    assert all(len(record.getMessage().splitlines()) == 1 for record in caplog.records)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "1", None, True, []])
@pytest.mark.parametrize("name", [f.name for f in fields(Limits) if f.type is int])
def test_a_limit_is_a_whole_number_above_0(name: str, wrong: object):
    """So none can be switched off by mistake."""
    assert [number for number, _ in find_problems({name: wrong})] == ["batchapi.E002"]
    assert find_problems({name: 1}) == []


def test_the_number_of_references_is_bounded():
    """All together, in whichever sub-requests."""

    def taking(*numbers: int) -> list[Any]:
        uses = (
            {"url": "/api/meta/", "method": "POST", "bind": {f"/{n}": "$0.body#/path" for n in range(number)}}
            for number in numbers
        )
        return [ITEM, *uses]

    with limits(MAX_REFERENCES=3):
        assert [record["status"] for record in answers(taking(1, 2))] == [200] * 3
        assert refusal(taking(2, 2))["code"] == "too_many_references"


@pytest.mark.parametrize("place", ["all of it", "one row each"])
def test_a_hundred_references_to_one_large_body_are_over_soon(place: str):
    """It is read once, and the views are given no more than a client could have sent itself."""
    rows = [{"id": number, "title": "x" * 40} for number in range(16_000)]
    large = {"body": json.dumps({"rows": rows}), "type": "application/json"}
    size = len(json.dumps({"rows": rows}, separators=(",", ":")))
    requests: list[Any] = [{"id": "l", "url": "/api/answers/", "method": "POST", "body": large}]
    for number in range(100):
        pointer = "" if place == "all of it" else f"/rows/{number}"
        requests.append({"url": "/api/items/x/", "method": "POST", "bind": {"/a": f"$l.body#{pointer}"}})
    with limits(MAX_BATCH_SIZE=101):
        tracemalloc.start()
        records = answers(requests)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        started = process_time()
        answers(requests)
    assert process_time() - started < SECONDS / 2
    assert peak < 50_000_000
    statuses = [record["status"] for record in records[1:]]
    passed = 100 if place == "one row each" else Limits().MAX_REQUEST_BYTES // size
    assert statuses == [200] * passed + [400] * (100 - passed)


def test_the_time_of_a_batch_is_bounded():
    """By the clock, whatever its views do. What has not begun then does not begin, and may be sent again."""
    with limits(DEADLINE=0.3):
        started = monotonic()
        first, *_, last = answers([{"url": f"/api/nap/100/?{number}"} for number in range(20)])
        assert monotonic() - started < 1.5
    assert (first["status"], last["status"], last["body"]["code"]) == (200, 503, "deadline_before_start")
    assert (last["body"]["executed"], last["headers"]["Retry-After"]) == (False, "1")
    assert 1 <= len(CALLS) < 20


def test_the_deadline_is_over_before_a_server_ends_the_request():
    """Else the answers to what has run would be lost with it."""
    deadline = Lanes().DEADLINE
    assert deadline is not None
    assert deadline < GunicornTimeout.default


def test_a_batch_refused_for_its_size_has_called_nobody():
    with limits(MAX_BATCH_SIZE=1):
        refusal([ITEM, ITEM])
    assert CALLS == []
