"""One sub-request: a decoded JSON object in, a frozen SubRequest with its route out."""

import logging
import re
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest
from django.middleware.locale import LocaleMiddleware
from django.utils.translation import get_language, override

from batchapi.batch import METHODS, Priority, Route, SubRequest
from batchapi.conf import Limits
from batchapi.exceptions import (
    BadEnvelope,
    BadId,
    BadMethod,
    BadUrl,
    Crashed,
    EnvelopeError,
    NotSupportedYet,
    SubRequestError,
)
from batchapi.middleware import installed
from batchapi.parent import Parent
from batchapi.parse.body import parse_body
from batchapi.parse.headers import parse_headers
from batchapi.policy import PRIORITIES
from batchapi.resolve import resolve

logger = logging.getLogger("django.request")
ALIASES = {  # What other clients call the same member; the first name present is taken.
    "url": ("url", "path", "relative_url", "uri"),
    "id": ("id", "requestId", "referenceId"),
    "dependsOn": ("dependsOn", "depends_on", "waitFor"),
}
LATER = ("bind", "atomicityGroup", "if", "timeout")  # Members of the format that are not built yet.
MAX_ID = 256
MAX_INTEGER_ID = 2**53  # The integers that every JSON reader keeps exact (RFC 8259, section 6).
URGENCY = re.compile(r"(?:^|,)\s*u=([0-7])\s*(?:[;,]|$)")  # RFC 9218, section 4.1
BY_URGENCY = (0, 0, 1, 2, 3, 3, 4, 4)  # u=0 and 1 are critical, 2 high, 3 normal, 4 and 5 low


def parse_subrequest(item: Any, *, index: int, pointer: str, parent: Parent, limits: Limits) -> SubRequest:
    """Check one sub-request and find its view.

    Raises EnvelopeError, with a pointer to the member that is wrong.
    """
    here = f"{pointer}/{index}"
    if not isinstance(item, dict):
        raise BadEnvelope('A sub-request is an object such as {"method": "GET", "url": "/api/…"}.', pointer=here)
    refuse_later(item, here)
    request_id = read_id(item, index, here)
    headers = parse_headers(item.get("headers"), here=f"{here}/headers", parent=parent, limits=limits)
    body, content_type = parse_body(item.get("body"), content_type=headers.get("CONTENT_TYPE"), here=f"{here}/body")
    if content_type:
        headers["CONTENT_TYPE"] = content_type
    method, url = read_method(item, here), read_url(item, here)
    correlation_id = f"{parent.correlation_id}/{quote(str(request_id), safe='')}"
    place = member(item, "url", here)[0]
    found = find_route(url, method=method, headers=headers, parent=parent, correlation_id=correlation_id, here=place)
    return SubRequest(
        index=index,
        id=request_id,
        key=str(request_id),
        correlation_id=correlation_id,
        method=method,
        url=url,
        headers=headers,
        body=body,
        depends_on=read_dependencies(item, here),
        priority=read_priority(item, headers, here),
        route=found if isinstance(found, Route) else None,
        refusal=None if isinstance(found, Route) else found,
    )


def find_route(
    url: str, *, method: str, headers: Mapping[str, str], parent: Parent, correlation_id: str, here: str
) -> Route | SubRequestError:
    """Where the URL leads, seen from the parent, or the reason why it leads nowhere."""
    try:
        return resolve(
            url,
            method=method,
            origin=parent.origin,
            script_name=parent.script_name,
            service_root=parent.service_root,
            urlconf=parent.urlconf,
            language=partial(choose_language, headers=headers, parent=parent),
        )
    except EnvelopeError as error:
        error.pointer = here
        raise
    except SubRequestError as refusal:
        return refusal
    except Exception:  # A path converter of the project. Alone, Django answers 500, and the others are not harmed.
        logger.exception("A URL pattern raised an exception for sub-request %s.", correlation_id)
        crash = Crashed("The URL pattern raised an exception.")
        crash.executed = False
        return crash


def choose_language(path_info: str, *, headers: Mapping[str, str], parent: Parent) -> str | None:
    """The language that LocaleMiddleware would choose for a path and headers; None where it is not installed."""
    locale = installed(LocaleMiddleware)
    if locale is None:
        return None
    request = HttpRequest()
    vars(request).update(parent.attributes)  # A project's own kind of it may ask for the user or the session.
    request.path = request.path_info = path_info
    request.META, request.COOKIES = {**parent.environ, **headers}, dict(parent.cookies)
    with override(get_language()):  # what the hook activates goes no further
        locale.process_request(request)
        return get_language()


def refuse_later(item: Mapping[str, Any], here: str) -> None:
    """Never ignore a member that will mean something one day."""
    for name in LATER:
        if item.get(name) is not None:
            raise NotSupportedYet(f"{name!r} is not supported yet; leave it out.", pointer=f"{here}/{name}")


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
    if isinstance(value, str) and 1 <= len(value) <= MAX_ID and value.isprintable():
        return value
    raise BadId(
        f"An id is a string of 1 to {MAX_ID} printable characters, or an integer of at most 53 bits.", pointer=place
    )


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
    if value.startswith("$"):
        raise NotSupportedYet("References in a url are not supported yet.", pointer=place)
    return value


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
