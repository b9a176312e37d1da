"""What may be kept, for how long, and for whom: the rules of HTTP caching (RFC 9111) as a batch needs them.

A kept answer belongs to whoever asked: everything that a view can see of a request is part of what it is found by. So
`Vary` is met by construction, but for the names that are no part of it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

DIRECTIVE = re.compile(r'([!#$%&\'*+.^`|~0-9A-Za-z-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",;\s]*)))?')
FORBIDDING = frozenset({"no-store", "no-cache", "private"})  # in an answer
ORIGIN_ONLY = ("HTTP_IF_MATCH", "HTTP_IF_UNMODIFIED_SINCE", "HTTP_IF_RANGE", "HTTP_RANGE")  # only the view can judge
CONDITIONS = frozenset({"HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE"})  # that an answer which is kept can judge
NONE: Mapping[str, str] = {}
CONTROLS = frozenset({"HTTP_CACHE_CONTROL", "HTTP_PRAGMA"})


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client says of kept answers (RFC 9111, section 5.2.1)."""

    may_read: bool = True  # one that is kept will do
    may_keep: bool = True
    max_age: float = float("inf")  # seconds
    min_fresh: float = 0.0  # seconds for which it must stay fresh

    def accepts(self, *, age: float, ttl: float) -> bool:
        """Whether an answer of this age will do, that is fresh for `ttl` seconds in all."""
        return self.may_read and age <= self.max_age and age + self.min_fresh <= ttl


def read_wish(headers: Mapping[str, str], inherited: Mapping[str, str] = NONE) -> Wish:
    """The wish that the headers of a request express, by CGI names; where they say nothing, those that it inherits.

    `Pragma` counts only where there is no Cache-Control.
    """
    given, pragma = (headers.get(name, inherited.get(name)) for name in ("HTTP_CACHE_CONTROL", "HTTP_PRAGMA"))
    if given is None:
        return Wish(may_read="no-cache" not in (pragma or "").lower())
    said = read_directives(given)
    return Wish(
        may_read=not said.keys() & {"no-cache", "no-store"},
        may_keep="no-store" not in said,
        max_age=seconds(said.get("max-age"), float("inf")),
        min_fresh=seconds(said.get("min-fresh"), 0.0),
    )


def read_directives(value: str) -> dict[str, str]:
    """`max-age=60, private="set-cookie"` as a dict; names in lower case. The first of a name counts."""
    found: dict[str, str] = {}
    for name, quoted, plain in DIRECTIVE.findall(value):
        found.setdefault(name.lower(), quoted or plain)
    return found


def seconds(value: str | None, default: float) -> float:
    """Delta-seconds (RFC 9111, section 1.2.2); what makes no sense counts as stale."""
    if value is None:
        return default
    return float(value) if re.fullmatch(r"[0-9]{1,18}", value) else 0.0


@dataclass(frozen=True, slots=True)
class Terms:
    """How an answer may be kept."""

    ttl: float  # seconds for which it is fresh, from now on
    stale: float  # seconds after that for which it may stand in for a view that fails


def read_terms(
    headers: Iterable[tuple[str, str]], *, ttl: float, stale: float, is_seen: Callable[[str], bool]
) -> Terms | str:
    """The terms that an answer with status 200 sets, within what server and view allow; or the word for why not.

    `is_seen` tells whether a header, by its lower-case name, is part of what the answer is found by.
    """
    found: dict[str, str] = {}
    for name, value in headers:
        found[name.lower()] = f"{found[name.lower()]}, {value}" if name.lower() in found else value
    said = read_directives(found.get("cache-control", ""))
    if said.keys() & FORBIDDING:
        return "cache-control"
    if "set-cookie" in found:
        return "set-cookie"
    if not all(map(is_seen, names_in(found.get("vary", "")))):
        return "vary"
    left = min(ttl, lifetime(found, said)) - seconds(found.get("age"), 0.0)
    if left <= 0:
        return "expired"
    if said.keys() & {"must-revalidate", "proxy-revalidate"}:
        stale = 0.0
    return Terms(ttl=left, stale=min(stale, seconds(said.get("stale-if-error"), float("inf"))))


def names_in(vary: str) -> set[str]:
    """The header names that an answer varies by (RFC 9110, section 12.5.5); lower-case. Nobody has seen "*"."""
    return {name.strip().lower() for name in vary.split(",")} - {""}


def lifetime(headers: Mapping[str, str], said: Mapping[str, str]) -> float:
    """The seconds that an answer says it is fresh (RFC 9111, section 4.2.1); infinite if it says nothing."""
    for directive in ("s-maxage", "max-age"):
        if directive in said:
            return seconds(said[directive], 0.0)
    if "expires" not in headers:
        return float("inf")
    try:
        end, begin = (parsedate_to_datetime(headers[name]) for name in ("expires", "date"))
        return max((end - begin).total_seconds(), 0.0)
    except (KeyError, TypeError, ValueError, OverflowError):
        return 0.0  # An Expires that cannot be read, or with nothing to hold it against, is past.
