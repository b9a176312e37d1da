"""Every setting once: name, type, default and meaning on one line. Projects set them in `BATCHAPI = {…}`."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, TypeGuard, get_type_hints

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from batchapi.batch import METHODS, Priority, PriorityRule

KiB, MiB = 1024, 1024 * 1024
NEVER_ALLOWED = re.compile(  # Headers that say who is asking or where the message ends are the parent's alone.
    r"authorization|cookie|host|origin|referer|x-csrf-?token|forwarded|x-forwarded-.*|x-real-ip|remote-.*|via|"
    r"content-length|content-encoding|transfer-encoding|te|trailer|connection|upgrade|expect|x-(http-)?method.*",
    re.IGNORECASE,
)
MAX_NUMBER = 1e9
RATE = re.compile(r"(\d{1,12})/(s|sec|second|m|min|minute|h|hour|d|day)", re.ASCII)
TOKEN = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2, without "_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a batch may cost."""

    MAX_BATCH_SIZE: int = 100  # Sub-requests in one batch.
    MAX_REQUEST_BYTES: int = 5 * MiB  # Bytes of one batch as it comes in, before any decoding.
    MAX_RESPONSE_BYTES: int = 25 * MiB  # Bytes of all bodies in one answer, unpacked where a view compressed them.
    MAX_STREAM_BYTES: int = 5 * MiB  # Bytes that are read of one streaming answer.
    MAX_DEPTH: int = 64  # Levels of arrays and objects in the JSON of a batch.
    MAX_HEADERS: int = 32  # Headers of one sub-request.
    MAX_HEADER_BYTES: int = 8 * KiB  # Bytes of the headers of one sub-request, names and values.
    MAX_REFERENCES: int = 100  # Values that the sub-requests of one batch take from each other.
    MAX_CONCURRENT_BATCHES: int = 8  # Batches of one caller that run at the same time, in one process.
    BATCH_RATE: str | None = None  # Sub-requests of one caller in a span of time, "1000/min"; None for no limit.
    ALLOWED_HEADERS: tuple[str, ...] = ()  # Header names that may reach a view, added to the built-in list.


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordering:
    """Who goes first."""

    ENABLE_PRIORITIZATION: bool = True  # False keeps the order of the list.
    PRIORITY_RULES: tuple[tuple[str, str], ...] = ()  # ("METHOD route-name-or-/path/pattern", "priority"); * is any.


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes:
    """How much runs at the same time, and for how long."""

    MAX_CONCURRENT_REQUESTS: int = 20  # Lanes of one batch: sub-requests that run at the same time.
    MAX_LANES: int = 64  # Lanes of all batches in this process; the first one of a batch always opens.
    MAX_ABANDONED_LANES: int = 8  # Threads of this process that overran their time and may not have come back.
    MAX_ABANDONED_PER_CALLER: int = 2  # The same, for the batches of one caller.
    TIMEOUT: float | None = 10.0  # Seconds one attempt may take; None waits for ever.
    DEADLINE: float | None = 25.0  # Seconds one batch may take; None waits for ever.
    ENABLE_DEDUPLICATION: bool = True  # Equal sub-requests of one wave run once; the others get copies of the answer.
    FINGERPRINT_IGNORES: tuple[str, ...] = ()  # Header names that no view looks at, added to the built-in list.


