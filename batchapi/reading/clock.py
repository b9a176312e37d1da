"""Whether a value stands for a moment: an answer made with it is another one later, though no row has changed."""

import re
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

MOMENT = re.compile(
    r"(?<![^\W\d_])(?:now|today|tomorrow|yesterday)(?![^\W\d_])", re.IGNORECASE
)  # to PostgreSQL, SQLite
ISO = re.compile(r"\s*(?:[+-]?\d{4,6}-\d\d|T?\d\d?:\d\d|\d{8}T\d)", re.IGNORECASE)
TIMES = (date, time, timedelta)  # a datetime is a date
PLAIN = (int, float, complex, Decimal, bytes, bytearray, memoryview, UUID, IPv4Address, IPv6Address, type(None))


def binds_time(params: object) -> bool:
    """Whether a statement's parameters have a date, time, datetime or timedelta among them, or a string that is one.

    Strings are looked at from their start, for ISO 8601, and for the words that PostgreSQL takes for a moment. What is
    of a type that we do not know counts as a time; Django's and psycopg's JSON is looked into. Numbers are never one.
    """
    if isinstance(params, str):
        return bool(ISO.match(params) or MOMENT.search(params))
    if isinstance(params, PLAIN):
        return False
    if isinstance(params, TIMES):
        return True
    if isinstance(params, Mapping):
        return any(map(binds_time, params.values()))
    if isinstance(params, list | tuple | set | frozenset):
        return any(map(binds_time, params))
    return binds_time(params.obj) if hasattr(params, "obj") else True
