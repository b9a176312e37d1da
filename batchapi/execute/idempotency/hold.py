"""The keys that one batch holds: taken all at once before anything runs, seen to be still held, given back at the end.

Each has a row. Whoever writes an answer first touches the row of its key, in the same transaction: that fails for a
batch that no longer holds the key, and until it commits nobody else can take the key.
"""

import logging
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from django.apps import apps
from django.db import Error, IntegrityError, OperationalError, connections, transaction
from django.utils import timezone

from batchapi.exceptions import KeyInUse, KeyReused
from batchapi.execute.idempotency.scope import Claim
from batchapi.execute.transient import fault_of, is_locked

AT_WORK = "A batch with this key is at work, or was until its process died; send it again."
TRIES = 5  # to take keys that others take at the same moment

logger = logging.getLogger("batchapi.idempotency")
Rows = dict[str, Any]  # of the table, by identity


class Outrun(Exception):
    """Somebody else took a key that was to be had a moment ago."""


class Hold:
    """The keys of one batch."""

    def __init__(self, claims: Mapping[str, Claim], *, alias: str, ttl: int, seconds: float) -> None:
        self.claims = claims  # by identity
        self.alias = alias
        self.ttl = timedelta(seconds=ttl)
        self.seconds = timedelta(seconds=seconds)  # that the batch may be at work
        self.token = secrets.token_hex(16) if claims else ""
        self.expires: dict[str, datetime] = {}  # by identity
        self.inside = 0  # transactions with an answer that are open on some thread
        self.lock = Lock()

    @property
    def table(self) -> Any:
        """Its manager. The model is not imported: this module may be, before the apps are ready."""
        return apps.get_model("batchapi", "IdempotencyRecord")._base_manager.using(self.alias)

    def take(self, parts: Iterable[str]) -> Rows:
        """Take all keys, or none. Returns what is stored of parts of them. Raises KeyReused or KeyInUse."""
        names = sorted({*self.claims, *parts})
        for _ in range(TRIES):
            rows = self.read(names)
            refuse_what_is_taken(self.claims, rows)
            try:
                with transaction.atomic(using=self.alias):
                    dead = self.take_rows(rows)
            except (IntegrityError, Outrun):
                continue  # Somebody was faster.
            except OperationalError as error:
                if is_locked(error.__cause__):  # By the holder of a key, perhaps.
                    raise in_use(self.claims) from error
                if fault_of(error) != "conflict":
                    raise
                continue
            if dead:  # Its holder may have stored something more in between; from now on it cannot.
                rows = self.read(names)
            return {name: row for name, row in rows.items() if name not in self.claims and not is_over(row)}
        raise in_use(self.claims)

    def read(self, names: Sequence[str]) -> Rows:
        """All rows that there are."""
        return {row.identity: row for row in self.table.filter(identity__in=names)}

    def take_rows(self, rows: Rows) -> list[str]:
        """In a transaction: make the rows of all keys ours. Returns those that somebody had before."""
        now = timezone.now()
        over = [name for name, row in rows.items() if is_over(row)]
        dead = {name: rows[name].token for name in self.claims if name in rows and name not in over}
        self.expires = {name: rows[name].expires if name in dead else now + self.ttl for name in self.claims}
        if held := find_held(self.table, [*over, *dead]):
            raise in_use({name: claim for name, claim in self.claims.items() if name in held} or self.claims)
        if over:
            self.table.filter(identity__in=over, expires__lte=now).delete()
        if dead:
            ours = self.table.filter(identity__in=[*dead], token__in=[*dead.values()])
            if ours.update(token=self.token, lease=now + self.seconds) != len(dead):
                raise Outrun
        # In one order everywhere: two who insert the same keys wait for each other one way only.
        self.table.bulk_create(self.new_row(name, now) for name in sorted(self.claims) if name not in dead)
        return [*dead]

    def new_row(self, name: str, now: datetime) -> Any:
        """A key that nobody had."""
        claim = self.claims[name]
        return self.table.model(
            identity=name,
            caller=claim.caller,
            key=claim.key,
            part="",
            state="claimed",
            fingerprint=claim.seals[0],
            token=self.token,
            lease=now + self.seconds,
            created=now,
            expires=self.expires[name],
        )

    def touch(self, names: Iterable[str]) -> bool:
        """In a transaction: whether these are still ours. If so nobody can take them before it ends."""
        wanted = sorted(set(names))
        if not wanted:
            return True
        held = self.table.filter(identity__in=wanted, token=self.token)
        return bool(held.update(token=self.token) == len(wanted))  # Not FOR UPDATE: on SQLite only a write locks.

    @contextmanager
    def counted(self) -> Iterator[None]:
        """A block that may have a transaction with one of them."""
        with self.lock:
            self.inside += 1
        try:
            yield
        finally:
            with self.lock:
                self.inside -= 1

    def release(self) -> None:
        """Let whoever sends the batch again have the keys at once.

        Not while a thread that did not come back is in a transaction with one of them: that would be waited for. Then
        they are free when the time of the batch is over.
        """
        if self.inside:
            return
        try:
            self.table.filter(identity__in=[*self.claims], token=self.token).update(lease=timezone.now())
        except Error as error:
            logger.warning(
                "Idempotency keys are not given back before the time of their batch is over.", exc_info=error
            )


def refuse_what_is_taken(claims: Mapping[str, Claim], rows: Rows) -> None:
    """Raise KeyReused where something else was sent under a key, KeyInUse where its holder may be at work."""
    now = timezone.now()
    for name, claim in claims.items():
        row = rows.get(name)
        if row is None or is_over(row):
            continue
        if row.fingerprint not in claim.seals:
            words = "Something else was sent under this key before; use a new one."
            raise KeyReused(words, pointer=claim.pointer, header=claim.header)
        if row.lease > now:
            raise in_use({name: claim})


def find_held(table: Any, names: Sequence[str]) -> set[str]:
    """In a transaction: lock rows; those that somebody has in an open one, whose time is over but who may still commit.

    On SQLite none: there is one writer at a time, and an UPDATE waits for it.
    """
    features = connections[table.db].features
    if not (names and features.has_select_for_update and features.has_select_for_update_skip_locked):
        return set()
    free = table.select_for_update(skip_locked=True).filter(identity__in=names).values_list("pk", flat=True)
    return {*names} - {*free}


def is_over(row: Any) -> bool:
    """Whether a row is as if it were not there: it has expired, and no holder of it can be at work."""
    now = timezone.now()
    return bool(row.expires <= now and (row.lease is None or row.lease <= now))


def in_use(claims: Mapping[str, Claim], words: str = AT_WORK) -> KeyInUse:
    """The refusal of a batch that another one is, or may be, in the way of; it names the first of these keys."""
    claim = next(iter(claims.values()))
    return KeyInUse(words, pointer=claim.pointer, header=claim.header)
