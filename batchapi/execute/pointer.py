"""A JSON value and a JSON pointer (RFC 6901) in, the place that it leads to out."""

import re
from typing import Any

from jsonpointer import JsonPointer

INDEX = re.compile(r"0|[1-9][0-9]{0,9}")


class NoSuchPlace(LookupError):
    """The pointer leads nowhere in this value."""


def get(document: Any, pointer: str) -> Any:
    """The value in a place. Raises NoSuchPlace; a string is no list of characters."""
    for part in JsonPointer(pointer).parts:
        document = document[step(document, part)]
    return document


def put(document: Any, pointer: str, value: Any) -> None:
    """Set the value in a place, which need not be there if what it is in is; "-" is past the end of a list.

    Raises NoSuchPlace.
    """
    *way, last = JsonPointer(pointer).parts
    for part in way:
        document = document[step(document, part)]
    if isinstance(document, dict):
        document[last] = value
    elif isinstance(document, list) and last == "-":
        document.append(value)
    else:
        document[step(document, last)] = value


def step(document: Any, part: str) -> str | int:
    """The key or index that one part of a pointer means in an object or list that has it."""
    if isinstance(document, dict) and part in document:
        return part
    if isinstance(document, list) and INDEX.fullmatch(part) and int(part) < len(document):
        return int(part)
    raise NoSuchPlace
