"""The nouns of a batch, frozen: what the rooms hand to each other. Imports no Django."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum
from http.cookies import Morsel
from typing import Any, Protocol

from batchapi.exceptions import SubRequestError
from batchapi.policy import Policy

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, section 9.2.1; TRACE is not offered.
METHODS = SAFE_METHODS | {"POST", "PUT", "PATCH", "DELETE"}


class Priority(IntEnum):
    """Who goes first. A smaller number is more urgent, as in RFC 9218."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3
    BACKGROUND = 4


class Match(Protocol):
    """What Django's ResolverMatch tells about a resolved URL."""

    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    view_name: str
    route: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a URL leads: the view that Django's resolver found for it, and what that view says of itself."""

    path: str  # PATH_INFO as a WSGI server hands it over: percent-decoded bytes, read as latin-1
    path_info: str  # the same as Django reads it; what the resolver saw
    query: str  # the raw query string, without its "?"
    language: str | None  # the language that the resolver looked in, None where the project has but one
    urlconf: str | None  # the URL configuration that it looked in, None for the project's
    match: Match
    policy: Policy
    location: str | None  # the URL that was resolved in the end, if it is not the one that the client wrote


@dataclass(frozen=True, slots=True, kw_only=True)
class SubRequest:
    """One request inside a batch, fully checked. Has either a route or the reason why it has none."""

    index: int
    id: str | int  # as the client wrote it
    key: str  # the id as a string; what dependencies name
    correlation_id: str
    method: str
    url: str  # as the client wrote it
    headers: Mapping[str, str]  # CGI names (HTTP_ACCEPT, CONTENT_TYPE), allow-listed
    body: bytes
    depends_on: tuple[str, ...]
    priority: Priority | None  # what the client asked for
    route: Route | None
    refusal: SubRequestError | None

    @property
    def is_safe(self) -> bool:
        """Whether the method only reads (RFC 9110, section 9.2.1)."""
        return self.method in SAFE_METHODS

    @property
    def policy(self) -> Policy:
        """What the view says of itself; the default policy where no view was found."""
        return self.route.policy if self.route else Policy()

    @property
    def route_name(self) -> str:
        """The view's name with its namespaces, or its URL pattern; never a raw URL, "" where no view was found."""
        return (self.route.match.view_name or self.route.match.route) if self.route else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubResponse:
    """The answer to one sub-request."""

    request: SubRequest
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    is_json: bool = False  # the body is one JSON value on one line, made here: may be spliced in unread
    cookies: tuple["Morsel[str]", ...] = ()

    @property
    def is_success(self) -> bool:
        """Whether dependants may run: 2xx or 304."""
        return 200 <= self.status < 300 or self.status == 304


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one client sent, checked."""

    requests: tuple[SubRequest, ...]
    pointer: str = "#/requests"  # where the list stood in what the client sent (RFC 6901)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The sub-requests in effective order."""

    order: tuple[SubRequest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityRule:
    """One line of PRIORITY_RULES: sub-requests that match get this priority."""

    method: str  # "*" for any
    pattern: str  # a route name, or a path that starts with "/" and may hold "*"
    priority: Priority


Handler = Callable[[SubRequest], SubResponse]
running: ContextVar[SubRequest | None] = ContextVar("batchapi_running", default=None)  # The one this code runs for.
