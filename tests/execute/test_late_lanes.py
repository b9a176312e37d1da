"""What is late costs nobody else anything, where a batch may have several lanes."""

import pytest

from batchapi.execute.abandoned import abandoned
from tests.execute.slow import LATE, NO_LANE, Told, ask, do, kept, late

pytestmark = [
    pytest.mark.urls("tests.execute.slow"),
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    pytest.mark.usefixtures("late_views"),
]


@pytest.mark.parametrize("steps", ["slow", "stubborn,slow,close", "stubborn,manual,slow"])
def test_a_connection_that_was_sent_a_cancel_is_not_used_again(steps: str):
    """The cancel may arrive late, and would hit somebody else's query."""
    answers = ask(do("pid"), late(steps), do("pid", id="again"), do("pid", id="once more"))
    assert [answer.status for answer in answers] == [200, 504, 200, 200]
    before, _, after, later = answers.records
    assert before["body"] != after["body"] == later["body"]


def test_nobody_waits_for_a_read():
    answers = ask(late("hold", "GET"), do("read", "GET"), do("write:a"))
    assert answers == [LATE, Told(200), Told(200)]
    assert kept() == {"a"}
    assert abandoned


def test_a_bound_that_is_reached_refuses_later_waves_too():
    """Others still run in this wave; what comes after it does not begin when they are done."""
    requests = [late("hold:1", "GET"), late("hold:2", "GET"), do("nap:0.6", "GET"), do("write:a"), do("read", "GET")]
    assert ask(*requests, MAX_ABANDONED_PER_CALLER=2) == [LATE, LATE, Told(200), NO_LANE, NO_LANE]
    assert kept() == set()


def test_nobody_waits_for_the_turn_of_one_that_was_refused():
    """Throttle checks are made in order; the second one's never comes."""
    hangs = late("hold", "GET", id="hangs")
    waits = {"url": "/api/in-turn/read/", "dependsOn": ["hangs"]}
    answers = ask(hangs, waits, {"url": "/api/in-turn/read/?n=2"}, MAX_ABANDONED_PER_CALLER=1)
    assert answers == [LATE, NO_LANE, Told(200)]
    assert answers.seconds < 5
