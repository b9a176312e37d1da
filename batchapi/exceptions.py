"""The tree of errors that this package makes. Imports no Django.

BatchError
├── EnvelopeError            the batch makes no sense: 4xx for the whole, and nothing has run
│   ├── BadJson  BadEnvelope  BadId  DuplicateId  BadMethod  BadUrl  BadHeader  BadBody
│   ├── UnknownDependency  CyclicDependency  BadReference  TooManyReferences  NestedBatch  TooDeep  NotSupportedYet
│   ├── TooMany  TooLarge                                            (413)
│   ├── KeyInUse (409)  KeyReused (422)
│   └── BatchThrottled                                               (429)
└── SubRequestError          one sub-request has no answer of its own; the others are unharmed
    ├── UnresolvedReference  BadUrlAfterBind                         (400)
    ├── NotFound  NotBatchable                                       (404)
    ├── NoStoredAnswer                                               (409)
    ├── DependencyFailed  RolledBack  ConditionFalse                 (424)
    ├── Crashed                                                      (500)
    ├── ResponseTooLarge                                             (502)
    ├── NoLane  DeadlineBeforeStart  CircuitOpen                     (503)
    └── TimedOut                                                     (504)

Each class carries status, code and title; the message carries the fact. The client sees all of them as
`application/problem+json` (RFC 9457) with the type `urn:batchapi:<code>`. A message never holds exception text.
"""

from collections.abc import Sequence
from typing import ClassVar, Self


class BatchError(Exception):
    """Anything that this package refuses or fails to do, in words that the client may read."""

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class EnvelopeError(BatchError):
    """The batch as a whole is refused. `pointer` (RFC 6901, as a URI fragment) or `header` says where."""

    status = 400
    wait: float | None = None  # seconds after which the same batch may be welcome

    def __init__(self, detail: str, *, pointer: str = "#", header: str | None = None) -> None:
        super().__init__(detail)
        self.pointer = pointer
        self.header = header
        self.errors: tuple[EnvelopeError, ...] = (self,)

    @classmethod
    def first_of(cls, errors: Sequence[Self]) -> Self:
        """The first error, which names status and code, telling of all the others too."""
        errors[0].errors = tuple(errors)
        return errors[0]


class BadJson(EnvelopeError):
    code = "bad_json"
    title = "The body is not JSON"


class BadEnvelope(EnvelopeError):
    code = "bad_envelope"
    title = "The body is JSON, but not a batch"


class BadId(EnvelopeError):
    code = "bad_id"
    title = "An id is not usable"


class DuplicateId(EnvelopeError):
    code = "duplicate_id"
    title = "An id is used twice"


class BadMethod(EnvelopeError):
    code = "bad_method"
    title = "A method is not supported"


class BadUrl(EnvelopeError):
    code = "bad_url"
    title = "A URL is not usable"


class BadHeader(EnvelopeError):
    code = "bad_header"
    title = "A header is not usable"


class BadBody(EnvelopeError):
    code = "bad_body"
    title = "A body does not fit its Content-Type"


class UnknownDependency(EnvelopeError):
    code = "unknown_dependency"
    title = "A dependency names no sub-request"


class CyclicDependency(EnvelopeError):
    code = "cyclic_dependency"
    title = "Sub-requests wait for each other"


class BadReference(EnvelopeError):
    code = "bad_reference"
    title = "A reference is not usable"


class TooManyReferences(EnvelopeError):
    code = "too_many_references"
    title = "Too many references"


class NestedBatch(EnvelopeError):
    code = "nested_batch"
    title = "A batch cannot run inside a batch"


class TooDeep(EnvelopeError):
    code = "too_deep"
    title = "The JSON is nested too deeply"


class NotSupportedYet(EnvelopeError):
    code = "not_supported_yet"
    title = "This part of the format is not supported yet"


class TooMany(EnvelopeError):
    status = 413
    code = "too_many"
    title = "Too many sub-requests"


class TooLarge(EnvelopeError):
    status = 413
    code = "too_large"
    title = "The batch is too large"


class KeyInUse(EnvelopeError):
    status = 409
    code = "key_in_use"
    title = "This Idempotency-Key is in use, or may be"
    wait = 1.0


class KeyReused(EnvelopeError):
    status = 422
    code = "key_reused"
    title = "This Idempotency-Key belongs to another request"


class BatchThrottled(EnvelopeError):
    status = 429
    code = "batch_throttled"
    title = "Too many batches"

    def __init__(self, detail: str, *, wait: float | None = 1.0) -> None:
        """`wait` is None where no time helps."""
        super().__init__(detail)
        self.wait = wait


class SubRequestError(BatchError):
    """One sub-request has no answer of its own. `executed` says whether its view was called."""

    executed: bool = False
    outcome: str | None = None  # what became of its writes, where that is in question
    retry_after: int | None = None  # seconds


class UnresolvedReference(SubRequestError):
    status = 400
    code = "unresolved_reference"
    title = "A reference leads to nothing"


class BadUrlAfterBind(SubRequestError):
    status = 400
    code = "bad_url_after_bind"
    title = "The URL is not usable with the values filled in"


class NotFound(SubRequestError):
    status = 404
    code = "not_found"
    title = "Not found"


class NotBatchable(SubRequestError):
    status = 404
    code = "not_batchable"
    title = "Not available in a batch"


class NoStoredAnswer(SubRequestError):
    """It was sent before under the same Idempotency-Key, and what the view answered then is not there to be repeated.

    `outcome` says what became of it: "unknown", or "committed" where the answer was one that is never stored.
    """

    status = 409
    code = "no_stored_answer"
    title = "It was sent before, and its answer is not known"
    executed = True

    def __init__(self, detail: str, *, outcome: str) -> None:
        super().__init__(detail)
        self.outcome = outcome


class DependencyFailed(SubRequestError):
    status = 424
    code = "dependency_failed"
    title = "A dependency failed"


class RolledBack(SubRequestError):
    status = 424
    code = "rolled_back"
    title = "The group was rolled back"


class ConditionFalse(SubRequestError):
    status = 424
    code = "condition_false"
    title = "The condition does not hold"


class Crashed(SubRequestError):
    status = 500
    code = "crashed"
    title = "Internal server error"
    executed = True


class ResponseTooLarge(SubRequestError):
    status = 502
    code = "response_too_large"
    title = "The answer is too large"
    executed = True


class NoLane(SubRequestError):
    status = 503
    code = "no_lane"
    title = "No thread is free to run it"
    retry_after = 1


class DeadlineBeforeStart(SubRequestError):
    status = 503
    code = "deadline_before_start"
    title = "The time of the batch was over before it began"
    retry_after = 1


class CircuitOpen(SubRequestError):
    status = 503
    code = "circuit_open"
    title = "This view has failed too often and is left alone for a while"

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class TimedOut(SubRequestError):
    status = 504
    code = "timed_out"
    title = "It took too long"
    executed = True

    def __init__(self, detail: str, *, outcome: str) -> None:
        super().__init__(detail)
        self.outcome = outcome
