"""What a value says, as text that no other value has: for what a kept answer is found by."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Model
from django.utils.crypto import salted_hmac
from django.utils.functional import LazyObject

SCALARS = (str, int, float, bytes, datetime, date, time, timedelta, Decimal, UUID)  # A datetime is a date as well.
PREFETCHED = "_prefetched_objects_cache"  # of a row: the querysets that prefetch_related has filled, by name
ANONYMOUS = ("django.contrib.auth.models", "AnonymousUser")


class IndescribableError(Exception):
    """Nobody can tell whether two of these are the same."""


def describe(value: Any) -> str:
    """A value as text. Raises IndescribableError for what is neither plain data nor a row."""
    kind = value.__class__  # of what is behind a lazy object
    if value is None:
        return "None"
    for scalar in SCALARS:
        if issubclass(kind, scalar):
            return f"{kind.__name__}:{scalar.__repr__(unwrap(value))}"  # Its own may show asterisks, as of a secret.
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(describe, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(sorted(f'{describe(key)}={describe(item)}' for key, item in value.items()))}}}"
    if isinstance(value, (set, frozenset)):
        return f"<{','.join(sorted(map(describe, value)))}>"
    if isinstance(value, Model):
        return describe_row(value) + describe_loaded(unwrap(value))
    if (kind.__module__, kind.__qualname__) == ANONYMOUS and not vars(unwrap(value)):
        return "anonymous"
    raise IndescribableError(f"{kind.__module__}.{kind.__qualname__}")


def unwrap(value: Any) -> Any:
    """What is behind a lazy object, once it has been looked at."""
    return value._wrapped if issubclass(type(value), LazyObject) else value


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


def describe_loaded(row: Model, *, above: tuple[Model, ...] = ()) -> str:
    """All that came along with a row: related rows, and what queries or middleware have hung on it.

    Whoever reads that asks the database nothing, so nothing else would tell when it is outdated. `above` are the rows
    that it came along with itself.
    """
    known = {"_state", PREFETCHED, *(field.attname for field in row._meta.concrete_fields)}
    hung = {name: value for name, value in vars(row).items() if name not in known}
    related = dict(row._state.fields_cache)
    for name, rows in vars(row).get(PREFETCHED, {}).items():
        related |= {f"{name} {place}": other for place, other in enumerate(rows)}
    above = (*above, row)
    loaded = {
        name: describe_row(other) + ("" if any(other is one for one in above) else describe_loaded(other, above=above))
        for name, other in related.items()
        if other is not None
    }
    return describe([hung, loaded]) if hung or related else ""


def describe_auth(auth: object) -> str:
    """What an authenticator says of the credential: a row, or an object of its own that says what it holds.

    It was made from a credential that is described elsewhere; one that cannot be described is never the same again.
    """
    try:
        return describe(auth)
    except IndescribableError:
        return f"{type(auth).__qualname__}:{auth!s}"
