"""What stops a batch before it runs, as one problem."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions

from batchapi.render.error import render_error

CONTEXT: Any = {"view": SimpleNamespace(parent=SimpleNamespace(correlation_id="known"))}
CASES = [  # exception: status, code, detail
    (exceptions.NotAuthenticated("Who?"), 401, "not_authenticated", "Who?"),
    (exceptions.Throttled(wait=7), 429, "batch_throttled", "Request was throttled. Expected available in 7 seconds."),
    (exceptions.ValidationError({"secret": ["x"]}), 400, "invalid", "Invalid input."),
    (exceptions.UnsupportedMediaType("<b>"), 415, "unsupported_media_type", "Send a batch as application/json."),
    (PermissionDenied("/etc/shadow"), 403, "permission_denied", "You do not have permission to perform this action."),
    (Http404("/etc/shadow"), 404, "not_found", "Not found."),
]


@pytest.mark.parametrize(("error", "status", "code", "detail"), CASES, ids=lambda case: type(case).__name__)
def test_a_refusal_of_drf_or_django_is_a_problem(error: Exception, status: int, code: str, detail: str):
    """In the words of the project where it has some, never in those of a traceback or of the client."""
    response = render_error(error, CONTEXT)
    assert response is not None
    assert (response.status_code, response.data["code"], response.data["detail"]) == (status, code, detail)
    assert (response.data["executed"], response.data["correlation_id"]) == (False, "known")


def test_when_to_come_back_and_how_to_log_in_are_in_the_headers():
    challenge = exceptions.NotAuthenticated()
    challenge.auth_header = "Basic"
    for error, name, value in ((exceptions.Throttled(7), "Retry-After", "7"), (challenge, "WWW-Authenticate", "Basic")):
        response = render_error(error, CONTEXT)
        assert response is not None
        assert response.headers[name] == value


def test_what_nobody_expects_is_left_to_django():
    assert render_error(LookupError("x"), CONTEXT) is None
