"""The body of one sub-request: a JSON value in, the bytes that the view reads out."""

import codecs
import json
from base64 import b64decode
from collections.abc import Iterable
from typing import Any

from batchapi.batch import Binding
from batchapi.exceptions import BadBody, BadReference
from batchapi.media import JSON, NO_CHARSETS, is_json, read_type

TO_STANDARD = str.maketrans("-_", "+/")  # base64url (RFC 4648, section 5), which OData writes


def parse_body(value: Any, *, content_type: str | None, here: str) -> tuple[bytes, str | None]:
    """The bytes of a body and its Content-Type, JSON by default. No body, or null: no bytes.

    A string with a text, XML or form type is text; a string with another type is base64. Raises BadBody.
    """
    if value is None:
        return b"", content_type
    media_type, charset = read_type(content_type or JSON)
    if is_json(media_type):
        return json.dumps(value, separators=(",", ":")).encode(), content_type or JSON
    if not isinstance(value, str):
        raise BadBody("A body of a type other than JSON is a string.", pointer=here)
    if is_text(media_type) or (media_type == "multipart/form-data" and value.startswith("--")):
        return encode(value, charset, here), content_type
    return decode_base64(value, here), content_type


def is_text(media_type: str) -> bool:
    """Whether a body of this type is written as a plain string."""
    is_xml = media_type == "application/xml" or media_type.endswith("+xml")
    return media_type.startswith("text/") or is_xml or media_type == "application/x-www-form-urlencoded"


def encode(value: str, charset: str, here: str) -> bytes:
    """Text as bytes."""
    try:
        if codecs.lookup(charset).name not in NO_CHARSETS:
            return value.encode(charset)
    except (ValueError, LookupError):  # UnicodeError, and a charset that holds a NUL
        pass
    raise BadBody("The body cannot be written in the charset that its Content-Type names.", pointer=here)


def decode_base64(value: str, here: str) -> bytes:
    """The bytes of a base64 or base64url string, padded or not."""
    text = "".join(value.split()).translate(TO_STANDARD).rstrip("=")
    try:
        return b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise BadBody("A body of a binary type is a base64 string.", pointer=here) from None


def fillable(value: Any, bindings: Iterable[Binding], *, content_type: str | None, here: str) -> Any:
    """The body that values are filled into: an empty object where the client wrote none. Raises BadReference."""
    if all(binding.target != "body" for binding in bindings):
        return value
    if not is_json(read_type(content_type or JSON)[0]):
        raise BadReference("Only a JSON body has places that values can be filled into.", pointer=here)
    return {} if value is None else value
