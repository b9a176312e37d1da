"""The list of sub-requests: how many, under which names, and who waits for whom."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from batchapi.batch import Batch, SubRequest
from batchapi.conf import Limits
from batchapi.exceptions import (
    BadEnvelope,
    BadReference,
    DuplicateId,
    EnvelopeError,
    NestedBatch,
    NotSupportedYet,
    TooMany,
    TooManyReferences,
    UnknownDependency,
)
from batchapi.parent import Parent
from batchapi.parse.key import NAME, read_key, shared_keys
from batchapi.parse.subrequest import member, parse_subrequest

STOP_ON_ERROR = re.compile(r"(?:^|[,;\s])continue-on-error\s*=\s*\"?false", re.IGNORECASE)
LATER = ("defaults",)  # Members of the format that are not built yet.


def parse_batch(data: Any, *, parent: Parent, limits: Limits) -> Batch:
    """Check everything that a client sent: `{"requests": [...]}`, or the bare list.

    Raises EnvelopeError, which tells of all that is wrong at once; its pointers are URI fragments (RFC 6901).
    """
    refuse_parent(parent)
    key = None if parent.idempotency_key is None else read_key(parent.idempotency_key, header=NAME)
    items, pointer = find_list(data, limits=limits)
    is_relaxed = read_ordering(data)
    requests: list[SubRequest] = []
    errors: list[EnvelopeError] = []
    for index, item in enumerate(items):
        try:
            requests.append(parse_subrequest(item, index=index, pointer=pointer, parent=parent, limits=limits))
        except EnvelopeError as error:
            errors.extend(error.errors)
    errors.extend(duplicates(requests, items=items, pointer=pointer))
    if not errors:  # A sub-request that could not be read has no id that another one could name.
        errors.extend(unknown_names(requests, items=items, pointer=pointer))
        errors.extend(shared_keys(requests, outer=key, pointer=pointer))
    if errors:
        raise EnvelopeError.first_of(errors)
    if sum(len(request.bindings) for request in requests) > limits.MAX_REFERENCES:
        raise TooManyReferences(f"A batch has at most {limits.MAX_REFERENCES} references.", pointer=pointer)
    return Batch(requests=tuple(requests), is_relaxed=is_relaxed, pointer=pointer, idempotency_key=key)


def refuse_parent(parent: Parent) -> None:
    """Refuse what the outer request asks for and cannot have, where ignoring it would do harm."""
    refuse_nested(parent)
    if STOP_ON_ERROR.search(parent.prefer):
        raise NotSupportedYet("A batch cannot stop at the first error yet; use dependsOn.", header="Prefer")


def refuse_nested(parent: Parent) -> None:
    """Refuse a batch in a batch."""
    if parent.is_nested:
        raise NestedBatch("A view inside a batch posted a batch; call the views themselves.")


def find_list(data: Any, *, limits: Limits) -> tuple[list[Any], str]:
    """The sub-requests as the client wrote them, and a JSON pointer to them. Raises BadEnvelope and TooMany."""
    items, pointer = data, "#"
    if not isinstance(data, list):
        items, pointer = find_member(data), "#/requests"
    if len(items) > limits.MAX_BATCH_SIZE:
        raise TooMany(f"A batch has at most {limits.MAX_BATCH_SIZE} sub-requests, not {len(items)}.", pointer=pointer)
    return items, pointer


def find_member(data: Any) -> list[Any]:
    """The list in a batch that is an object."""
    if not isinstance(data, dict) or not isinstance(data.get("requests"), list):
        where = "#/requests" if isinstance(data, dict) and "requests" in data else "#"
        example = '{"requests": [{"url": "/api/…"}]}'
        raise BadEnvelope(f"A batch is an object with a list of sub-requests: {example}.", pointer=where)
    for name in LATER:
        if data.get(name) is not None:
            raise NotSupportedYet(f"{name!r} is not supported yet; leave it out.", pointer=f"#/{name}")
    requests: list[Any] = data["requests"]
    return requests


def read_ordering(data: Any) -> bool:
    """Whether the client accepts any order of what is not linked."""
    ordering = data.get("ordering") if isinstance(data, dict) else None
    if ordering not in (None, "serial", "relaxed"):
        raise BadEnvelope('ordering is "serial" or "relaxed".', pointer="#/ordering")
    return bool(ordering == "relaxed")


def duplicates(requests: Sequence[SubRequest], *, items: Sequence[Any], pointer: str) -> Iterable[EnvelopeError]:
    """An error for each sub-request whose id an earlier one has, or a group."""
    seen: dict[str, int] = {}
    groups = {request.group for request in requests}
    for request in requests:
        first = seen.setdefault(request.key, request.index)
        if request.key in groups:
            yield DuplicateId(
                "A group of this batch has the same name; ids and names of groups are one name space.",
                pointer=member(items[request.index], "id", f"{pointer}/{request.index}")[0],
            )
        elif first != request.index:
            yield DuplicateId(
                f"The sub-request at index {first} has the same id; without one, the index is the id.",
                pointer=member(items[request.index], "id", f"{pointer}/{request.index}")[0],
            )


def unknown_names(requests: Sequence[SubRequest], *, items: Sequence[Any], pointer: str) -> Iterable[EnvelopeError]:
    """An error for each dependency, condition or reference that names nothing in the batch."""
    ids = {request.key for request in requests}
    names = ids | {request.group for request in requests}
    for request in requests:
        here = f"{pointer}/{request.index}"
        if wrong := next((binding for binding in request.bindings if binding.reference.key not in ids), None):
            place = member(items[request.index], "url", here)[0] if wrong.target == "url" else here
            yield BadReference("A reference names the id of a sub-request in this batch.", pointer=place)
        elif request.condition and request.condition.key not in names:
            yield BadReference("if names a sub-request or a group of this batch.", pointer=f"{here}/if")
        elif not names.issuperset(request.depends_on):
            yield UnknownDependency(
                "Every entry of dependsOn is the id of a sub-request in this batch, or the name of a group.",
                pointer=member(items[request.index], "dependsOn", here)[0],
            )
