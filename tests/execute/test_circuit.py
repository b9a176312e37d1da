"""A view that keeps failing is left alone for a while, for its own reasons only, and is then tried with care."""

import time
from collections.abc import Iterator

import pytest

from batchapi.conf import get_settings
from batchapi.execute.abandoned import abandoned
from batchapi.execute.stack import find_circuits
from batchapi.store import Circuits
from tests.execute.failing import Trouble
from tests.execute.lanes import answers, get, post, statuses, with_settings
from tests.execute.slow import wait_until

pytestmark = [pytest.mark.urls("tests.execute.failing"), pytest.mark.django_db(transaction=True)]
RESET = 1


@pytest.fixture(autouse=True)
def circuits() -> Iterator[Circuits]:
    """Of this test alone."""
    Trouble.reset(left=10**6)
    given = {"CIRCUIT_THRESHOLD": 0.5, "CIRCUIT_MIN_CALLS": 10, "CIRCUIT_RESET": RESET, "CIRCUIT_PROBES": 2}
    with with_settings(**given, ENABLE_DEDUPLICATION=False, MAX_CONCURRENT_REQUESTS=1):  # One after the other.
        found = find_circuits(get_settings())
        assert found is not None
        yield found


def times(url: str, number: int, **more: object) -> list[dict[str, object]]:
    return [get(f"{url}?{n}", **more) for n in range(number)]


def word(circuits: Circuits, route: str = "fail") -> str:
    return {state.route: state.word for state in circuits.states()}.get(route, "closed")


@pytest.mark.parametrize("kind", ["502", "503", "504", "busy", "deadlock", "shutdown", "later"])
def test_a_view_that_fails_ten_times_is_called_no_more(kind: str) -> None:
    found = answers(*times(f"fail/{kind}/", 12))
    assert Trouble.calls[f"GET {kind}"] == 10
    *_, last = found
    assert (last["status"], last["body"]["code"], last["body"]["executed"]) == (503, "circuit_open", False)
    assert last["headers"]["Retry-After"] == str(RESET)


@pytest.mark.parametrize("kind", ["crash", "syntax", "400", "404", "429", "500", "501"])
def test_mistakes_and_refusals_open_nothing(kind: str) -> None:
    answers(*times(f"fail/{kind}/", 12))
    assert Trouble.calls[f"GET {kind}"] == 12


def test_only_a_share_of_the_calls_counts(circuits: Circuits) -> None:
    answers(*times("fail/404/", 11), *times("fail/503/", 10))
    assert word(circuits) == "closed"


def test_another_view_is_called_all_the_same() -> None:
    answers(*times("fail/503/", 10))
    Trouble.left = 0
    assert statuses(get("fail/503/"), get("other/503/")) == [503, 200]


def test_a_write_is_refused_as_well_and_nothing_has_run() -> None:
    answers(*times("fail/503/", 10))
    [record] = answers(post("fail/503/"))
    assert (record["status"], record["body"]["executed"]) == (503, False)
    assert Trouble.calls["POST 503"] == 0


def test_it_is_probed_and_then_called_as_before(circuits: Circuits) -> None:
    answers(*times("fail/503/", 10))
    assert word(circuits) == "open"
    time.sleep(RESET)
    assert word(circuits) == "half-open"
    Trouble.reset()
    assert statuses(get("fail/503/"), get("fail/503/")) == [200, 200]
    assert word(circuits) == "closed"


def test_a_probe_that_fails_opens_it_again(circuits: Circuits) -> None:
    answers(*times("fail/503/", 10))
    time.sleep(RESET)
    assert statuses(get("fail/503/"), get("fail/503/")) == [503, 503]
    assert Trouble.calls["GET 503"] == 11, "the second one is not called"
    assert word(circuits) == "open"


def test_retries_stop_where_it_opens() -> None:
    with with_settings(RETRY_ATTEMPTS=5, RETRY_WAIT=0.001, RETRY_BUDGET=1):
        *_, last = answers(*times("fail/503/", 12))
    assert Trouble.calls["GET 503"] == 10
    assert last["body"]["executed"] is False


def test_who_was_called_before_it_opened_is_told_so() -> None:
    with with_settings(RETRY_ATTEMPTS=5, RETRY_WAIT=0.001, RETRY_BUDGET=1, CIRCUIT_MIN_CALLS=2):
        [record] = answers(get("fail/503/"))
    assert (record["body"]["code"], record["body"]["executed"]) == ("circuit_open", True)
    assert Trouble.calls["GET 503"] == 2


def test_a_view_may_say_that_it_is_called_whatever_happens() -> None:
    answers(*times("called/503/", 12))
    assert Trouble.calls["GET 503"] == 12


def test_the_project_may_say_so_for_all() -> None:
    with with_settings(CIRCUIT_THRESHOLD=None):
        answers(*times("fail/503/", 12))
    assert Trouble.calls["GET 503"] == 12


def test_timeouts_of_the_server_count_also_of_threads_that_do_not_come_back(circuits: Circuits) -> None:
    with with_settings(TIMEOUT=0.1, CIRCUIT_MIN_CALLS=2, MAX_ABANDONED_PER_CALLER=8):
        here = find_circuits(get_settings())
        assert here is not None
        assert statuses(*times("asleep/", 2)) == [504, 504]
        assert word(here, "asleep") == "open"
        wait_until(lambda: not abandoned)
        [state] = here.states()
        assert state.failures == 2, "counted once: when it was given up, and not again when it came back"


def test_a_timeout_that_the_client_asked_for_counts_for_nobody_else() -> None:
    with with_settings(CIRCUIT_MIN_CALLS=2, MAX_ABANDONED_PER_CALLER=8):
        here = find_circuits(get_settings())
        assert here is not None
        assert statuses(*times("asleep/", 3, timeout=0.05)) == [504] * 3
        assert word(here, "asleep") == "closed"
        wait_until(lambda: not abandoned)


def test_a_call_that_the_client_shortens_does_not_probe_it() -> None:
    answers(*times("fail/503/", 10))
    time.sleep(RESET)
    Trouble.reset()
    assert statuses(get("fail/503/", timeout=5), get("fail/503/")) == [503, 200]


def test_neither_does_the_end_of_the_batch() -> None:
    with with_settings(DEADLINE=0.2, CIRCUIT_MIN_CALLS=1, MAX_ABANDONED_PER_CALLER=8):
        here = find_circuits(get_settings())
        assert here is not None
        assert statuses(get("asleep/")) == [504]
        assert word(here, "asleep") == "closed"
        wait_until(lambda: not abandoned)


def test_async_views_have_circuits_too() -> None:
    answers(*times("async/503/", 10))
    [record] = answers(get("async/503/"))
    assert record["body"]["code"] == "circuit_open"
    assert Trouble.calls["async 503"] == 10


def test_a_member_that_is_refused_rolls_its_group_back() -> None:
    answers(*times("fail/503/", 10))
    found = answers(post("writing/", "w", atomicityGroup="g"), get("fail/503/", "f", atomicityGroup="g"))
    assert [record["status"] for record in found] == [405, 424]


def test_an_operator_isolates_a_view(circuits: Circuits) -> None:
    Trouble.reset()
    circuits.isolate("fail")
    [record] = answers(get("fail/503/"))
    assert record["body"]["code"] == "circuit_open"
    circuits.reset("fail")
    assert statuses(get("fail/503/")) == [200]
