"""The list of sub-requests: how many, under which names, and who waits for whom."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from batchapi.batch import Batch, SubRequest
from batchapi.conf import Limits
from batchapi.exceptions import (
    BadEnvelope,
    DuplicateId,
    EnvelopeError,
    NestedBatch,
    NotSupportedYet,
    TooMany,
    UnknownDependency,
)
from batchapi.parent import Parent
from batchapi.parse.subrequest import member, parse_subrequest

STOP_ON_ERROR = re.compile(r"(?:^|[,;\s])continue-on-error\s*=\s*\"?false", re.IGNORECASE)
LATER = ("defaults",)  # Members of the format that are not built yet.


def parse_batch(data: Any, *, parent: Parent, limits: Limits) -> Batch:
    """Check everything that a client sent: `{"requests": [...]}`, or the bare list.

    Raises EnvelopeError, which tells of all that is wrong at once; its pointers are URI fragments (RFC 6901).
    """
    refuse_parent(parent)
    items, pointer = find_list(data)
    if len(items) > limits.MAX_BATCH_SIZE:
        raise TooMany(f"A batch has at most {limits.MAX_BATCH_SIZE} sub-requests, not {len(items)}.", pointer=pointer)
    requests: list[SubRequest] = []
    errors: list[EnvelopeError] = []
    for index, item in enumerate(items):
        try:
            requests.append(parse_subrequest(item, index=index, pointer=pointer, parent=parent, limits=limits))
        except EnvelopeError as error:
            errors.extend(error.errors)
    errors.extend(duplicates(requests, items=items, pointer=pointer))
    if not errors:  # A sub-request that could not be read has no id that another one could name.
        errors.extend(unknown_dependencies(requests, items=items, pointer=pointer))
    if errors:
        raise EnvelopeError.first_of(errors)
    return Batch(requests=tuple(requests), pointer=pointer)


def refuse_parent(parent: Parent) -> None:
    """Refuse what the outer request asks for and cannot have, where ignoring it would do harm."""
    if parent.is_nested:
        raise NestedBatch("A view inside a batch posted a batch; call the views themselves.")
    if parent.idempotency_key is not None:
        raise NotSupportedYet("Idempotency-Key is not supported yet; leave it out.", header="Idempotency-Key")
    if STOP_ON_ERROR.search(parent.prefer):
        raise NotSupportedYet("A batch cannot stop at the first error yet; use dependsOn.", header="Prefer")


def find_list(data: Any) -> tuple[list[Any], str]:
    """The sub-requests as the client wrote them, and a JSON pointer to them."""
    if isinstance(data, list):
        return data, "#"
    if not isinstance(data, dict) or not isinstance(data.get("requests"), list):
        where = "#/requests" if isinstance(data, dict) and "requests" in data else "#"
        example = '{"requests": [{"url": "/api/…"}]}'
        raise BadEnvelope(f"A batch is an object with a list of sub-requests: {example}.", pointer=where)
    for name in LATER:
        if data.get(name) is not None:
            raise NotSupportedYet(f"{name!r} is not supported yet; leave it out.", pointer=f"#/{name}")
    ordering = data.get("ordering") or "serial"
    if ordering == "relaxed":
        raise NotSupportedYet('"relaxed" is not supported yet; leave ordering out.', pointer="#/ordering")
    if ordering != "serial":
        raise BadEnvelope('ordering is "serial" or "relaxed".', pointer="#/ordering")
    return data["requests"], "#/requests"


def duplicates(requests: Iterable[SubRequest], *, items: Sequence[Any], pointer: str) -> Iterable[EnvelopeError]:
    """An error for each sub-request whose id an earlier one has."""
    seen: dict[str, int] = {}
    for request in requests:
        first = seen.setdefault(request.key, request.index)
        if first != request.index:
            yield DuplicateId(
                f"The sub-request at index {first} has the same id; without one, the index is the id.",
                pointer=member(items[request.index], "id", f"{pointer}/{request.index}")[0],
            )


def unknown_dependencies(
    requests: Iterable[SubRequest], *, items: Sequence[Any], pointer: str
) -> Iterable[EnvelopeError]:
    """An error for each dependency that names no sub-request of the batch."""
    known = {request.key for request in requests}
    for request in requests:
        if not known.issuperset(request.depends_on):
            yield UnknownDependency(
                "Every entry of dependsOn is the id of a sub-request in this batch.",
                pointer=member(items[request.index], "dependsOn", f"{pointer}/{request.index}")[0],
            )
