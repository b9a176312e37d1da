"""Names for what is told of, and transactions that are taken back."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.contrib.auth.models import Group, User
from django.db import transaction

from batchapi import uncommitted

Told = list[set[str]]
GROUPS, USERS = {Group._meta.db_table}, {User._meta.db_table}
RENAME = "UPDATE auth_group SET name = 'renamed'"


class TakenBack(Exception):
    """So that a transaction is rolled back."""


@contextmanager
def taken_back() -> Iterator[None]:
    """A transaction, or a savepoint of one, that ends with an exception."""
    with suppress(TakenBack), transaction.atomic():
        yield
        raise TakenBack


@contextmanager
def listening(receiver: uncommitted.Receiver) -> Iterator[None]:
    uncommitted.receivers.append(receiver)
    try:
        yield
    finally:
        uncommitted.receivers.remove(receiver)
