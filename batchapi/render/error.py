"""A refusal in, one problem for the whole batch out."""

from collections.abc import Mapping
from http.client import responses as PHRASES  # noqa: N812 - a table of the standard library
from math import ceil
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework.exceptions import APIException, NotFound
from rest_framework.exceptions import PermissionDenied as Forbidden
from rest_framework.response import Response

from batchapi.exceptions import BatchError, EnvelopeError
from batchapi.problem import PROBLEM_JSON, problem

CODES = {"parse_error": "bad_json", "throttled": "batch_throttled"}  # DRF's codes that have a name of ours.
WORDS = {  # DRF would repeat what the client sent.
    "method_not_allowed": "Send a batch with POST.",
    "unsupported_media_type": "Send a batch as application/json.",
}


def render_error(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """A DRF exception handler: `application/problem+json` (RFC 9457) for all that stops a batch before it runs.

    `errors` lists everything that is wrong, with JSON pointers; `error` is what OData and Graph clients read.
    None, for an exception that nobody expects, has Django make its 500.
    """
    correlation_id = context["view"].parent.correlation_id
    if isinstance(error, (Http404, PermissionDenied)):  # DRF answers Django's own like these two of its own.
        error = NotFound() if isinstance(error, Http404) else Forbidden()
    if isinstance(error, BatchError):
        members = describe(error.status, error.code, error.title, error.detail, correlation_id)
    elif isinstance(error, APIException):
        code = CODES.get(error.default_code, error.default_code)
        title = PHRASES.get(error.status_code, "Refused")
        members = describe(error.status_code, code, title, WORDS.get(code) or words_of(error), correlation_id)
    else:
        return None
    if isinstance(error, EnvelopeError):
        members["errors"] = [place(part) | {"detail": part.detail} for part in error.errors]
    headers = {"X-Request-ID": correlation_id, **headers_of(error)}
    return Response(members, status=members["status"], headers=headers, content_type=PROBLEM_JSON)


def describe(status: int, code: str, title: str, detail: str, correlation_id: str) -> dict[str, Any]:
    """The problem of a whole batch, of which nothing has run."""
    members = problem(
        status=status, code=code, title=title, detail=detail, correlation_id=correlation_id, executed=False
    )
    return members | {"error": {"code": code, "message": detail}}


def words_of(error: APIException) -> str:
    """What an exception of DRF or of the project says, if it is one sentence and no table of them."""
    return str(error.detail if isinstance(error.detail, str) else error.default_detail)


def place(error: EnvelopeError) -> dict[str, str]:
    """Where in what the client sent an error lies."""
    return {"header": error.header} if error.header else {"pointer": error.pointer}


def headers_of(error: Exception) -> dict[str, str]:
    """What DRF's own handler would put into the headers."""
    headers = {"Cache-Control": "no-store"}
    if getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = error.auth_header  # type: ignore[attr-defined]
    if getattr(error, "wait", None):
        headers["Retry-After"] = str(ceil(error.wait))  # type: ignore[attr-defined]
    return headers
