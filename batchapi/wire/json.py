"""The JSON format: bytes in, plain data out; an Answer in, bytes out."""

import json
import math
from collections.abc import Mapping
from typing import IO, Any, NoReturn

import orjson
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from batchapi.exceptions import BadJson, TooDeep, TooLarge


class BatchJSONParser(BaseParser):
    """Reads a batch. Keeps integers of any length and strings of any kind as the views' own parsers would."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The JSON value of a stream; no more bytes are read than `parser_context["limits"]` allows.

        Raises TooLarge, TooDeep and BadJson.
        """
        assert parser_context is not None, "BatchView hands its limits over in the parser context"
        limits = parser_context["limits"]
        raw = stream.read(limits.MAX_REQUEST_BYTES + 1)
        if len(raw) > limits.MAX_REQUEST_BYTES:
            raise TooLarge(f"A batch has at most {limits.MAX_REQUEST_BYTES} bytes.")
        too_deep = TooDeep(f"A batch has at most {limits.MAX_DEPTH} levels of arrays and objects.")
        try:
            data = json.loads(raw.decode(), parse_constant=refuse_constant, parse_float=read_float)
        except RecursionError:
            raise too_deep from None
        except json.JSONDecodeError as error:
            raise BadJson(f"The body cannot be read as JSON: {error}.") from error
        except UnicodeDecodeError as error:
            raise BadJson(f"The body cannot be read as UTF-8, from byte {error.start} on.") from error
        except ValueError as error:  # An integer of more digits than Python reads, about 4 300.
            raise BadJson("A number in the body has too many digits.") from error
        if is_deeper(data, limits.MAX_DEPTH):
            raise too_deep
        return data


def refuse_constant(name: str) -> NoReturn:
    """NaN and Infinity are not JSON (RFC 8259, section 6)."""
    raise BadJson(f"{name} is not a JSON value.")


def read_float(text: str) -> float:
    """A number that a double can hold; it is written out again for the view."""
    number = float(text)
    if math.isinf(number):
        raise BadJson(f"The number {text[:20]} is too large.")
    return number


def is_deeper(data: object, levels: int) -> bool:
    """Whether arrays and objects are nested in more than this many levels."""
    layer = [node for node in (data,) if isinstance(node, (dict, list))]
    for _ in range(levels):  # In one comprehension, for there may be millions of them.
        inside = (node.values() if isinstance(node, dict) else node for node in layer)
        layer = [child for values in inside for child in values if isinstance(child, (dict, list))]
        if not layer:
            return False
    return True


class BatchJSONRenderer(BaseRenderer):
    """Writes an answer, or a problem. Bodies that are JSON already are spliced in as `orjson.Fragment`."""

    media_type = "application/json"
    format = "json"
    charset = None  # JSON is UTF-8 (RFC 8259); the media type has no charset parameter.

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        """One JSON document."""
        return orjson.dumps(data)