@dataclass(frozen=True, slots=True, kw_only=True)
class Caching:
    """What is kept from one batch to the next, and for how long."""

    ENABLE_CACHING: bool = True  # Answers of GETs are kept until the tables that they were read from are written.
    CACHE_ALIAS: str = "default"  # The cache (of CACHES) that answers are kept in: Redis, or LocMem on SQLite files.
    CACHE_TTL: int = 120  # Seconds that an answer is fresh at most.
    CACHE_SIZE: int = 2000  # Answers that LocMem keeps in each process; Redis has its own `maxmemory`.
    CACHE_MAX_BODY: int = 256 * KiB  # Bytes of the largest body that is kept.
    STALE_IF_ERROR: int = 600  # Seconds after that for which an answer may stand in for a view that fails; 0 for none.


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """What happens where a view, its database or the client's connection fails."""

    RETRY_ATTEMPTS: int = (
        3  # Times that a read, or a keyed write, is tried in all after faults that pass; 1 never retries.
    )
    RETRY_WAIT: float = 0.1  # Seconds before the second attempt at most; doubled for each one after that.
    RETRY_BUDGET: float = 0.2  # Retries in this process, as a share of what it was asked in the last seconds.
    RETRY_STATUSES: tuple[int, ...] = (502, 503, 504)  # Statuses of a view's answer after which it is tried again.
    CIRCUIT_THRESHOLD: float | None = 0.5  # Share of a view's calls that fail before it is not called; None calls on.
    CIRCUIT_WINDOW: int = 30  # Seconds that these calls are counted for.
    CIRCUIT_MIN_CALLS: int = 20  # Calls in that window before their share counts.
    CIRCUIT_RESET: int = 10  # Seconds that such a view is left alone, before a few calls probe it.
    CIRCUIT_PROBES: int = 3  # Calls that probe it at the same time at most, and that must succeed before all go on.
    IDEMPOTENCY_TTL: int = 86_400  # Seconds that the answers to sub-requests with an Idempotency-Key can be had again.


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """What runs around each view."""

    SUBREQUEST_MIDDLEWARE: tuple[str, ...] = ()  # Middleware that runs around every sub-request, outermost first.
    ATOMIC_GROUP_ALIAS: str = "default"  # The database that atomic groups write to.
    KNOWN_MIDDLEWARE: tuple[str, ...] = ()  # Middleware that sub-requests may do without; silences batchapi.W003.


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a project, grouped by the room that takes them."""

    limits: Limits = field(default_factory=Limits)
    ordering: Ordering = field(default_factory=Ordering)
    lanes: Lanes = field(default_factory=Lanes)
    caching: Caching = field(default_factory=Caching)
    failures: Failures = field(default_factory=Failures)
    layers: Layers = field(default_factory=Layers)

    @property
    def rules(self) -> tuple[PriorityRule, ...] | None:
        """PRIORITY_RULES, read; None where prioritization is off."""
        if not self.ordering.ENABLE_PRIORITIZATION:
            return None
        return tuple(read_rule(rule) for rule in self.ordering.PRIORITY_RULES)


GROUPS: dict[str, Any] = {
    "limits": Limits,
    "ordering": Ordering,
    "lanes": Lanes,
    "caching": Caching,
    "failures": Failures,
    "layers": Layers,
}
TYPES: dict[str, Any] = {name: kind for group in GROUPS.values() for name, kind in get_type_hints(group).items()}


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The project's settings as they stand now.

    Raises ImproperlyConfigured with all that `manage.py check` would say of them.
    """
    given = getattr(django_settings, "BATCHAPI", {})
    if problems := [words for _, words in find_problems(given)]:
        raise ImproperlyConfigured(" ".join(problems))
    groups = {
        name: group(**{f.name: freeze(given[f.name]) for f in fields(group) if f.name in given})
        for name, group in GROUPS.items()
    }
    return Settings(**groups)


def forget_settings(*, setting: str, **_kwargs: object) -> None:
    """Read the settings again when a test overrides them."""
    if setting == "BATCHAPI":
        get_settings.cache_clear()


setting_changed.connect(forget_settings)


def find_problems(given: object) -> list[tuple[str, str]]:
    """What is wrong with a BATCHAPI dict: pairs of check id and sentence, empty if all is well."""
    if not isinstance(given, dict):
        return [("batchapi.E002", f"BATCHAPI must be a dict, not {type(given).__name__}.")]
    unknown = [
        ("batchapi.E001", f"BATCHAPI has no setting {name!r}; the names are in docs/settings.md.")
        for name in given
        if name not in TYPES
    ]
    wrong = [
        ("batchapi.E002", f"BATCHAPI[{name!r}] must be {wanted}, not {value!r}.")
        for name, value in given.items()
        if name in TYPES and (wanted := unmet(name, value))
    ]
    return unknown + wrong


