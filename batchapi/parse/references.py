"""What a sub-request takes from earlier answers: `bind`, a URL that starts with `$id`, `If-Match: $id`.

References stand only in these places. Text that a user wrote is never scanned for them.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from jsonpointer import JsonPointer, JsonPointerException

from batchapi.batch import Binding, Condition, Reference
from batchapi.conf import Limits
from batchapi.exceptions import BadReference, BadUrl, TooManyReferences
from batchapi.parse.headers import point_at

SOURCE = re.compile(r"\$(.+)\.(body|headers)#(.*)", re.DOTALL)  # greedy: split at the last ".body#" or ".headers#"
VARIABLE = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")
CONDITION = re.compile(r"(not +)?\$(.+)/\$succeeded", re.DOTALL)
WHOLE = re.compile(r"\$(.+)", re.DOTALL)
WRITTEN = re.compile(r"[\x21-\x7e]*")  # printable ASCII without the space, as in a URL
ETAG_HEADERS = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_IF_RANGE")


def parse_bindings(
    item: Mapping[str, Any], *, url: str, headers: Mapping[str, str], here: str, limits: Limits
) -> tuple[Binding, ...]:
    """Every reference of one sub-request. Raises BadReference and TooManyReferences."""
    bind = read_bind(item.get("bind"), url, f"{here}/bind", most=limits.MAX_REFERENCES)
    return (*bind, *read_url(url), *read_headers(headers))


def read_bind(bind: Any, url: str, here: str, *, most: int) -> Iterator[Binding]:
    """The entries of `bind`: a URL variable or a place in the body, and what to put there."""
    if bind is None:
        return
    if not isinstance(bind, dict):
        raise BadReference('bind is an object such as {"{sid}": "$new.body#/id"}.', pointer=here)
    if len(bind) > most:  # Before any is looked for in the URL: both can be megabytes.
        raise TooManyReferences(f"A batch has at most {most} references.", pointer=here)
    for target, source in bind.items():
        place = point_at(target, here)
        reference = read_source(source, place)
        if target.startswith("/"):
            check_pointer(target, place)
            yield Binding(target="body", name=target, reference=reference)
        elif VARIABLE.fullmatch(target) and target in split_url(url)[1]:
            yield Binding(target="variable", name=target, reference=reference)
        else:
            raise BadReference('bind names a {variable} of the url, or a place in the body: "/title".', pointer=place)


def read_source(source: Any, here: str) -> Reference:
    """`$id.body#/pointer` or `$id.headers#/Name`."""
    parts = SOURCE.fullmatch(source) if isinstance(source, str) else None
    if not parts:
        raise BadReference('A source is "$id.body#/pointer" or "$id.headers#/Location".', pointer=here)
    key, kind, pointer = parts.groups()
    if kind == "body":
        check_pointer(pointer, here)
        return Reference(key=key, source="body", pointer=pointer)
    return Reference(key=key, source="headers", pointer=pointer.removeprefix("/"))


def check_pointer(pointer: str, here: str) -> None:
    """Refuse what is no JSON pointer (RFC 6901)."""
    try:
        JsonPointer(pointer)
    except JsonPointerException:
        raise BadReference("A place in a body is a JSON pointer: /results/0/id.", pointer=here) from None


def read_url(url: str) -> Iterator[Binding]:
    """`$id` as the first segment of a URL."""
    if segment := split_url(url)[0]:
        yield Binding(target="url", name=segment, reference=Reference(key=segment[1:], source="url"))


def split_url(url: str) -> tuple[str, str]:
    """The `$id` that a URL starts with, "" where there is none, and the rest, which may hold variables."""
    segment = re.split(r"[/?]", url, maxsplit=1)[0] if url.startswith("$") else ""
    return segment, url.removeprefix(segment)


def check_template(url: str, *, here: str) -> None:
    """Refuse a URL that no value could make a good one. An id may hold what a URL may not."""
    if not WRITTEN.fullmatch(split_url(url)[1]):
        raise BadUrl("A URL is made of printable ASCII characters without spaces.", pointer=here)


def read_headers(headers: Mapping[str, str]) -> Iterator[Binding]:
    """`$id` as the whole value of a header that takes an ETag: the one of that answer."""
    for name, value in headers.items():
        if name in ETAG_HEADERS and (whole := WHOLE.fullmatch(value)):
            yield Binding(
                target="header", name=name, reference=Reference(key=whole[1], source="headers", pointer="ETag")
            )


def parse_condition(value: Any, *, here: str) -> Condition | None:
    """`$x/$succeeded` or `not $x/$succeeded`. Raises BadReference."""
    if value is None:
        return None
    parts = CONDITION.fullmatch(value) if isinstance(value, str) else None
    if not parts:
        raise BadReference('if is "$id/$succeeded" or "not $id/$succeeded".', pointer=here)
    return Condition(key=parts[2], succeeded=parts[1] is None)
