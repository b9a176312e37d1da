"""A batch and its caller in; out, which key covers each of its sub-requests, and the seals of what was sent under it.

A claim is one key of one caller. It covers the sub-request that has the key, the group whose members have it, or,
if it is the batch's own, all unsafe sub-requests without one and all groups.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.utils.crypto import salted_hmac

from batchapi.batch import Batch, SubRequest

KEY_HEADER = "Idempotency-Key"
OWN_HEADER = "HTTP_IDEMPOTENCY_KEY"  # as the headers of a sub-request have it
compact = partial(json.dumps, ensure_ascii=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One key of one caller, and what was sent under it."""

    caller: str
    key: str
    seals: tuple[str, ...]  # of what was sent: with SECRET_KEY, then with each of SECRET_KEY_FALLBACKS
    pointer: str = "#"  # to the headers of the sub-request that the key stands in
    header: str | None = None  # or the header of the batch that it is

    @property
    def identity(self) -> str:
        """Finds its row."""
        return row_id(self.caller, self.key, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One sub-request of what a key covers: its answer has a row of its own."""

    claim: Claim
    name: str

    @property
    def identity(self) -> str:
        """Finds that row."""
        return row_id(self.claim.caller, self.claim.key, self.name)


def find_parts(batch: Batch, *, caller: str, sent_to: Sequence[str | None] = ()) -> dict[str, Part]:
    """The part that each covered sub-request is, by its key in the batch.

    `sent_to` is all that decides where a URL leads: host, script name, service root, URL configuration.
    Of a group all members are covered, or none: it is answered again as a whole.
    """
    outer = None
    if (key := batch.idempotency_key) is not None:
        listed = [sent_to, batch.is_relaxed, [list_sent(request) for request in batch.requests]]
        outer = Claim(caller=caller, key=key, seals=make_seals(listed), header=KEY_HEADER)
    parts: dict[str, Part] = {}
    for members in nodes(batch.requests):
        is_group, first = members[0].group is not None, members[0]
        if not is_group and not is_coverable(first):
            continue
        keyed = next((member for member in members if member.idempotency_key is not None), None)
        claim = (
            outer if keyed is None else own_claim(members, keyed, caller=caller, sent_to=sent_to, pointer=batch.pointer)
        )
        if claim is not None:
            is_alone = keyed is not None and not is_group
            parts |= {m.key: Part(claim=claim, name="own" if is_alone else f"id:{m.key}") for m in members}
    return parts


def own_claim(
    members: list[SubRequest], keyed: SubRequest, *, caller: str, sent_to: Sequence[str | None], pointer: str
) -> Claim:
    """The claim of a sub-request, or of a group, that has a key of its own. The id of one that is alone may change."""
    sent = [list_sent(member) for member in members] if keyed.group is not None else list_sent(keyed)[1:]
    key = keyed.idempotency_key or ""
    return Claim(caller=caller, key=key, seals=make_seals([sent_to, sent]), pointer=f"{pointer}/{keyed.index}/headers")


def nodes(requests: Iterable[SubRequest]) -> list[list[SubRequest]]:
    """The sub-requests in listed order, the members of a group together where its first one stands."""
    found: dict[tuple[bool, str], list[SubRequest]] = {}
    for request in requests:
        name = (False, request.key) if request.group is None else (True, request.group)
        found.setdefault(name, []).append(request)
    return [*found.values()]


def is_coverable(request: SubRequest) -> bool:
    """Whether a sub-request that is in no group may write something that must not happen twice.

    A login is none: its answer holds a credential.
    """
    return not request.is_safe and request.refusal is None and not request.policy.changes_identity


def list_sent(request: SubRequest) -> list[Any]:
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


def make_seals(sent: list[Any]) -> tuple[str, ...]:
    """HMACs of what was sent, one for each secret that may have been SECRET_KEY when it was sent before."""
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    text = compact(sent)
    return tuple(
        salted_hmac("batchapi.idempotency", text, secret=secret, algorithm="sha256").hexdigest() for secret in secrets
    )


def row_id(caller: str, key: str, part: str) -> str:
    """What finds a row: one digest, since no database indexes all three at full length."""
    return hashlib.sha256(compact([caller, key, part]).encode()).hexdigest()
