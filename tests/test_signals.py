"""Signals, correlation and the access log, seen from outside: one batch through the whole handler."""

import logging
from typing import Any

import pytest
from django.dispatch import Signal
from django.test import Client

from batchapi import signals
from batchapi.log import CorrelationFilter

pytestmark = [pytest.mark.urls("project.urls"), pytest.mark.django_db]
BATCH = {
    "requests": [{"id": "a", "url": "/livez"}, {"id": "b b", "url": "/api/stats/"}, {"dependsOn": "b b", "url": "/"}]
}


def post(client: Client, data: Any = BATCH, **headers: str) -> Any:
    return client.post("/api/batch/", data, content_type="application/json", headers=headers)


class Heard:
    """A receiver that keeps what it was sent."""

    def __init__(self, *heard: Signal) -> None:
        self.events: list[dict[str, Any]] = []
        self.signals = heard

    def __enter__(self) -> list[dict[str, Any]]:
        for signal in self.signals:
            signal.connect(self.keep)
        return self.events

    def __exit__(self, *_: object) -> None:
        for signal in self.signals:
            signal.disconnect(self.keep)

    def keep(self, **event: Any) -> None:
        self.events.append(event)


def test_a_batch_tells_of_its_start_its_progress_and_its_end(client: Client) -> None:
    with Heard(signals.batch_started, signals.subrequest_finished, signals.batch_finished) as events:
        post(client, **{"X-Request-ID": "abc"})
    first, *progress, last = events
    assert (first["correlation_id"], first["total"]) == ("abc", 3)
    assert [(event["done"], event["total"]) for event in progress] == [(1, 3), (2, 3), (3, 3)]
    assert [event["response"].status for event in progress] == [404, 401, 424]
    assert last["seconds"] >= sum(event["seconds"] for event in progress)


def test_only_what_is_run_is_started(client: Client) -> None:
    """The third waits for the second, which was refused."""
    with Heard(signals.subrequest_started) as events:
        post(client)
    assert [event["request"].key for event in events] == ["a", "b b"]


def test_a_receiver_that_raises_harms_nobody(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    def receiver(**_: Any) -> None:
        raise RuntimeError("not my day")

    signals.subrequest_finished.connect(receiver)
    try:
        assert post(client).status_code == 200
    finally:
        signals.subrequest_finished.disconnect(receiver)
    assert "not my day" in caplog.text


def test_every_sub_request_has_one_line_in_the_access_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """With its route's name, never its raw URL, and with an id that holds no spaces or line breaks."""
    with caplog.at_level(logging.INFO, "batchapi.access"):
        post(client, **{"X-Request-ID": "abc"})
    records = [record for record in caplog.records if record.name == "batchapi.access"]
    lines = [record.getMessage() for record in records]
    assert [line.rpartition(" ")[0] for line in lines] == [
        "abc/a GET - 404",
        "abc/b%20b GET stats 401",
        "abc/2 GET - 424",
    ]
    names = ("correlation_id", "method", "route", "status")
    assert [vars(records[1])[name] for name in names] == ["abc/b%20b", "GET", "stats", 401]
    assert vars(records[1])["milliseconds"] >= 0


def test_log_records_in_between_carry_the_correlation_id(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(mark := CorrelationFilter())
    try:
        post(client, **{"X-Request-ID": "abc"})
        logging.getLogger("elsewhere").warning("outside")
    finally:
        caplog.handler.removeFilter(mark)
    marked = {record.getMessage(): vars(record)["correlation_id"] for record in caplog.records}
    assert marked["Unauthorized: /api/stats/"] == "abc/b%20b"
    assert marked["outside"] == "-"
    assert next(id for line, id in marked.items() if "stats 401" in line) == "abc/b%20b", (
        "told by whoever told the rest"
    )


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-Request-ID": "abc-1"}, "abc-1"),
        ({"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}, TRACE),
        ({"X-Request-ID": "abc-1", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}, "abc-1"),
    ],
)
def test_the_clients_own_id_is_taken_over(client: Client, headers: dict[str, str], expected: str) -> None:
    response = post(client, **headers)
    assert response["X-Request-ID"] == expected
    assert response.json()["responses"][0]["body"]["correlation_id"] == f"{expected}/a"


@pytest.mark.parametrize("asked", ["a b", "x" * 129, "\x1b[31mred", "é", "", "a\nb"])
def test_an_id_that_is_not_fit_for_a_log_is_replaced(client: Client, asked: str) -> None:
    given = post(client, **{"X-Request-ID": asked})["X-Request-ID"]
    assert len(given) == 32
    assert given.isalnum()


def test_a_refused_batch_has_an_id_too(client: Client) -> None:
    response = post(client, {"requests": 5}, **{"X-Request-ID": "abc"})
    assert (response.status_code, response["X-Request-ID"]) == (400, "abc")
    assert response.json()["correlation_id"] == "abc"
