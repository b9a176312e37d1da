"""A batch answers as the same requests would have been answered alone."""

import pytest
from hypothesis import HealthCheck, event, given, settings

from tests.differential.arms import Answer
from tests.differential.asks import Ask, Caller
from tests.differential.cast import CALLERS
from tests.differential.harness import Harness
from tests.differential.strategies import ZOO, callers, sequences

# A server would not iterate an async stream without a word either.
pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
# One stage serves all examples: each of them puts it back.
one_stage = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors])


# By everybody takes two minutes: that is for CI and for a deep look.
FEW = ("nobody", "alice by session")
TOURISTS = CALLERS if settings().max_examples > 50 else [caller for caller in CALLERS if caller.name in FEW]


@pytest.mark.parametrize("caller", TOURISTS, ids=repr)
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


def tell(ask: Ask, answer: Answer) -> None:
    """For `pytest --hypothesis-show-statistics`."""
    event(f"{ask.method} {ask.url.split('/')[3] if ask.url.count('/') > 3 else ask.url}")
    event(f"status {answer.status}")
