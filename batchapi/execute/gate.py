"""The gate between what a view checks and its handler: whoever gets a copy of an answer goes no further."""

from contextvars import ContextVar

from batchapi.batch import SubResponse


class Answered(BaseException):
    """Ends a view before its handler, because the answer is known."""


known: ContextVar[SubResponse | None] = ContextVar("batchapi_known_answer", default=None)


def stop_if_answered() -> None:
    """Raise Answered where the answer of the present sub-request is known."""
    if known.get() is not None:
        raise Answered
