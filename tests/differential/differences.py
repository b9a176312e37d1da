"""What both arms left behind in, every difference out, in words. What may differ is listed here and nowhere else."""

import gzip
import json
import re
import zlib
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from email.message import Message
from typing import Any

from tests.differential.arms import Answer, Record
from tests.differential.asks import Ask

OF_MIDDLEWARE = {  # Set by middleware that does not run around sub-requests. Where a view sets them, they count.
    *("X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy"),  # SecurityMiddleware
    *("X-Frame-Options", "Content-Language"),  # XFrameOptionsMiddleware, LocaleMiddleware
}
VARY_OF_MIDDLEWARE = {"cookie", "accept-language"}  # Session, CSRF and locale
NOT_IN_A_RECORD = {  # Of bytes that are not in the answer; cookies are compared on the outer answer.
    *("Content-Length", "Content-Encoding", "Set-Cookie", "Date"),
    *("Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade"),
}
PROBLEM = "application/problem+json"
PAGES = {"not_found": b"<h1>Not Found</h1>", "crashed": b"<h1>Server Error (500)</h1>"}  # where we have a problem
COPY = "batchapi; fwd=miss; collapsed"  # the mark of a copy, in Cache-Status
OURS = re.compile(r"(?:^|, )batchapi; [^,]*$")  # any mark of ours
BODILESS = (204, 304)
TOLD = re.compile(rb'"(?:token|CSRF_COOKIE|csrftoken|sessionid)"[:,] ?"([0-9A-Za-z]+)"')  # in the bodies of the zoo


def of_answer(ask: Ask, alone: Answer, record: Record) -> Iterator[str]:
    """The differences between an answer and its record in a batch."""
    status, code = record.members["status"], code_of(record)
    if alone.status is None:
        if (status, code) != (424, "dependency_failed"):
            yield f"did not run alone, {status} {code} together"
    elif status != alone.status:
        yield f"status {alone.status} alone, {status} together: {alone.body[:80]!r} {record.raw_body[:160]!r}"
    elif code in PAGES:
        if alone.body and PAGES[code] not in alone.body:
            yield f"{alone.body[:80]!r} alone, {code} together"
    else:
        yield from of_headers(ask, alone, record)
        yield from of_body(ask, alone, record)


def code_of(record: Record) -> str | None:
    """The code of a problem that the batch made itself."""
    is_problem = record.members["headers"].get("Content-Type") == PROBLEM
    return record.members["body"].get("code") if is_problem and isinstance(record.members["body"], dict) else None


def of_headers(ask: Ask, alone: Answer, record: Record) -> Iterator[str]:
    """Every header that a view sets is there, with its value, and no other."""
    expected = {name.title(): value for name, value in alone.headers if name.title() not in NOT_IN_A_RECORD}
    if ask.method == "HEAD" or not alone.body or alone.status in BODILESS:
        expected.pop("Content-Type", None)
    found = unmarked(record.members["headers"])
    if is_copy(record) or is_hit(record):
        expected.pop("Age", None)  # Django's page cache would have given the second answer, and says so.
        found.pop("Age", None)
    missing = vary_of(expected) - vary_of(found) - VARY_OF_MIDDLEWARE
    if missing or vary_of(found) - vary_of(expected):
        yield f"Vary {expected.get('Vary')} alone, {found.get('Vary')} together"
    for name in sorted((expected.keys() | found.keys()) - {"Vary"}):
        if expected.get(name) != found.get(name) and not (name in OF_MIDDLEWARE and name not in found):
            yield f"{name}: {expected.get(name)!r} alone, {found.get(name)!r} together"


def is_copy(record: Record) -> bool:
    """Whether a record is a copy of the answer to an equal one."""
    return str(record.members["headers"].get("Cache-Status", "")).endswith(COPY)


def is_hit(record: Record) -> bool:
    """Whether a record is an answer that was kept."""
    return "batchapi; hit" in str(record.members["headers"].get("Cache-Status", ""))


def unmarked(headers: dict[str, str]) -> dict[str, str]:
    """The headers as the view has set them, without our word in Cache-Status."""
    said = OURS.sub("", headers.get("Cache-Status", ""))
    others = {name: value for name, value in headers.items() if name != "Cache-Status"}
    return {**others, "Cache-Status": said} if said else others


def vary_of(headers: dict[str, str]) -> set[str]:
    """The parts of Vary."""
    return {part.strip().lower() for part in headers.get("Vary", "").split(",")} - {""}


