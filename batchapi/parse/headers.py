"""The headers of one sub-request: a JSON object in, allow-listed CGI variables out.

Names that are not on the list are dropped: real clients send many. What tries to be somebody else, or to be read as
another message, is refused.
"""

import re
from typing import Any
from urllib.parse import quote

from batchapi.conf import Limits
from batchapi.exceptions import BadHeader
from batchapi.parent import Parent

NAME = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z-]+")  # a token (RFC 9110, section 5.6.2) without "_"
VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # a field value (RFC 9110, section 5.5)
ALLOWED = frozenset(
    {
        *("accept", "accept-language", "content-type", "prefer", "priority", "idempotency-key"),
        *("cache-control", "pragma"),
        *("if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"),
    }
)
REFUSED = frozenset(
    {"transfer-encoding", "method-override", "x-http-method-override", "x-method-override", "x-http-method"}
)
EXTENDED = re.compile(r"\*\d*\*?\s*=")  # name*=utf-8''value (RFC 2231)
FRAGMENT = "!$&'()*+,;=:@~"  # what a URI fragment holds unescaped (RFC 3986, section 3.5)
MAX_TOLD = 64  # characters of a name that are worth repeating


def parse_headers(given: Any, *, here: str, parent: Parent, limits: Limits) -> dict[str, str]:
    """The headers that reach the view, under their CGI names: HTTP_ACCEPT, CONTENT_TYPE.

    Raises BadHeader.
    """
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise BadHeader('headers is an object such as {"Accept-Language": "en"}.', pointer=here)
    if len(given) > limits.MAX_HEADERS:
        raise BadHeader(f"A sub-request has at most {limits.MAX_HEADERS} headers.", pointer=here)
    allowed = ALLOWED.union(map(str.lower, limits.ALLOWED_HEADERS))
    environ: dict[str, str] = {}
    size = 0
    for name, value in given.items():
        place = point_at(name, here)
        text = read_value(value, place)
        size += len(name) + len(text)
        if size > limits.MAX_HEADER_BYTES:
            raise BadHeader(f"The headers of a sub-request have at most {limits.MAX_HEADER_BYTES} bytes.", pointer=here)
        check_name(name, text, place=place, parent=parent)
        if name.lower() in allowed:
            add(environ, name, text, place)
    return environ


def read_value(value: Any, place: str) -> str:
    """One value; a list is joined as HTTP joins the lines of one header (RFC 9110, section 5.3)."""
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in values):
        raise BadHeader("A header value is a string or a list of strings.", pointer=place)
    text = ", ".join(values).strip(" \t")
    if not VALUE.fullmatch(text):
        raise BadHeader(
            "A header value holds no line breaks, control characters or characters above U+00FF.", pointer=place
        )
    return text


def check_name(name: str, value: str, *, place: str, parent: Parent) -> None:
    """Refuse the names that could make a view see another sender or another message."""
    if not NAME.fullmatch(name):
        raise BadHeader(
            "A header name is letters, digits and hyphens; '_' is refused, it can pass for '-'.", pointer=place
        )
    if name.lower() in REFUSED:
        raise BadHeader(f"{name} has no meaning for a sub-request; leave it out.", pointer=place)
    if name.lower() == "authorization" and value != parent.environ.get("HTTP_AUTHORIZATION"):
        raise BadHeader("A sub-request runs with the batch's own Authorization; leave it out.", pointer=place)
    if name.lower() == "content-type" and EXTENDED.search(value):
        # Django decodes these while it makes the request, with any codec that Python has, and raises.
        raise BadHeader("A Content-Type in a batch has no parameters of the form name*=value.", pointer=place)


def add(environ: dict[str, str], name: str, value: str, place: str) -> None:
    """Put a header under its CGI name (RFC 3875, section 4.1.18)."""
    cgi_name = name.upper().replace("-", "_")
    if cgi_name != "CONTENT_TYPE":
        cgi_name = f"HTTP_{cgi_name}"
    if cgi_name in environ:
        raise BadHeader(
            "This header is there twice, in different letter case; join the values with a comma.", pointer=place
        )
    environ[cgi_name] = value


def point_at(name: str, here: str) -> str:
    """A JSON pointer to a header (RFC 6901, section 6); to all of them where the name should not be repeated."""
    if len(name) > MAX_TOLD or not name.isprintable():  # A lone surrogate could not even be written in UTF-8.
        return here
    return f"{here}/{quote(name.replace('~', '~0').replace('/', '~1'), safe=FRAGMENT)}"
