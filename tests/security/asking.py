"""Batches as an attacker sends them, and what became of them."""

from typing import Any

from django.test import Client

from tests.security.views import CALLS

BATCH = "/api/batch/"


def send(requests: Any, *, client: Client | None = None, to: str = BATCH, **options: Any) -> Any:
    """The outer response to a batch, given as a list of sub-requests or as a whole."""
    payload = {"requests": requests} if isinstance(requests, list) else requests
    client = client or Client(raise_request_exception=False)
    return client.post(to, payload, content_type="application/json", **options)


def answers(requests: list[Any], **options: Any) -> list[dict[str, Any]]:
    """The records of a batch that was accepted."""
    response = send(requests, **options)
    assert response.status_code == 200, response.content
    return response.json()["responses"]


def answer(request: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The only record of a batch of one."""
    return answers([request], **options)[0]


def refusal(requests: Any, **options: Any) -> dict[str, Any]:
    """The problem with which a batch was refused; no view has run."""
    before = list(CALLS)
    response = send(requests, **options)
    assert 400 <= response.status_code < 500, response.content
    assert response["Content-Type"] == "application/problem+json"
    assert before == CALLS
    problem: dict[str, Any] = response.json()
    assert problem["executed"] is False
    return problem