def of_body(ask: Ask, alone: Answer, record: Record) -> Iterator[str]:
    """A client that decodes a record has the bytes that it would have had alone."""
    headers = {name.title(): value for name, value in alone.headers}
    body = b"" if ask.method == "HEAD" or alone.status in BODILESS else unpacked(alone.body, headers)
    if not body:
        found: object = record.members["body"]
        expected: object = None
    elif (text := json_text(body, headers.get("Content-Type", ""))) is not None:
        expected, found = same_json(text, record.raw_body)
    else:
        expected, found = masked(body), masked(decoded(record, headers))
    if expected != found:
        yield from apart("body", expected, found)


def masked(body: bytes) -> bytes:
    """Without the CSRF token of DRF's browsable page, which is another one each time."""
    return re.sub(rb'"csrfToken": "\w{64}"', b"", body)


def apart(what: str, alone: object, together: object) -> Iterator[str]:
    """Two values that differ, shown from a little before the place where they do."""
    one, other = repr(alone), repr(together)
    same = next((place for place, pair in enumerate(zip(one, other, strict=False)) if len(set(pair)) > 1), 0)
    start = max(same - 30, 0)
    yield f"{what}: {one[start : start + 300]} alone, {other[start : start + 300]} together"


def unpacked(body: bytes, headers: dict[str, str]) -> bytes:
    """Without a gzip Content-Encoding."""
    try:
        return gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body
    except (gzip.BadGzipFile, zlib.error):
        return body


def json_text(body: bytes, content_type: str) -> str | None:
    """The text of a body that calls itself JSON and is one JSON value."""
    media_type, charset = read_type(content_type)
    if media_type != "application/json" and not media_type.endswith("+json"):
        return None
    try:
        text = body.decode(charset)
        strict(text)
        text.encode()
    except (ValueError, RecursionError):
        return None
    return text


def read_type(content_type: str) -> tuple[str, str]:
    """Media type and charset."""
    message = Message()
    message["Content-Type"] = content_type or "application/octet-stream"
    return message.get_content_type(), str(message.get_content_charset("utf-8"))


def strict(text: str) -> Any:
    """The JSON value, with its numbers as text and its members in a list."""
    hooks: dict[str, Any] = {"parse_float": str, "parse_int": str, "object_pairs_hook": tuple, "parse_constant": int}
    return json.loads(text, **hooks)


def same_json(text: str, raw: bytes) -> tuple[object, object]:
    """Byte for byte; a text with line breaks may be written anew, its value may not change."""
    if "\n" in text or "\r" in text:
        return json.loads(text), json.loads(raw)
    return text.strip(" \t").encode(), raw


def decoded(record: Record, headers: dict[str, str]) -> bytes:
    """What a client makes of a body that is a string."""
    body = record.members["body"]
    assert isinstance(body, str), body
    if record.members.get("bodyEncoding") == "base64":
        return b64decode(body)
    return body.encode(read_type(headers.get("Content-Type", ""))[1])


class Anonymous:
    """Values that are random in each arm, replaced by the order in which they turn up."""

    def __init__(
        self, known: Iterable[str], seen: dict[str, Any], answers: Sequence[bytes], cookies: Iterable[str]
    ) -> None:
        self.names: dict[str, str] = {}
        random = {*secrets_of(seen), *cookies, *(found.decode() for found in TOLD.findall(b" ".join(answers)))}
        values = sorted(random - set(known) - {"", '""'})
        self.pattern = re.compile("|".join(map(re.escape, values))) if values else None

    def __call__(self, value: Any) -> Any:
        """The same structure, without what is random."""
        if isinstance(value, dict):
            return {self(key): self(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self(item) for item in value]
        if isinstance(value, bytes) and self.pattern:
            return self.pattern.sub(self.name, value.decode("latin-1")).encode("latin-1")
        return self.pattern.sub(self.name, value) if isinstance(value, str) and self.pattern else value

    def name(self, found: "re.Match[str]") -> str:
        """The n-th random value."""
        return self.names.setdefault(found[0], f"<random {len(self.names)}>")


def secrets_of(seen: dict[str, Any]) -> Iterator[str]:
    """Session keys, their hashes of passwords, tokens and password hashes."""
    for key, data, _ in seen["rows"]["django_session"]:
        yield from (key, data.get("_auth_user_hash", ""))
    yield from (row[0] for row in seen["rows"]["authtoken_token"])
    yield from (row[1] for row in seen["rows"]["auth_user"])


def of_worlds(alone: dict[str, Any], together: dict[str, Any], path: str = "") -> Iterator[str]:
    """The differences between two dicts of what was seen, by the path to them."""
    for name in [*alone, *(name for name in together if name not in alone)]:
        one, other = alone.get(name), together.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            yield from of_worlds(one, other, f"{path}/{name}")
        elif one != other:
            yield from apart(f"{path}/{name}", one, other)
