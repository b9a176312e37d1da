"""Whether a parameter stands for a moment."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb
from psycopg.types.range import Range

from batchapi.reading import binds_time
from chat.models import Message

MOMENTS: list[Any] = [
    date(2026, 1, 2),
    datetime(2026, 1, 2, tzinfo=UTC),
    time(3, 4),
    timedelta(days=1),
    "2026-01-02",
    " 2026-01-02T03:04:05Z",
    "12026-01-02",
    "-2026-01-02",
    "20260102T030405",
    "3:04",
    "03:04:05",
    "T03:04",
    "now",
    " Today 10:00",
    "tomorrow",
    "YESTERDAY",
    Jsonb({"at": "2026-01-02"}),
    Range(date(2026, 1, 2), None),
    object(),
]
OTHERS: list[Any] = [
    None,
    True,
    20260102,
    1.5,
    Decimal("2026.01"),
    b"2026-01-02",
    UUID("20260102-0304-0506-0708-091011121314"),
    "20260102-0304-0506-0708-091011121314",
    "",
    "x",
    "%known%",
    "nowhere",
    "20260102",
    "on 2026-01-02",
    Jsonb(["x", {"y": 1}]),
    Message.Role.USER,
]


@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: ("x", v), lambda v: {"n": v}, lambda v: [(1, [v])]])
@pytest.mark.parametrize(("value", "is_moment"), [*((v, True) for v in MOMENTS), *((v, False) for v in OTHERS)])
def test_a_moment_is_found_wherever_it_is(value: Any, is_moment: bool, wrap: Any) -> None:
    assert binds_time(wrap(value)) is is_moment
