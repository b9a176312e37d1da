"""Which sub-requests a key covers, and which of them may be tried again after a failure."""

from dataclasses import replace

from batchapi.batch import SubRequest
from batchapi.execute.idempotency.answers import Answers
from batchapi.execute.idempotency.layer import is_taken_back
from batchapi.execute.idempotency.scope import find_parts
from batchapi.policy import Policy
from tests.plan.builders import make, make_batch


def under_a_key(*given: dict[str, object]) -> tuple[Answers, dict[str, SubRequest]]:
    batch = replace(make_batch(*given), idempotency_key="k")
    return Answers(find_parts(batch, caller="user 1"), alias="default"), {r.key: r for r in batch.requests}


def test_a_key_covers_writes_and_groups() -> None:
    """A login has no record where it is alone; in a group it is part of what is done once."""
    login = Policy(changes_identity=True)
    answers, requests = under_a_key(
        {"key": "read"},
        {"key": "write", "method": "POST"},
        {"key": "login", "method": "POST", "policy": login},
        {"key": "read-in-group", "group": "g"},
        {"key": "login-in-group", "method": "POST", "policy": login, "group": "g"},
        {"key": "not-known-yet", "method": "POST", "is_known": False},
    )
    covered = {key for key, request in requests.items() if answers.covers(request)}
    assert covered == {"write", "read-in-group", "login-in-group", "not-known-yet"}
    proved = make("not-known-yet", method="POST", policy=login)
    assert not answers.covers(proved), "its URL was filled in, and leads to a login"


def test_only_what_runs_in_a_transaction_of_its_own_may_be_tried_again() -> None:
    answers, requests = under_a_key(
        {"key": "write", "method": "POST"}, {"key": "loose", "method": "POST"}, {"key": "member", "group": "g"}
    )
    assert requests["loose"].route
    loose = replace(requests["loose"], route=replace(requests["loose"].route, is_non_atomic=True))
    assert is_taken_back(requests["write"], answers)
    assert not is_taken_back(loose, answers)
    assert not is_taken_back(requests["member"], answers)
    assert not is_taken_back(make("other", method="POST"), answers)
