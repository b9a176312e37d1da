"""The bytes of a body in, its place in the JSON answer out: spliced in, a string, or base64."""

import codecs
import json
import zlib
from base64 import b64encode
from typing import Any, NoReturn

import orjson

from batchapi.batch import SubResponse
from batchapi.exceptions import ResponseTooLarge
from batchapi.media import NO_CHARSETS, is_json, read_type

BINARY = "application/octet-stream"  # what a body without a Content-Type is (RFC 9110, section 8.3)
TEXT_TYPES = frozenset({"application/xml", "application/javascript", "application/x-www-form-urlencoded"})
TO_SPACE = str.maketrans("\n\r", "  ")


def render_body(response: SubResponse) -> dict[str, Any]:
    """The member `body`, with `bodyEncoding` where it is base64. No body is null."""
    if not response.body:
        return {"body": None}
    if response.is_json:
        return {"body": orjson.Fragment(response.body)}
    media_type, charset = read_type(header(response, "content-type") or BINARY)
    text = decode(response.body, charset) if is_text(media_type) or is_json(media_type) else None
    if text is None:
        return {"body": b64encode(response.body).decode(), "bodyEncoding": "base64"}
    if is_json(media_type) and (value := one_line(text)) is not None:
        return {"body": orjson.Fragment(value)}
    return {"body": text}


def header(response: SubResponse, name: str) -> str:
    """The value of a header, "" without one."""
    return next((value for given, value in response.headers if given.lower() == name), "")


def is_text(media_type: str) -> bool:
    """Whether a body of this type can be read by a person."""
    return media_type.startswith("text/") or media_type in TEXT_TYPES or media_type.endswith("+xml")


def decode(content: bytes, charset: str) -> str | None:
    """The text, or None if it cannot be read in its charset."""
    try:
        if codecs.lookup(charset).name in NO_CHARSETS:
            return None
        text = content.decode(charset)
        text.encode()  # UTF-7 holds lone surrogates, which the answer cannot.
    except (ValueError, LookupError):  # UnicodeError, and a charset that holds a NUL
        return None
    return text


def one_line(text: str) -> bytes | None:
    """Exactly one JSON value (RFC 8259) as bytes without line breaks; None if the text is anything else.

    Numbers keep all their digits: a line break inside JSON stands between tokens, where a space means the same.
    """
    try:
        json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None
    return text.translate(TO_SPACE).strip(" \t").encode()


def refuse(constant: str) -> NoReturn:
    """NaN and Infinity are not JSON."""
    raise ValueError(constant)


def unpack(response: SubResponse, *, room: int) -> bytes:
    """The body, without its Content-Encoding if that is gzip; any other, or one that is broken, as it is.

    Raises ResponseTooLarge for one of more bytes than there is room.
    """
    content = response.body
    if content and header(response, "content-encoding").lower() in ("gzip", "x-gzip"):
        unzip = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            unpacked = unzip.decompress(content, room + 1)
        except zlib.error:
            unpacked = b""
        if len(unpacked) > room or (unzip.eof and not unzip.unused_data):
            content = unpacked
    if len(content) > room:
        raise ResponseTooLarge("The answer to this batch has no room for it.")
    return content
