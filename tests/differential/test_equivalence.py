"""A batch answers as the same requests would have been answered alone."""

from pathlib import Path

import pytest
from django.conf import settings
from django.test import override_settings
from hypothesis import HealthCheck, event, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from tests.differential.arms import Answer
from tests.differential.asks import Ask, Caller
from tests.differential.cast import CALLERS
from tests.differential.harness import Harness
from tests.differential.stage import on_lanes
from tests.differential.strategies import ZOO, again, callers, readers, sequences, side_by_side

# A server would not iterate an async stream without a word either.
pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
# One stage serves all examples: each of them puts it back.
one_stage = profile(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors])


# By everybody takes minutes: that is for CI, and with ATOMIC_REQUESTS for a deep look.
FEW = [caller for caller in CALLERS if caller.name in ("nobody", "alice by session")]
TOURS = [
    pytest.param(is_atomic, caller, id=f"{'atomic' if is_atomic else 'autocommit'}-{caller!r}")
    for is_atomic, enough in ((False, 50), (True, 1000))
    for caller in (CALLERS if profile().max_examples > enough else FEW)
]


@pytest.mark.parametrize(("harness", "caller"), TOURS, indirect=["harness"])
def test_one_request_is_answered_as_alone(harness: Harness, caller: Caller):
    """Every view of the zoo, by each of the callers, one by one."""
    failures = [str(error) for ask in ZOO if (error := failure(harness, caller, [ask]))]
    assert not failures, "\n".join(failures)


def failure(harness: Harness, caller: Caller, asks: list[Ask]) -> AssertionError | None:
    """How an example fails."""
    try:
        harness.check(caller, asks)
    except AssertionError as error:
        return error
    return None


@one_stage
@given(caller=callers, asks=sequences())
def test_any_sequence_is_answered_as_one_by_one(harness: Harness, caller: Caller, asks: list[Ask]):
    """Whatever Hypothesis thinks of."""
    harness.check(caller, asks, reached=tell)


@one_stage
@given(caller=callers, asks=sequences() | side_by_side | side_by_side, late=st.sets(st.integers(0, 11)))
def test_so_it_is_on_several_lanes(
    loose_harness: Harness, tmp_path: Path, caller: Caller, asks: list[Ask], late: set[int]
):
    """Some take their time, so that those behind them run beside them."""
    with on_lanes(tmp_path / "other.sqlite3", late):
        loose_harness.check(caller, asks)


@one_stage
@given(caller=callers, asks=sequences(), times=st.lists(st.integers(1, 3), min_size=12, max_size=12))
def test_so_are_copies_of_an_answer(loose_harness: Harness, caller: Caller, asks: list[Ask], times: list[int]):
    """Reads that come more than once, of which one may run and the others be copies with a mark."""
    repeated = [ask for ask, n in zip(asks, times, strict=False) for _ in range(n if is_plain_read(ask) else 1)]
    with override_settings(BATCHAPI={**settings.BATCHAPI, "ENABLE_DEDUPLICATION": True}):
        loose_harness.check(caller, repeated)


@one_stage
@given(caller=callers | readers | readers, asks=again)
def test_so_are_answers_that_were_kept(loose_harness: Harness, redis_url: str, caller: Caller, asks: list[Ask]):
    """Everything is asked twice; the second time some views are not called."""
    kept = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": redis_url}
    caching = {"ENABLE_CACHING": True, "CACHE_ALIAS": "kept"}
    with override_settings(CACHES={**settings.CACHES, "kept": kept}, BATCHAPI={**settings.BATCHAPI, **caching}):
        for record in loose_harness.check(caller, asks, rounds=2):
            event(str(record.members["headers"].get("Cache-Status", "")).partition("; ttl")[0])


def is_plain_read(ask: Ask) -> bool:
    return ask.method in ("GET", "HEAD", "OPTIONS") and not ask.depends_on


def tell(ask: Ask, answer: Answer) -> None:
    """For `pytest --hypothesis-show-statistics`."""
    event(f"{ask.method} {ask.url.split('/')[3] if ask.url.count('/') > 3 else ask.url}")
    event(f"status {answer.status}")
