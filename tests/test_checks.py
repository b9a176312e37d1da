"""What `manage.py check` says about middleware."""

from django.conf import settings
from django.core.checks import run_checks
from django.test import override_settings
from django.utils.module_loading import import_string

from batchapi.middleware import KNOWN

STRANGER = "tests.test_checks.stranger"


def stranger(get_response: object) -> object:
    """Middleware that this package has never heard of."""
    return get_response


def ids(**changes: object) -> list[str]:
    with override_settings(**changes):
        return [message.id for message in run_checks() if message.id.startswith("batchapi.")]


def test_the_project_itself_is_clean() -> None:
    assert ids() == []


def test_middleware_that_sub_requests_go_without_is_named() -> None:
    assert ids(MIDDLEWARE=[*settings.MIDDLEWARE, STRANGER]) == ["batchapi.W003"]


def test_middleware_that_runs_around_sub_requests_is_not_named() -> None:
    given = {"SUBREQUEST_MIDDLEWARE": (STRANGER,)}
    assert ids(MIDDLEWARE=[*settings.MIDDLEWARE, STRANGER], BATCHAPI=given) == []


def test_middleware_that_the_project_vouches_for_is_not_named() -> None:
    assert ids(MIDDLEWARE=[*settings.MIDDLEWARE, STRANGER], BATCHAPI={"KNOWN_MIDDLEWARE": (STRANGER,)}) == []


def test_every_known_middleware_exists() -> None:
    """A name with a typing error would never match anything."""
    assert all(import_string(path) for path in KNOWN)
