"""The nouns of a batch, frozen: what the rooms hand to each other. Imports no Django."""

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum
from http.cookies import Morsel
from typing import Any, Literal, Protocol

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
    is_non_atomic: bool = False  # the view says that it must not run in a transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A place in an earlier answer."""

    key: str  # of the sub-request that was answered
    source: Literal["body", "headers", "url"]  # "url" is its Location, or what it was asked for
    pointer: str = ""  # in the JSON body (RFC 6901), or the name of a header


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A place in a sub-request, and where its value comes from."""

    target: Literal["variable", "body", "url", "header"]
    name: str  # "{sid}", a JSON pointer (RFC 6901), the first segment of the URL, a CGI name
    reference: Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class SubRequest:
    """One request inside a batch, fully checked.

    Has a route, or the reason why it has none, or bindings that must be filled in first.
    """

    index: int
    id: str | int  # as the client wrote it
    key: str  # the id as a string; what dependencies name
    correlation_id: str
    method: str
    url: str  # as the client wrote it, until its references are filled in
    headers: Mapping[str, str]  # CGI names (HTTP_ACCEPT, CONTENT_TYPE), allow-listed
    body: bytes
    depends_on: tuple[str, ...]  # keys of sub-requests, or names of groups
    priority: Priority | None  # what the client asked for
    timeout: float | None = None  # seconds that the client gives one attempt
    group: str | None = None  # the atomic group that it is a member of
    condition: "Condition | None" = None  # the outcome of another that lets it run
    bindings: tuple["Binding", ...] = ()  # what earlier answers fill in before it runs
    idempotency_key: str | None = None  # its own, if it is unsafe
    route: Route | None = None
    refusal: SubRequestError | None = None

    @property
    def is_safe(self) -> bool:
        """Whether the method only reads (RFC 9110, section 9.2.1)."""
        return self.method in SAFE_METHODS

    @property
    def changes_identity(self) -> bool:
        """Whether somebody else may be asking afterwards; for a write whose view is not known yet, it may."""
        is_unknown = self.route is None and self.refusal is None
        return bool(self.policy.changes_identity) or (is_unknown and not self.is_safe)

    @property
    def policy(self) -> Policy:
        """What the view says of itself; the default policy where no view was found."""
        return self.route.policy if self.route else Policy()

    @property
    def route_name(self) -> str:
        """The view's name with its namespaces, or its URL pattern; never a raw URL, "" where no view was found."""
        return (self.route.match.view_name or self.route.match.route) if self.route else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`"if": "not $x/$succeeded"`: runs by the outcome of another, which need only be final."""

    key: str  # of a sub-request, or the name of a group
    succeeded: bool  # the outcome that lets it run


@dataclass(frozen=True, slots=True, kw_only=True)
class SubResponse:
    """The answer to one sub-request."""

    request: SubRequest
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    is_json: bool = False  # the body is one JSON value on one line, made here: may be spliced in unread
    cookies: tuple["Morsel[str]", ...] = ()
    is_skipped: bool = False  # its condition did not hold, so it was not to run
    is_streamed: bool = False  # it was read from a stream, which may have no end
    fault: Literal["", "conflict", "transient"] = ""  # it crashed for a reason that may be gone the next time
    is_own: bool = False  # made here, and not by the view

    @property
    def is_failure(self) -> bool:
        """Whether it rolls its group back. A condition that does not hold was foreseen."""
        return not (self.is_success or self.is_skipped)

    @property
    def is_success(self) -> bool:
        """Whether dependants may run: 2xx or 304."""
        return 200 <= self.status < 300 or self.status == 304


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one client sent, checked."""

    requests: tuple[SubRequest, ...]
    is_relaxed: bool = False  # the client accepts any order of what is not linked
    pointer: str = "#/requests"  # where the list stood in what the client sent (RFC 6901)
    idempotency_key: str | None = None  # of all unsafe sub-requests that have none of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What the plan moves as one: a sub-request, or an atomic group with its members in listed order."""

    key: str  # of the sub-request, or the name of the group
    members: tuple[SubRequest, ...]
    depends_on: frozenset[str]  # keys of nodes
    is_group: bool

    @property
    def index(self) -> int:
        """Where its first member stood in the list."""
        return self.members[0].index

    @property
    def is_safe(self) -> bool:
        """Whether it only reads. A group is a transaction, so it never counts as safe."""
        return not self.is_group and self.members[0].is_safe

    @property
    def changes_identity(self) -> bool:
        """Whether somebody else may be asking afterwards."""
        return any(member.changes_identity for member in self.members)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The nodes in effective order, cut into waves.

    A wave ends before the next one begins. The nodes of one wave may run together, each after those it depends on.
    """

    waves: tuple[tuple[Node, ...], ...]
    is_relaxed: bool = False  # the client accepts any order of what is not linked

    @property
    def order(self) -> tuple[SubRequest, ...]:
        """Every sub-request in effective order."""
        return tuple(member for wave in self.waves for node in wave for member in node.members)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityRule:
    """One line of PRIORITY_RULES: sub-requests that match get this priority."""

    method: str  # "*" for any
    pattern: str  # a route name, or a path that starts with "/" and may hold "*"
    priority: Priority


Handler = Callable[[SubRequest], SubResponse]
AsyncHandler = Callable[[SubRequest], Awaitable[SubResponse]]
running: ContextVar[SubRequest | None] = ContextVar("batchapi_running", default=None)  # The one this code runs for.
