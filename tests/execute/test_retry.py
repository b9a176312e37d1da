"""What fails for a reason that passes is tried again, and nothing else; not too often, and never past the deadline."""

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache

from batchapi.execute.abandoned import abandoned
from batchapi.execute.kept import ATTEMPTS
from batchapi.execute.retry import LEAST, RECENT, Budget, budget, seldom
from batchapi.signals import subrequest_retried
from chat.models import Session
from tests.execute.failing import Trouble
from tests.execute.lanes import answers, get, post, send, statuses, with_settings
from tests.execute.slow import wait_until
from tests.store.test_processes import run

pytestmark = [pytest.mark.urls("tests.execute.failing"), pytest.mark.django_db(transaction=True)]
PASSING = ["deadlock", "serialization", "shutdown", "interface", "busy", "502", "503", "504"]
STANDING = ["crash", "syntax", "upstream", "later", "400", "404", "429", "500", "501"]


@pytest.fixture(autouse=True)
def _retries() -> Iterator[None]:
    Trouble.reset()
    budget.asked.clear()
    budget.spent.clear()
    seldom.told_at = float("-inf")
    with with_settings(RETRY_ATTEMPTS=3, RETRY_WAIT=0.01):
        yield
    wait_until(lambda: not abandoned)  # Or the next one would find no lane.


@pytest.mark.parametrize("kind", PASSING)
def test_what_passes_is_tried_again(kind: str) -> None:
    Trouble.left = 2
    [record] = answers(get(f"fail/{kind}/"))
    assert record["status"] == 200
    assert record["headers"][ATTEMPTS] == "3"
    assert Trouble.calls[f"GET {kind}"] == 3


@pytest.mark.parametrize("kind", STANDING)
def test_what_does_not_pass_stands(kind: str) -> None:
    """429 asks not to come again; a view that says when knows better; a crash would crash again."""
    Trouble.left = 2
    [record] = answers(get(f"fail/{kind}/"))
    assert record["status"] >= 400
    assert ATTEMPTS not in record["headers"]
    assert Trouble.calls[f"GET {kind}"] == 1


def test_a_first_answer_that_stands_is_not_marked() -> None:
    [record] = answers(get("fail/503/"))
    assert (record["status"], ATTEMPTS in record["headers"]) == (200, False)


def test_the_last_attempt_stands_whatever_it_says() -> None:
    Trouble.left = 5
    [record] = answers(get("fail/503/"))
    assert (record["status"], record["headers"][ATTEMPTS]) == (503, "3")


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_what_may_have_written_is_not_tried_again(method: str) -> None:
    Trouble.left = 1
    assert statuses({**post("fail/503/"), "method": method}) == [503]
    assert Trouble.calls[f"{method} 503"] == 1


def test_a_get_that_wrote_is_not_tried_again() -> None:
    Trouble.left = 1
    assert statuses(get("writing/")) == [503]
    assert Session.objects.count() == 1


def test_no_member_of_a_group_is_tried_again() -> None:
    Trouble.left = 1
    assert statuses(get("fail/503/", atomicityGroup="g")) == [503]
    assert Trouble.calls["GET 503"] == 1


def test_a_view_may_say_no() -> None:
    Trouble.left = 1
    assert statuses(get("once/503/")) == [503]


def test_a_view_may_declare_what_passes() -> None:
    Trouble.left = 1
    assert statuses(get("declared/upstream/")) == [200]
    assert Trouble.calls["GET upstream"] == 2


@pytest.mark.parametrize("kind", ["503", "deadlock"])
def test_an_async_view_is_tried_again(kind: str) -> None:
    Trouble.left = 1
    [record] = answers(get(f"async/{kind}/"))
    assert (record["status"], record["headers"][ATTEMPTS]) == (200, "2")


def test_a_connection_that_was_lost_is_made_again_and_a_lock_is_waited_for() -> None:
    Trouble.left = 1
    first, second = answers(get("reading/"), get("reading/"))
    assert (first["status"], first["headers"][ATTEMPTS]) == (200, "2")
    assert second["status"] == 200


def test_each_attempt_has_all_its_time_and_no_more() -> None:
    Trouble.left = 1
    with with_settings(TIMEOUT=0.6):
        assert statuses(get("tiring/?first=0.4&then=0.4")) == [200]
        Trouble.left = 1
        begun = time.monotonic()
        assert statuses(get("tiring/?first=0&then=1.5")) == [504]
    assert time.monotonic() - begun < 1.4


def test_what_we_refuse_ourselves_is_not_tried_again() -> None:
    with with_settings(MAX_STREAM_BYTES=5000):
        assert statuses(get("endless/")) == [502]
    assert Trouble.calls["endless"] == 1


