"""Fills in what a sub-request takes from earlier answers, right before it runs, and checks its URL like any other."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from typing import Any
from urllib.parse import quote, urljoin

from batchapi.batch import Binding, Reference, Route, SubRequest, SubResponse
from batchapi.exceptions import BadUrlAfterBind, EnvelopeError, UnresolvedReference
from batchapi.execute.answer import is_json_type
from batchapi.execute.pointer import NoSuchPlace, get, put
from batchapi.resolve import MAX_LENGTH

FindRoute = Callable[[SubRequest], Route]
compact = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class References:
    """Knows the answers so far, and completes the sub-requests that refer to them."""

    def __init__(self, find_route: FindRoute, *, max_bytes: int) -> None:
        self.find_route = find_route
        self.max_bytes = max_bytes  # of all values in bodies: as much as the client could have sent itself
        self.lock = Lock()
        self.filled: Counter[str] = Counter()  # bytes of the values in the body of each sub-request
        self.answers: dict[str, SubResponse] = {}
        self.documents: dict[str, Any] = {}  # JSON bodies of answers, read once
        self.lengths: dict[str, dict[Reference, int]] = {}  # of the JSON of values in answers

    def keep(self, response: SubResponse) -> None:
        """Remember an answer that others may refer to."""
        self.answers[response.request.key] = response
        self.documents.pop(response.request.key, None)
        self.lengths.pop(response.request.key, None)

    def fill_in(self, request: SubRequest) -> SubRequest:
        """The sub-request with every value in its place, and a route.

        Raises UnresolvedReference where there is no such value, BadUrlAfterBind where it does not fit into a URL, and
        what `find_route` raises where the URL leads to no view.
        """
        for binding in request.bindings:
            if binding.target == "variable":
                request = put_into_variable(request, binding, self.find(binding.reference))
            elif binding.target == "url":
                request = put_into_url(request, binding, self.find(binding.reference))
            elif binding.target == "header":
                value = self.find(binding.reference)
                request = replace(request, headers={**request.headers, binding.name: value})
        if any(binding.target == "body" for binding in request.bindings):
            request = replace(request, body=self.fill_body(request))
        if request.route is None and request.refusal is None:
            request = replace(request, route=self.route_of(request))
        return request

    def fill_body(self, request: SubRequest) -> bytes:
        """The JSON body with its values, each of the type that it has in the answer."""
        document = json.loads(request.body)
        self.make_room(request)
        try:
            for binding in request.bindings:
                if binding.target == "body":
                    put(document, binding.name, json.loads(self.write(request, binding.reference)))
            return compact(document).encode()
        except NoSuchPlace:
            raise UnresolvedReference("The body has no place for the value that is referred to.") from None
        except (ValueError, RecursionError):  # NaN, which is not JSON, or too deep
            raise UnresolvedReference("The value that is referred to cannot be written as JSON.") from None

    def write(self, request: SubRequest, reference: Reference) -> str:
        """The JSON of a value, for which there is room. One that is known to be too large is not written again."""
        lengths, text = self.lengths.setdefault(reference.key, {}), None
        if reference not in lengths:
            text = compact(self.find(reference))
            lengths[reference] = len(text)
        self.make_room(request, size=lengths[reference])
        return compact(self.find(reference)) if text is None else text

    def make_room(self, request: SubRequest, *, size: int = 0) -> None:
        """Count a value of a body, or begin to. A sub-request that runs again is counted once.

        Raises UnresolvedReference where it is one too many.
        """
        with self.lock:
            if not size:
                del self.filled[request.key]
            if self.filled.total() + len(request.body) + size > self.max_bytes:
                del self.filled[request.key]  # It will not run, so others may have that room.
                words = f"With the values, the bodies of this batch have more than {self.max_bytes} bytes."
                raise UnresolvedReference(words)
            self.filled[request.key] += size

    def route_of(self, request: SubRequest) -> Route:
        """Where the URL leads now; checked from the start, as if the client had written it."""
        try:
            route = self.find_route(request)
        except EnvelopeError as error:
            raise BadUrlAfterBind(error.detail) from error
        if route.policy.changes_identity and request.is_safe:
            raise BadUrlAfterBind("It leads to a view that changes who is asking; name that view in the URL itself.")
        if route.is_non_atomic and request.group is not None:
            raise BadUrlAfterBind("It leads to a view that wants no transaction, so it cannot be in a group.")
        return route

    def find(self, reference: Reference) -> Any:
        """The value that a reference leads to. Raises UnresolvedReference."""
        answer = self.answers[reference.key]
        if reference.source == "body":
            return self.value_in_body(answer, reference.pointer)
        if reference.source == "headers":
            return value_in_header(answer, reference.pointer)
        return location_of(answer)

    def value_in_body(self, answer: SubResponse, pointer: str) -> Any:
        """A place in a JSON body (RFC 6901)."""
        key = answer.request.key
        try:
            if key not in self.documents:
                if not is_json_type(header(answer, "content-type") or ""):
                    raise NoSuchPlace
                self.documents[key] = json.loads(answer.body)
            return get(self.documents[key], pointer)
        except (ValueError, RecursionError, NoSuchPlace):
            raise UnresolvedReference("The answer that is referred to has no such place in its body.") from None


def header(answer: SubResponse, name: str) -> str | None:
    """A header of an answer, by any spelling of its name."""
    return next((value for key, value in answer.headers if key.lower() == name.lower()), None)


def value_in_header(answer: SubResponse, name: str) -> str:
    """A header that must be there."""
    value = header(answer, name)
    if value is None:
        raise UnresolvedReference("The answer that is referred to has no such header.")
    return value


def location_of(answer: SubResponse) -> str:
    """The URL that `$id` stands for: the Location of an answer (RFC 9110, section 10.2.2), or of what was no POST."""
    asked = answer.request
    location = header(answer, "location")
    if location is not None:
        base = (asked.route and asked.route.location) or asked.url
        return urljoin(base, location)
    if asked.method == "POST":
        raise UnresolvedReference("The answer that is referred to has no Location.")
    return asked.url


def put_into_url(request: SubRequest, binding: Binding, value: str) -> SubRequest:
    """`$new/messages/` under the URL that `$new` stands for."""
    rest = request.url.removeprefix(binding.name)
    base = value.partition("?")[0] if rest else value
    return replace(request, url=base.rstrip("/") + rest if rest.startswith("/") else base + rest)


def put_into_variable(request: SubRequest, binding: Binding, value: Any) -> SubRequest:
    """A URL variable: percent-encoded, so that it stays one segment or one query value."""
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        raise UnresolvedReference(f"{binding.name} needs a string or a number, and there is none in that place.")
    try:
        text = quote(str(value), safe="")
    except ValueError:  # half a character, or more digits than Python writes
        raise UnresolvedReference(f"{binding.name} cannot be written in a URL.") from None
    url = next((b.name for b in request.bindings if b.target == "url"), "")
    rest = request.url.removeprefix(url)  # An id may look like a variable.
    if not text and binding.name in rest.partition("?")[0]:
        raise BadUrlAfterBind(f"{binding.name} stands for a part of the path, and its value is empty.")
    if len(request.url) + rest.count(binding.name) * len(text) > MAX_LENGTH:  # before it is made: it may be gigabytes
        raise BadUrlAfterBind(f"With the values filled in, the URL has more than {MAX_LENGTH} characters.")
    return replace(request, url=url + rest.replace(binding.name, text))
