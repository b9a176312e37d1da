"""What a project's own tests see of time, where Django has a transaction open around each: it is told, not enforced."""

import pytest

from tests.execute.slow import HAPPENED, Told, ask, do, kept

pytestmark = [pytest.mark.urls("tests.execute.slow"), pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _nothing_happened() -> None:
    HAPPENED.clear()


def test_a_late_view_runs_to_its_end_and_its_rows_are_taken_back():
    answers = ask(do("write:a,nap:0.5", timeout=0.3), do("write:b"))
    assert answers == [Told(504, "timed_out", "rolled_back"), Told(200)]
    assert "done write:a,nap:0.5" in HAPPENED
    assert kept() == {"b"}


def test_what_comes_after_the_deadline_does_not_begin():
    answers = ask(do("write:a,nap:0.2"), do("write:b"), DEADLINE=0.1)
    assert answers == [Told(504, "timed_out", "rolled_back"), Told(503, "deadline_before_start", False)]
    assert kept() == set()


def test_a_late_member_takes_its_group_back_and_nothing_else():
    members = [do("write:b", id="b"), do("write:c,nap:0.5", id="c", timeout=0.3)]
    answers = ask(do("write:a"), *(member | {"atomicityGroup": "g"} for member in members), do("write:d"))
    assert answers[1:3] == [Told(424, "rolled_back", True), Told(504, "timed_out", "rolled_back")]
    assert kept() == {"a", "d"}


def test_a_database_error_does_not_spoil_the_next():
    answers = ask(do("twice"), do("write:b"), do("atomic,twice", id="2"), do("read"))
    assert [answer.status for answer in answers] == [500, 200, 500, 200]
    assert kept() == {"b"}


def test_a_durable_transaction_is_possible_as_it_is_alone():
    assert ask(do("durable,write:a"), do("durable,write:b")) == [Told(200)] * 2
    assert kept() == {"a", "b"}
