"""An entry in, bytes for Redis out, and back: one line of JSON, then the body as it is. Never pickle."""

from typing import Any

import orjson

from batchapi.store.entry import Entry

VERSION = 1  # Raised when a field changes its meaning: what an older release kept is a miss then.

TYPES: dict[str, type] = {
    "identity": str,
    "status": int,
    "headers": list,
    "size": int,
    "is_json": bool,
    "stored": float,
    "ttl": float,
    "stale": float,
    "epoch": str,
    "generations": dict,
    "route": str,
    "user": str,
    "who": str,
}


def encode(entry: Entry) -> bytes:
    """An entry as bytes. Raises TypeError if it holds text that is not Unicode."""
    head = {
        "v": VERSION,
        "identity": entry.identity,
        "status": entry.status,
        "headers": entry.headers,
        "size": len(entry.body),
        "is_json": entry.is_json,
        "stored": float(entry.stored),
        "ttl": float(entry.ttl),
        "stale": float(entry.stale),
        "epoch": entry.epoch,
        "generations": entry.generations,
        "route": entry.route,
        "user": entry.user,
        "who": entry.who,
    }
    return orjson.dumps(head) + b"\n" + entry.body


def decode(value: bytes, *, identity: str) -> Entry | None:
    """The entry that `encode` wrote; None if these bytes are anything else, or answer another question."""
    head, _, body = value.partition(b"\n")
    entry, size = read_head(head, body)
    return entry if entry and entry.identity == identity and size == len(body) else None


def decode_head(value: bytes) -> Entry | None:
    """The entry of which these bytes are the beginning, with an empty body; None if they are anything else."""
    head, _, _ = value.partition(b"\n")
    return read_head(head, b"")[0]


def read_head(head: bytes, body: bytes) -> tuple[Entry | None, int]:
    """The entry, and how many bytes its body had when it was written."""
    try:
        fields: Any = orjson.loads(head)
    except orjson.JSONDecodeError:
        return None, 0
    if type(fields) is not dict or fields.pop("v", None) != VERSION:
        return None, 0
    if {name: type(value) for name, value in fields.items()} != TYPES:  # A `match` would take several times as long.
        return None, 0
    headers, generations, size = fields.pop("headers"), fields.pop("generations"), fields.pop("size")
    if not all(map(is_pair, headers)) or not all(type(number) is int for number in generations.values()):
        return None, 0
    pairs = tuple((name, text) for name, text in headers)
    return Entry(headers=pairs, generations=generations, body=body, **fields), size


def is_pair(header: object) -> bool:
    """Whether this is the name and the value of a header."""
    return type(header) is list and len(header) == 2 and type(header[0]) is str and type(header[1]) is str
