"""What a value says, as text that no other value has: for what a kept answer is found by."""

from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Model
from django.utils.crypto import salted_hmac

SCALARS = (str, int, float, bytes, date, time, timedelta, Decimal, UUID)
ANONYMOUS = ("django.contrib.auth.models", "AnonymousUser")


class IndescribableError(Exception):
    """Nobody can tell whether two of these are the same."""


def describe(value: Any) -> str:
    """A value as text. Raises IndescribableError for what is neither plain data nor a row."""
    kind = value.__class__  # of what is behind a lazy object
    if value is None or isinstance(value, SCALARS):
        return f"{kind.__name__}:{value!r}"
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(describe, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(sorted(f'{describe(key)}={describe(item)}' for key, item in value.items()))}}}"
    if isinstance(value, Model):
        return describe_row(value)
    if (kind.__module__, kind.__qualname__) == ANONYMOUS:
        return "anonymous"
    raise IndescribableError(f"{kind.__module__}.{kind.__qualname__}")


def key_of(user: Any) -> str:
    """The primary key of a user, "" for nobody in particular."""
    pk = getattr(user, "pk", None)
    return "" if pk is None else str(pk)


def seal(text: str) -> str:
    """An HMAC of what nobody should read in a cache."""
    return salted_hmac("batchapi.identity", text, algorithm="sha256").hexdigest()


def describe_row(row: Model) -> str:
    """All that is in a row, as `dumpdata` would write it; without what was not loaded."""
    missing = row.get_deferred_fields()
    fields = [field for field in row._meta.concrete_fields if field.attname not in missing]
    values = [(field.attname, getattr(row, field.attname) is None, field.value_to_string(row)) for field in fields]
    return f"{row._meta.label}{values!r}"


def describe_auth(auth: object) -> str:
    """What an authenticator says of the credential: a row, or an object of its own that says what it holds.

    It was made from a credential that is described elsewhere; one that cannot be described is never the same again.
    """
    try:
        return describe(auth)
    except IndescribableError:
        return f"{type(auth).__qualname__}:{auth!s}"