def unmet(name: str, value: object) -> str | None:
    """What a setting's value should have been, or None if it is that."""
    if name == "PRIORITY_RULES":
        return unmet_rules(value)
    if TYPES[name] == tuple[str, ...]:
        return unmet_strings(name, value)
    is_met, wanted = WANTED.get(name) or WANTED[TYPES[name]]
    return None if is_met(value) else wanted


def unmet_strings(name: str, value: object) -> str | None:
    """What a tuple of strings should have been, or None."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        return "a tuple of strings"
    if name == "ALLOWED_HEADERS" and not all(map(is_allowable, value)):
        return "names of headers that say nothing about who is asking or where a message ends"
    return None


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is an integer, and not True or False."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_count(value: object) -> bool:
    """Whether a value is a whole number of something."""
    return is_whole(value) and value > 0


def is_number(value: object, *, up_to: float = MAX_NUMBER) -> bool:
    """Whether a value is a number above 0."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= up_to


def is_seconds(value: object) -> bool:
    """Whether a value is a span of time that something can be bounded by."""
    return is_number(value)


def are_statuses(value: object) -> bool:
    """Whether a value is a list of HTTP statuses that may be gone when one asks again; 429 asks not to."""
    return isinstance(value, (list, tuple)) and all(
        is_whole(item) and 400 <= item < 600 and item != 429 for item in value
    )


def is_allowable(header: str) -> bool:
    """Whether a project may let a header of a sub-request through to its view."""
    return bool(TOKEN.fullmatch(header)) and not NEVER_ALLOWED.fullmatch(header)


def unmet_rules(value: object) -> str | None:
    """What PRIORITY_RULES should have been, or None."""
    try:
        for rule in value:  # type: ignore[attr-defined]  # What it is not, it raises.
            read_rule(rule)
    except (TypeError, ValueError, KeyError, AttributeError):
        return 'a tuple of pairs such as ("POST session-list", "critical") or ("* /api/stats/*", "background")'
    return None


def read_rate(value: object) -> tuple[int, str] | None:
    """A rate such as "1000/min" as DRF's throttles write it: how many, and the first letter of the span; or None."""
    parts = RATE.fullmatch(value) if isinstance(value, str) else None
    return (int(parts[1]), parts[2][0]) if parts and int(parts[1]) else None


def read_rule(rule: tuple[str, str]) -> PriorityRule:
    """One line of PRIORITY_RULES. Raises ValueError or KeyError if it makes no sense."""
    match, priority = rule
    method, pattern = match.split()
    if method != "*" and method not in METHODS:
        raise ValueError(method)
    return PriorityRule(method=method, pattern=pattern, priority=Priority[priority.upper()])


WANTED: dict[object, tuple[Callable[[object], bool], str]] = {  # By name, else by type: the test, and what passes it.
    "CACHE_ALIAS": (lambda value: isinstance(value, str), "the name of a cache"),  # E004: whether there is one.
    "STALE_IF_ERROR": (
        lambda value: is_count(value) or (is_whole(value) and value == 0),
        "a whole number of seconds, or 0",
    ),
    "BATCH_RATE": (lambda value: value is None or read_rate(value) is not None, 'a rate such as "1000/min", or None'),
    "RETRY_BUDGET": (
        lambda value: is_number(value, up_to=1) or (is_whole(value) and value == 0),
        "a share from 0 to 1",
    ),
    "RETRY_STATUSES": (are_statuses, "a tuple of HTTP statuses from 400 to 599 without 429"),
    "CIRCUIT_THRESHOLD": (
        lambda value: value is None or is_number(value, up_to=1),
        "a share above 0, up to 1, or None",
    ),
    bool: (lambda value: isinstance(value, bool), "True or False"),
    int: (is_count, "a whole number above 0"),
    float: (is_seconds, "a number of seconds above 0"),
    float | None: (lambda value: value is None or is_seconds(value), "a number of seconds above 0, or None"),
    str: (lambda value: isinstance(value, str) and value in django_settings.DATABASES, "the name of a database"),
}


def freeze(value: Any) -> Any:
    """A list as a tuple, so that nobody changes a setting behind the project's back."""
    return tuple(freeze(item) for item in value) if isinstance(value, (list, tuple)) else value
