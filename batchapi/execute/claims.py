"""A batch and its caller in, out, which key each of its sub-requests is recorded under, and the seal of what was sent.

A claim is one key of one caller. It covers the sub-request that has the key, the group whose members have it, or,
if it is the batch's own, all unsafe sub-requests without one and all groups.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.utils.crypto import salted_hmac

from batchapi.batch import Batch, SubRequest

OWN_HEADER = "HTTP_IDEMPOTENCY_KEY"
compact = partial(json.dumps, ensure_ascii=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One key of one caller, and what was sent under it."""

    caller: str
    key: str
    seals: tuple[str, ...]  # of what was sent: with SECRET_KEY, then with each of SECRET_KEY_FALLBACKS
    pointer: str | None  # to the headers that hold the key; None: it is the batch's own

    @property
    def identity(self) -> str:
        """Finds its row."""
        return identify(self.caller, self.key, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Where the answer to one sub-request is stored: its claim, and the part of that."""

    claim: Claim
    part: str

    @property
    def identity(self) -> str:
        """Finds its row."""
        return identify(self.claim.caller, self.claim.key, self.part)


def find_records(batch: Batch, *, caller: str) -> dict[str, Record]:
    """The record of each sub-request that has one, by its key in the batch.

    A group has one for each member, or for none: it is answered again as a whole.
    """
    outer = None
    if (key := batch.idempotency_key) is not None:
        listed = [batch.is_relaxed, [describe(request) for request in batch.requests]]
        outer = Claim(caller=caller, key=key, seals=seal(listed), pointer=None)
    records: dict[str, Record] = {}
    for members in nodes(batch.requests):
        is_group, first = members[0].group is not None, members[0]
        if not is_group and not is_recordable(first):
            continue
        keyed = next((member for member in members if member.idempotency_key is not None), None)
        claim = outer if keyed is None else own_claim(members, keyed, caller=caller, pointer=batch.pointer)
        if claim is not None:
            parts = {
                member.key: "own" if keyed is not None and not is_group else f"id:{member.key}" for member in members
            }
            records |= {name: Record(claim=claim, part=part) for name, part in parts.items()}
    return records


def own_claim(members: list[SubRequest], keyed: SubRequest, *, caller: str, pointer: str) -> Claim:
    """The claim of a sub-request, or of a group, that has a key of its own. The id of one that is alone may change."""
    sent = [describe(member) for member in members] if keyed.group is not None else describe(keyed)[1:]
    key = keyed.idempotency_key or ""
    return Claim(caller=caller, key=key, seals=seal(sent), pointer=f"{pointer}/{keyed.index}/headers")


def nodes(requests: Iterable[SubRequest]) -> list[list[SubRequest]]:
    """The sub-requests in listed order, the members of a group together where its first one stands."""
    found: dict[tuple[bool, str], list[SubRequest]] = {}
    for request in requests:
        name = (False, request.key) if request.group is None else (True, request.group)
        found.setdefault(name, []).append(request)
    return [*found.values()]


def is_recordable(request: SubRequest) -> bool:
    """Whether a sub-request that is in no group may write something that must not happen twice.

    A login is none: its answer holds a credential.
    """
    return not request.is_safe and request.refusal is None and not request.policy.changes_identity


def describe(request: SubRequest) -> list[Any]:
    """All that makes a sub-request, the id first. What the client sent, not what became of its references."""
    condition = request.condition
    headers = sorted(item for item in request.headers.items() if item[0] != OWN_HEADER)
    bindings = [(b.target, b.name, b.reference.key, b.reference.source, b.reference.pointer) for b in request.bindings]
    return [
        request.key,
        request.method,
        request.url,
        headers,
        hashlib.sha256(request.body).hexdigest(),
        request.group,
        request.depends_on,
        condition and [condition.key, condition.succeeded],
        bindings,
        request.priority,
    ]


def seal(sent: list[Any]) -> tuple[str, ...]:
    """HMACs of what was sent, one for each secret that may have been SECRET_KEY when it was sent before."""
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    text = compact(sent)
    return tuple(
        salted_hmac("batchapi.idempotency", text, secret=secret, algorithm="sha256").hexdigest() for secret in secrets
    )


def identify(caller: str, key: str, part: str) -> str:
    """What finds a row: one digest, since no database indexes all three at full length."""
    return hashlib.sha256(compact([caller, key, part]).encode()).hexdigest()
