"""An error of ours in, application/problem+json (RFC 9457) out."""

from typing import Any

import orjson

from batchapi.batch import SubRequest, SubResponse
from batchapi.exceptions import ConditionFalse, SubRequestError

PROBLEM_JSON = "application/problem+json"


def problem(*, status: int, code: str, title: str, detail: str, correlation_id: str, executed: bool) -> dict[str, Any]:
    """The members that every problem has. `executed` says whether a view was called."""
    return {
        "type": f"urn:batchapi:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "executed": executed,
        "correlation_id": correlation_id,
    }


def problem_body(error: SubRequestError, *, correlation_id: str) -> bytes:
    """The body of a sub-response that we make ourselves."""
    members = problem(
        status=error.status,
        code=error.code,
        title=error.title,
        detail=error.detail,
        correlation_id=correlation_id,
        executed=error.executed,
    )
    return orjson.dumps(members if error.outcome is None else members | {"outcome": error.outcome})


def problem_response(request: SubRequest, error: SubRequestError) -> SubResponse:
    """A sub-response that says why a sub-request has no answer of its own."""
    wait = () if error.retry_after is None else (("Retry-After", str(error.retry_after)),)
    return SubResponse(
        request=request,
        status=error.status,
        headers=(("Content-Type", PROBLEM_JSON), *wait),
        body=problem_body(error, correlation_id=request.correlation_id),
        is_json=True,
        is_skipped=isinstance(error, ConditionFalse),
        is_own=True,
    )
