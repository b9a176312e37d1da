"""Settings: what a project may write, and what it is told when it writes something else."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import override_settings

from batchapi.batch import Priority, PriorityRule
from batchapi.conf import Limits, get_settings


def test_without_settings_the_defaults_hold() -> None:
    with override_settings(BATCHAPI={}):
        assert get_settings().limits == Limits()
        assert get_settings().rules == ()


def test_an_override_is_seen_at_once() -> None:
    with override_settings(BATCHAPI={"MAX_BATCH_SIZE": 3}):
        assert get_settings().limits.MAX_BATCH_SIZE == 3
    with override_settings(BATCHAPI={"MAX_BATCH_SIZE": 4}):
        assert get_settings().limits.MAX_BATCH_SIZE == 4


def test_a_list_serves_as_a_tuple() -> None:
    with override_settings(BATCHAPI={"ALLOWED_HEADERS": ["X-Tenant"]}):
        assert get_settings().limits.ALLOWED_HEADERS == ("X-Tenant",)


def test_rules_are_read_in_their_order() -> None:
    rules = [("POST session-list", "critical"), ("* /api/stats/*", "background")]
    with override_settings(BATCHAPI={"PRIORITY_RULES": rules}):
        assert get_settings().rules == (
            PriorityRule(method="POST", pattern="session-list", priority=Priority.CRITICAL),
            PriorityRule(method="*", pattern="/api/stats/*", priority=Priority.BACKGROUND),
        )


def test_prioritization_can_be_switched_off() -> None:
    with override_settings(BATCHAPI={"ENABLE_PRIORITIZATION": False}):
        assert get_settings().rules is None


WRONG = [
    ({"MAX_BATCHSIZE": 3}, "batchapi.E001", "no setting 'MAX_BATCHSIZE'"),
    ({"MAX_BATCH_SIZE": "3"}, "batchapi.E002", "a whole number above 0"),
    ({"MAX_BATCH_SIZE": 0}, "batchapi.E002", "a whole number above 0"),
    ({"MAX_DEPTH": True}, "batchapi.E002", "a whole number above 0"),
    ({"TIMEOUT": 0}, "batchapi.E002", "a number of seconds above 0, or None"),
    ({"DEADLINE": float("inf")}, "batchapi.E002", "a number of seconds above 0, or None"),
    ({"TIMEOUT": True}, "batchapi.E002", "a number of seconds above 0, or None"),
    ({"FINGERPRINT_IGNORES": "X-Trace"}, "batchapi.E002", "a tuple of strings"),
    ({"ENABLE_PRIORITIZATION": 1}, "batchapi.E002", "True or False"),
    ({"ALLOWED_HEADERS": "X-Tenant"}, "batchapi.E002", "a tuple of strings"),
    ({"ALLOWED_HEADERS": ("X-Forwarded-For",)}, "batchapi.E002", "names of headers that say nothing about who"),
    ({"ALLOWED_HEADERS": ("COOKIE",)}, "batchapi.E002", "names of headers that say nothing about who"),
    ({"ALLOWED_HEADERS": ("X_Tenant",)}, "batchapi.E002", "names of headers that say nothing about who"),
    ({"ATOMIC_GROUP_ALIAS": "nowhere"}, "batchapi.E002", "the name of a database"),
    ({"ATOMIC_GROUP_ALIAS": []}, "batchapi.E002", "the name of a database"),
    ({"RETRY_WAIT": None}, "batchapi.E002", "a number of seconds above 0"),
    ({"RETRY_BUDGET": 1.5}, "batchapi.E002", "a share from 0 to 1"),
    ({"RETRY_STATUSES": (429,)}, "batchapi.E002", "HTTP statuses from 400 to 599 without 429"),
    ({"RETRY_STATUSES": 503}, "batchapi.E002", "HTTP statuses from 400 to 599 without 429"),
    ({"CIRCUIT_THRESHOLD": 0}, "batchapi.E002", "a share above 0, up to 1, or None"),
    ({"BATCH_RATE": "1000 per minute"}, "batchapi.E002", 'a rate such as "1000/min", or None'),
    ({"BATCH_RATE": "0/min"}, "batchapi.E002", 'a rate such as "1000/min", or None'),
    ({"BATCH_RATE": 1000}, "batchapi.E002", 'a rate such as "1000/min", or None'),
    ({"KNOWN_MIDDLEWARE": (1,)}, "batchapi.E002", "a tuple of strings"),
    ({"PRIORITY_RULES": 5}, "batchapi.E002", "a tuple of pairs"),
    ({"PRIORITY_RULES": [("session-list", "critical")]}, "batchapi.E002", "a tuple of pairs"),
    ({"PRIORITY_RULES": [("BREW session-list", "critical")]}, "batchapi.E002", "a tuple of pairs"),
    ({"PRIORITY_RULES": [("POST session-list", "urgent")]}, "batchapi.E002", "a tuple of pairs"),
    (["MAX_BATCH_SIZE"], "batchapi.E002", "must be a dict, not list"),
    ({"SUBREQUEST_MIDDLEWARE": ("nowhere.Middleware",)}, "batchapi.E003", "cannot be imported"),
]


@pytest.mark.parametrize(("given", "number", "words"), WRONG)
def test_check_names_what_is_wrong(given: object, number: str, words: str) -> None:
    with override_settings(BATCHAPI=given), pytest.raises(CommandError) as caught:
        call_command("check")
    assert number in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(("given", "number", "words"), [wrong for wrong in WRONG if wrong[1] != "batchapi.E003"])
def test_wrong_settings_are_never_guessed_at(given: object, number: str, words: str) -> None:
    with override_settings(BATCHAPI=given), pytest.raises(ImproperlyConfigured, match=words):
        get_settings()
