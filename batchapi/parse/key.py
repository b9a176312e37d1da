"""The value of an Idempotency-Key header in, the key out; and which sub-requests may share one."""

import re
from collections.abc import Iterable, Sequence

from batchapi.batch import SubRequest
from batchapi.exceptions import BadHeader, EnvelopeError, KeyReused

NAME = "Idempotency-Key"
QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,510})"')  # a string (RFC 9651, section 3.3.3)
BARE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+")  # what many clients send: no quotes, no list
MAX_KEY = 255
WORDS = f"An Idempotency-Key has 1 to {MAX_KEY} printable ASCII characters, in double quotes as a rule."


def read_key(value: str, *, pointer: str = "#", header: str | None = None) -> str:
    """The key, with or without its quotes. Raises BadHeader for what cannot be one."""
    quoted = QUOTED.fullmatch(value)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else value
    if not (quoted or BARE.fullmatch(value)) or len(key) > MAX_KEY:
        raise BadHeader(WORDS, pointer=pointer, header=header)
    return key


def shared_keys(requests: Sequence[SubRequest], *, outer: str | None, pointer: str) -> Iterable[EnvelopeError]:
    """An error for each key that two have who may not share it: the members of a group share one, nobody else does."""
    owners: dict[str, str | int | None] = {} if outer is None else {outer: None}
    keys: dict[str, str] = {}  # of groups
    for request in requests:
        key, here = request.idempotency_key, f"{pointer}/{request.index}/headers"
        if key is None:
            continue
        owner = request.index if request.group is None else request.group
        if owners.setdefault(key, owner) != owner:
            yield KeyReused("Another sub-request of this batch, or the batch itself, has the same key.", pointer=here)
        elif request.group is not None and keys.setdefault(request.group, key) != key:
            yield BadHeader("A group is one transaction, so its members share one Idempotency-Key.", pointer=here)
