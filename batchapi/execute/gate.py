"""The gate between what a view checks and its handler: whoever is given an answer that is known goes no further."""

from contextvars import ContextVar
from typing import Any, NamedTuple

from django.db.models import Model

from batchapi.batch import SubResponse
from batchapi.execute import attempt
from batchapi.execute.describe import IndescribableError, describe, describe_auth, describe_row, key_of, seal


class Known(NamedTuple):
    """An answer that is known before the view has run."""

    response: SubResponse
    runs_checks: bool  # the view is called as far as the gate
    who: str | None = None  # whom the view must have authenticated, as a seal; None: anybody


class Answered(BaseException):
    """Ends a view before its handler, because the answer is known."""


known: ContextVar[Known | None] = ContextVar("batchapi_known_answer", default=None)


def stop_if_answered(user: Any, auth: Any) -> None:
    """Raise Answered where the answer of the present sub-request is known, for whoever the view has authenticated."""
    footprint, answer = attempt.this().footprint, known.get()
    if footprint:
        footprint.has_passed = True
        if footprint.tells_who:
            footprint.who, footprint.user = who_is(user, auth), key_of(user)
    if answer is not None and (answer.who is None or (footprint is not None and answer.who == footprint.who)):
        raise Answered


def who_is(user: Any, auth: Any) -> str:
    """A user's whole row and what came with the credential, sealed; "" where nobody can describe them.

    What the view has loaded along with the row it has asked the database for, and that is known.
    """
    try:
        return seal(f"{describe_row(user) if isinstance(user, Model) else describe(user)}{describe_auth(auth)}")
    except IndescribableError:
        return ""
