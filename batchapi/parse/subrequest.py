"""One sub-request: a decoded JSON object in, a frozen SubRequest with its route out."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from batchapi.batch import METHODS, SAFE_METHODS, Binding, Condition, Priority, Route, SubRequest
from batchapi.conf import Limits
from batchapi.exceptions import BadEnvelope, BadId, BadMethod, BadUrl, EnvelopeError, SubRequestError
from batchapi.parent import Parent
from batchapi.parse.body import fillable, parse_body
from batchapi.parse.headers import parse_headers
from batchapi.parse.key import read_key
from batchapi.parse.references import check_template, parse_bindings, parse_condition
from batchapi.policy import PRIORITIES
from batchapi.route import find_route

ALIASES = {  # What other clients call the same member; the first name present is taken.
    "url": ("url", "path", "relative_url", "uri"),
    "id": ("id", "requestId", "referenceId"),
    "dependsOn": ("dependsOn", "depends_on", "waitFor"),
}
MAX_ID = 256
NAME_WORDS = f"An id is a string of 1 to {MAX_ID} printable characters"
MAX_INTEGER_ID = 2**53  # The integers that every JSON reader keeps exact (RFC 8259, section 6).
MAX_TIMEOUT = 86_400  # Seconds; a client can only lower the server's own limit.
URGENCY = re.compile(r"(?:^|,)\s*u=([0-7])\s*(?:[;,]|$)")  # RFC 9218, section 4.1
BY_URGENCY = (0, 0, 1, 2, 3, 3, 4, 4)  # u=0 and 1 are critical, 2 high, 3 normal, 4 and 5 low


def parse_subrequest(item: Any, *, index: int, pointer: str, parent: Parent, limits: Limits) -> SubRequest:
    """Check one sub-request and find its view.

    Raises EnvelopeError, with a pointer to the member that is wrong.
    """
    here = f"{pointer}/{index}"
    if not isinstance(item, dict):
        raise BadEnvelope('A sub-request is an object such as {"method": "GET", "url": "/api/…"}.', pointer=here)
    request_id = read_id(item, index, here)
    headers = parse_headers(item.get("headers"), here=f"{here}/headers", parent=parent, limits=limits)
    url = read_url(item, here)
    bindings = parse_bindings(item, url=url, headers=headers, here=here, limits=limits)
    body, content_type = parse_body(
        fillable(item.get("body"), bindings, content_type=headers.get("CONTENT_TYPE"), here=f"{here}/bind"),
        content_type=headers.get("CONTENT_TYPE"),
        here=f"{here}/body",
    )
    if content_type:
        headers["CONTENT_TYPE"] = content_type
    condition = parse_condition(item.get("if"), here=f"{here}/if")
    method, place = read_method(item, here), member(item, "url", here)[0]
    route, refusal = locate(url, method=method, headers=headers, bindings=bindings, parent=parent, here=place)
    request = SubRequest(
        index=index,
        id=request_id,
        key=str(request_id),
        correlation_id=f"{parent.correlation_id}/{quote(str(request_id), safe='')}",
        method=method,
        url=url,
        headers=headers,
        body=body,
        depends_on=merge(read_dependencies(item, here), condition, bindings),
        priority=read_priority(item, headers, here),
        timeout=read_timeout(item, here),
        group=read_group(item, here),
        condition=condition,
        bindings=bindings,
        idempotency_key=read_own_key(headers, method=method, here=f"{here}/headers"),
        route=route,
        refusal=refusal,
    )
    check_group(request, here=f"{here}/atomicityGroup")
    return request


def locate(
    url: str, *, method: str, headers: Mapping[str, str], bindings: Iterable[Binding], parent: Parent, here: str
) -> tuple[Route | None, SubRequestError | None]:
    """The route of a sub-request or the reason why it has none; neither while its URL must be filled in."""
    if any(binding.target in ("url", "variable") for binding in bindings):
        check_template(url, here=here)
        return None, None
    try:
        return find_route(url, method=method, headers=headers, parent=parent), None
    except EnvelopeError as error:
        error.pointer = here
        raise
    except SubRequestError as refusal:
        return None, refusal


def read_own_key(headers: Mapping[str, str], *, method: str, here: str) -> str | None:
    """The Idempotency-Key of an unsafe sub-request; what only reads needs none, and its view may do as it likes."""
    value = headers.get("HTTP_IDEMPOTENCY_KEY")
    return None if value is None or method in SAFE_METHODS else read_key(value, pointer=here)


def merge(written: Iterable[str], condition: Condition | None, bindings: Iterable[Binding]) -> tuple[str, ...]:
    """All that a sub-request waits for: what it says, the one whose outcome it asks for, those it takes values from."""
    implied = [condition.key] if condition else []
    return tuple(dict.fromkeys([*written, *implied, *(binding.reference.key for binding in bindings)]))


def member(item: Mapping[str, Any], name: str, here: str) -> tuple[str, Any]:
    """A pointer to a member under the first of its names that is there, and its value.

    Without the member: a pointer to the sub-request itself, and None.
    """
    there = ((f"{here}/{alias}", item[alias]) for alias in ALIASES[name] if item.get(alias) is not None)
    return next(there, (here, None))


def read_id(item: Mapping[str, Any], index: int, here: str) -> str | int:
    """The id, verbatim; the index as a string if there is none."""
    place, value = member(item, "id", here)
    if value is None:
        return str(index)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < MAX_INTEGER_ID:
        return value
    if is_name(value):
        return str(value)
    raise BadId(f"{NAME_WORDS}, or an integer of at most 53 bits.", pointer=place)


def read_method(item: Mapping[str, Any], here: str) -> str:
    """The method in upper case, GET by default."""
    value = item.get("method")
    if value is None:
        return "GET"
    # isascii: "\u017f".upper() is "S", and whoever filters in front of us has not read PO\u017fT as POST.
    if not isinstance(value, str) or not value.isascii() or value.upper() not in METHODS:
        raise BadMethod(f"A method is one of {', '.join(sorted(METHODS))}.", pointer=f"{here}/method")
    return value.upper()


def read_url(item: Mapping[str, Any], here: str) -> str:
    """The URL as the client wrote it."""
    place, value = member(item, "url", here)
    if not isinstance(value, str) or not value:
        raise BadUrl('A sub-request needs a url, such as "/api/users/me/".', pointer=place)
    return value


def read_group(item: Mapping[str, Any], here: str) -> str | None:
    """The name of the atomic group; names of groups and ids are one name space."""
    value = item.get("atomicityGroup")
    if value is None or is_name(value):
        return value
    raise BadId(f"{NAME_WORDS}, and so is the name of a group.", pointer=f"{here}/atomicityGroup")


def check_group(request: SubRequest, *, here: str) -> None:
    """Refuse a group that cannot keep its word: a view that wants no transaction would write whatever comes."""
    if request.group is not None and request.route and request.route.is_non_atomic:
        raise BadEnvelope("The view behind this URL wants no transaction, so it cannot be in a group.", pointer=here)


def is_name(value: object) -> bool:
    """Whether a value can name a sub-request or a group."""
    return isinstance(value, str) and 1 <= len(value) <= MAX_ID and value.isprintable()


def read_dependencies(item: Mapping[str, Any], here: str) -> tuple[str, ...]:
    """The ids that must succeed first, as strings."""
    place, value = member(item, "dependsOn", here)
    values = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(entry, (str, int)) and not isinstance(entry, bool) for entry in values):
        raise BadEnvelope("dependsOn is an id or a list of ids.", pointer=place)
    return tuple(dict.fromkeys(map(str, values)))


def read_priority(item: Mapping[str, Any], headers: Mapping[str, str], here: str) -> Priority | None:
    """What the client asks for: the member, else the urgency of its Priority header (RFC 9218)."""
    value = item.get("priority")
    if value is None:
        urgency = URGENCY.search(headers.get("HTTP_PRIORITY", ""))
        return Priority(BY_URGENCY[int(urgency[1])]) if urgency else None
    if value not in PRIORITIES:
        raise BadEnvelope(f"priority is one of {', '.join(PRIORITIES)}.", pointer=f"{here}/priority")
    return Priority[value.upper()]


def read_timeout(item: Mapping[str, Any], here: str) -> float | None:
    """Seconds that the client gives one attempt."""
    value = item.get("timeout")
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
        return float(min(value, MAX_TIMEOUT))  # An integer may be too large for a float.
    raise BadEnvelope("timeout is a number of seconds above 0, such as 2.5.", pointer=f"{here}/timeout")