def test_nothing_is_tried_again_past_the_deadline() -> None:
    Trouble.left = 5
    with with_settings(DEADLINE=0.5, RETRY_WAIT=1000.0):
        begun = time.monotonic()
        [record] = answers(get("fail/503/"))
    assert record["status"] == 503
    assert Trouble.calls["GET 503"] <= 2
    assert time.monotonic() - begun < 2


def test_a_timeout_is_not_tried_again() -> None:
    """Its time is gone, and its thread may still run."""
    with with_settings(TIMEOUT=0.1):
        [record] = answers(get("asleep/"))
    assert (record["status"], Trouble.calls["asleep"]) == (504, 1)


def test_it_counts_once_for_the_throttle() -> None:
    cache.clear()
    Trouble.left = 2
    found = statuses(*(get(f"throttled/503/?{n}") for n in range(12)))
    assert found == [200] * 10 + [429] * 2


def test_cookies_of_an_attempt_that_does_not_stand_are_dropped() -> None:
    Trouble.left = 1
    response = send(get("fail/cookie/", "a"), get("cookies/", dependsOn=["a"]), post("writing/"), get("cookies/"))
    assert [record["body"] for record in response.json()["responses"]][1::2] == [["status"], ["status"]]
    assert {name: cookie.value for name, cookie in response.cookies.items()} == {"status": "200"}


def test_a_copy_says_nothing_of_attempts() -> None:
    """Whoever asked the same was answered by the second one all the same, but had none of its own."""
    Trouble.left = 1
    first, second = answers(get("reading/"), get("reading/"))
    assert first["headers"][ATTEMPTS] == "2"
    assert ATTEMPTS not in second["headers"]


def test_others_go_on_meanwhile_and_see_nothing_of_it() -> None:
    Trouble.left = 1
    assert statuses(get("fail/503/"), get("reading/"), post("writing/")) == [200, 200, 405]


def test_receivers_hear_of_it_and_the_log_of_one_in_a_window(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Any] = []

    def receiver(*, attempts: int, status: int, pause: float, **_: object) -> None:
        heard.append((attempts, status, 0 <= pause <= 0.02))

    subrequest_retried.connect(receiver)
    try:
        Trouble.left = 2
        with caplog.at_level(logging.WARNING, "batchapi.retry"):
            answers(get("fail/503/"))
    finally:
        subrequest_retried.disconnect(receiver)
    assert heard == [(1, 503, True), (2, 503, True)]
    [record] = [record for record in caplog.records if record.name == "batchapi.retry"]
    told = vars(record)
    assert (told["route"], told["status"], told["attempts"]) == ("fail", 503, 1)
    assert told["correlation_id"].endswith("/0")


# -- the budget


def test_a_storm_of_failures_is_not_answered_by_a_storm_of_retries() -> None:
    """A hundred sub-requests that fail are worth twenty retries, and not two hundred."""
    Trouble.left = 1000
    assert set(statuses(*(get(f"fail/503/?{n}") for n in range(100)))) == {503}
    assert Trouble.calls["GET 503"] == 120


def test_no_budget_is_no_retry() -> None:
    Trouble.left = 1
    with with_settings(RETRY_BUDGET=0):
        assert statuses(get("fail/503/")) == [503]


def test_a_few_retries_are_always_in_it() -> None:
    one = Budget()
    assert [one.spend(0.2, now=0.0) for _ in range(5)] == [True] * LEAST + [False] * 2


def test_it_forgets_what_was_long_ago() -> None:
    one = Budget()
    one.expect(100, now=0.0)
    assert [one.spend(0.2, now=5.0) for _ in range(21)].count(True) == 20
    assert [one.spend(0.2, now=5.0 + RECENT + 1) for _ in range(5)].count(True) == LEAST


def test_a_forked_process_has_a_budget_of_its_own() -> None:
    """Also where a thread of its parent had the lock at that moment."""
    told = run("""
from batchapi.execute.retry import budget
budget.expect(100, now=0.0)
def spend():
    signal.alarm(10)  # It would wait for ever.
    return [budget.spend(0.2, now=1.0) for _ in range(5)].count(True) == 3
with budget.lock:
    told["child"] = in_child(spend)
told["parent"] = [budget.spend(0.2, now=1.0) for _ in range(25)].count(True)
""")
    assert told == {"child": 0, "parent": 20}


def test_it_does_not_grow_where_nothing_ever_fails() -> None:
    one = Budget()
    for second in range(1000):
        one.expect(1, now=second)
    assert len(one.asked) <= RECENT + 1
