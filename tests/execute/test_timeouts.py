"""What takes too long is ended: its query is cancelled, what became of its writes is told, nobody else suffers."""

import json
from typing import Any

import pytest
from django.core.signals import got_request_exception
from django.db import transaction
from django.test import Client, override_settings

from batchapi import batch_policy
from batchapi.execute.abandoned import abandoned
from batchapi.signals import subrequest_finished
from chat.models import Session
from tests.execute.slow import (
    HAPPENED,
    IS_POSTGRESQL,
    LIMIT,
    PATIENCE,
    QUICKLY,
    Told,
    ask,
    do,
    group,
    hooks,
    kept,
    late,
    wait_until,
)

pytestmark = [
    pytest.mark.urls("tests.execute.slow"),
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.usefixtures("late_views"),
]


# -- a query that is cancelled


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("steps", ["slow", "fetch", "atomic,slow", "stubborn,slow", "durable,read,slow"])
def test_a_slow_query_is_cancelled_and_its_lane_comes_back(steps: str, method: str):
    answers = ask(late(steps, method), do("read"))
    assert answers == [Told(504, "timed_out", "none"), Told(200)]
    assert answers.seconds < LIMIT + 2
    wait_until(lambda: not abandoned)
    assert not HAPPENED.count(f"done {steps}") or "stubborn" in steps


@pytest.mark.parametrize("steps", ["slow", "fetch", "atomic,write:a,fetch", "stubborn,fetch,crash"])
def test_what_was_cancelled_is_no_crash(steps: str, caplog: pytest.LogCaptureFixture):
    """Nobody has to be woken up for it, though the view saw an error of the database."""
    heard: list[Any] = []

    def receiver(**told: Any) -> None:
        heard.append(told)

    got_request_exception.connect(receiver)
    try:
        [answer] = ask(late(steps))
    finally:
        got_request_exception.disconnect(receiver)
    assert answer.status == 504
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    assert heard == []


def test_an_answer_that_is_streamed_too_slowly_is_late_too(caplog: pytest.LogCaptureFixture):
    assert ask(late("stream:fetch")) == [Told(504, "timed_out", "none")]
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


def test_whoever_hears_of_a_late_answer_may_use_the_database():
    """The receiver runs on the lane, and has time of its own."""
    heard: list[int] = []

    def receiver(*, response: Any, **_told: Any) -> None:
        Session.objects.count()
        heard.append(response.status)

    subrequest_finished.connect(receiver)
    try:
        answers = ask(late("slow"), do("read"))
    finally:
        subrequest_finished.disconnect(receiver)
    assert [answer.status for answer in answers] == [504, 200] == heard


# -- what became of its writes


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        ("read,slow", "none"),
        ("write:a,slow", "committed"),
        ("atomic,write:a,slow", "rolled_back"),
        ("atomic,atomic,write:a,slow", "rolled_back"),
        ("stubborn,atomic,write:a,slow,write:b", "rolled_back"),
        ("stubborn,write:a,slow,write:b", "committed"),
        ("manual,write:a,slow", "rolled_back"),
        ("stubborn,manual,write:a,slow,commit", "rolled_back"),
        ("stubborn,manual,write:a,slow,auto", "rolled_back"),
        ("manual,write:a,commit,slow", "committed"),
        ("atomic,write:a,hook:a,slow", "rolled_back"),
        *([] if IS_POSTGRESQL else [("manual,write:a,auto,slow", "committed")]),  # There a switch commits nothing.
    ],
)
def test_the_outcome_is_what_became_of_its_writes(steps: str, outcome: str):
    [answer] = ask(late(steps))
    assert answer == Told(504, "timed_out", outcome)
    assert kept() == ({"a"} if outcome == "committed" else set())
    assert hooks() == []
    wait_until(lambda: not abandoned)


def test_a_hook_that_is_too_slow_takes_nothing_back():
    assert ask(late("atomic,write:a,slow-hook"), do("write:b")) == [Told(504, "timed_out", "committed"), Told(200)]
    assert kept() == {"a", "b"}


def test_a_view_that_ends_late_by_itself_is_late():
    assert ask(do("write:a,nap:0.5", timeout=0.3)) == [Told(504, "timed_out", "committed")]
    assert kept() == {"a"}


# -- what nobody is to have of a late answer


@pytest.mark.parametrize("engine", ["db", "cache", "signed_cookies"])
@pytest.mark.parametrize("steps", ["cookie:a,session:a,nap:0.4", "cookie:a,session:a,stubborn,slow"])
def test_cookies_and_session_of_a_late_view_reach_nobody(steps: str, engine: str):
    client = Client(raise_request_exception=False)
    with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}"):
        answers = ask(late(steps), {"url": "/api/marks/"}, client=client)
        assert [answer.status for answer in answers] == [504, 200]
        assert answers.records[1]["body"] == {"cookie": None, "session": None}
        assert not client.cookies
        [record] = ask({"url": "/api/marks/"}, client=client).records
        assert record["body"] == {"cookie": None, "session": None}


@pytest.mark.parametrize("stream", ["fetch", "crash"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_cookie_whose_answer_could_not_be_streamed_reaches_nobody(method: str, stream: str):
    """The view itself had ended well, and in time."""
    client = Client(raise_request_exception=False)
    answers = ask(late(f"cookie:a,stream:{stream}", method), {"url": "/api/marks/"}, client=client)
    assert [answer.status for answer in answers] == [504 if stream == "fetch" else 500, 200]
    assert answers.records[1]["body"]["cookie"] is None
    assert not client.cookies


# -- whose limit it is


@pytest.mark.parametrize(
    ("url", "asked", "limit"),
    [
        ("/api/do/slow/", None, LIMIT),
        ("/api/do/slow/", 3600, LIMIT),
        ("/api/do/slow/", 10**400, LIMIT),
        ("/api/do/slow/", 0.01, 0.01),
        ("/api/quickly/slow/", None, QUICKLY),
        ("/api/quickly/slow/", 3600, QUICKLY),
        ("/api/quickly/slow/", 0.01, 0.01),
    ],
)
def test_the_least_limit_counts_and_no_client_raises_it(url: str, asked: float | None, limit: float):
    request = {"url": url} if asked is None else {"url": url, "timeout": asked}
    timeout = LIMIT if limit == LIMIT else PATIENCE
    answers = ask(request, TIMEOUT=timeout)
    assert answers == [Told(504, "timed_out", "none")]
    assert f"the {limit:g} seconds" in answers.records[0]["body"]["detail"]
    assert answers.seconds < limit + 2


@pytest.mark.parametrize("wrong", [0, -1, "1", True, [], {}, 0.0])
def test_a_timeout_that_is_no_time_is_refused(wrong: Any):
    payload = json.dumps({"requests": [{"url": "/api/do/read/", "timeout": wrong}]})
    response = Client().post("/api/batch/", payload, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (400, "bad_envelope")
    assert HAPPENED == []


@pytest.mark.parametrize("wrong", [0, -1, float("nan")])
def test_a_view_cannot_say_a_timeout_that_is_no_time(wrong: float):
    with pytest.raises(ValueError, match="number of seconds"):
        batch_policy(timeout=wrong)


def test_without_limits_the_clients_own_still_counts():
    answers = ask(do("nap:0.2,read"), late("slow"), TIMEOUT=None, DEADLINE=None)
    assert answers == [Told(200), Told(504, "timed_out", "none")]


# -- the deadline


def test_at_the_deadline_what_runs_is_late_and_what_waits_never_begins():
    limit = 0.3
    answers = ask(do("slow", id="a"), do("read", id="b"), do("read", "GET", dependsOn=["a"]), DEADLINE=limit)
    assert answers == [Told(504, "timed_out", "none"), *[Told(503, "deadline_before_start", False)] * 2]
    assert [record["headers"].get("Retry-After") for record in answers.records] == [None, "1", "1"]
    assert "deadline" in answers.records[0]["body"]["detail"]
    assert [line for line in HAPPENED if line.startswith("called")] == ["called slow"]
    assert answers.seconds < limit + 2
    wait_until(lambda: not abandoned)


def test_everybody_is_answered_at_the_deadline_even_if_every_view_hangs():
    limit = 0.4
    answers = ask(*(do(f"hold:{n}", "GET") for n in range(30)), DEADLINE=limit)
    called = len(HAPPENED)
    assert answers[:called] == [Told(504, "timed_out", "none")] * called
    assert {answer.status for answer in answers} <= {503, 504}
    assert {answer.fact for answer in answers if answer.status == 503} <= {False}
    assert answers.seconds < limit + 3


# -- groups


@pytest.mark.parametrize("index", range(3))
def test_a_late_member_takes_its_group_back(index: int):
    client = Client()
    steps = [f"write:{n},hook:{n},cookie:{n}" for n in range(3)]
    members = group(*steps)
    members[index] |= late(f"write:{index},hook:x,cookie:x,slow")
    answers = ask(*members, {"url": "/api/marks/", "dependsOn": []}, client=client)
    expected = [Told(424, "rolled_back", n < index) for n in range(3)]
    expected[index] = Told(504, "timed_out", "rolled_back")
    assert answers[:3] == expected
    assert answers.records[3]["body"]["cookie"] is None
    assert kept() == set()
    assert not client.cookies
    assert hooks() == []
    wait_until(lambda: not abandoned)


def test_a_late_group_is_not_tried_again():
    members = group("write:a")
    answers = ask(*members, late("slow", atomicityGroup="g"))
    assert answers[1] == Told(504, "timed_out", "rolled_back")
    assert [line for line in HAPPENED if line.startswith("called")] == ["called write:a", "called slow"]


def test_the_time_of_a_member_is_its_own():
    """Each has its limit from its own beginning, so that a quick group may take as long as all of them."""
    assert ask(*group(*["nap:0.15"] * 4), TIMEOUT=0.4) == [Told(200)] * 4


# -- in a transaction of the caller's


def test_in_the_callers_transaction_time_is_told_and_nothing_is_cut_short():
    with transaction.atomic():
        answers = ask(do("write:a,cookie:a,nap:0.5", timeout=0.3), {"url": "/api/marks/"}, do("write:b"))
        assert [answer.status for answer in answers] == [504, 200, 200]
        assert answers[0].fact == "rolled_back"
        assert answers.records[1]["body"]["cookie"] is None
        assert "done write:a,cookie:a,nap:0.5" in HAPPENED
        assert kept() == {"b"}
    assert kept() == {"b"}
