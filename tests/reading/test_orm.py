"""What Django's ORM generates is traced, and to the tables that the database itself says it reads."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import (
    Avg,
    Case,
    Count,
    Exists,
    F,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextField,
    Value,
    When,
    Window,
)
from django.db.models import functions as f
from django.db.models.sql import Query
from hypothesis import given
from hypothesis import strategies as st

from batchapi.reading import trace
from chat.models import Message, Session
from tests.reading.truth import truth

Rows = QuerySet[Any]
Change = Callable[[Rows], Rows]

TEXTS = {User: "username", Session: "title", Message: "content", Group: "name", Permission: "codename"}
TIMES = {User: "date_joined", Session: "created_at", Message: "created_at"}
NEIGHBOURS = {
    User: ["groups", "user_permissions", "chat_sessions", "chat_sessions__messages", "groups__permissions"],
    Session: ["owner", "messages", "owner__groups"],
    Message: ["session", "session__owner", "session__owner__groups"],
    Group: ["user", "permissions", "permissions__content_type"],
    Permission: ["content_type", "group", "user"],
}
PARENTS = {User: None, Session: "owner", Message: "session__owner", Group: None, Permission: "content_type"}
LOOKUPS = [
    "exact",
    "iexact",
    "contains",
    "icontains",
    "startswith",
    "iendswith",
    "regex",
    "iregex",
    "gt",
    "in",
    "isnull",
]
OF_TEXT: list[Callable[[str], Any]] = [
    f.Lower,
    f.Length,
    f.Trim,
    f.Reverse,
    f.MD5,
    lambda name: f.Substr(name, 2, 3),
    lambda name: f.Concat(F(name), Value("-"), F(name), output_field=TextField()),
    lambda name: f.Coalesce(f.NullIf(F(name), Value("x")), Value("y"), output_field=TextField()),
    lambda name: f.StrIndex(F(name), Value("a")),
    lambda name: f.Left(name, 2),
    lambda name: f.Replace(F(name), Value("a"), Value("b"), output_field=TextField()),
    lambda name: Case(When(**{name: "a"}, then=Value(1)), default=Value(2)),
    lambda name: f.Greatest(F(name), Value("m"), output_field=TextField()),
]
OF_TIME: list[Callable[[str], Any]] = [
    *[f.TruncYear, f.TruncMonth, f.TruncWeek, f.TruncDay, f.TruncHour, f.TruncDate, f.TruncTime],
    *[f.ExtractYear, f.ExtractIsoYear, f.ExtractWeek, f.ExtractWeekDay, f.ExtractQuarter, f.ExtractSecond],
]
OVER: list[Any] = [f.RowNumber(), f.Rank(), f.DenseRank(), Count("pk"), f.Lag("pk"), f.Ntile(4), f.FirstValue("pk")]
MODELS = list(TEXTS)


def where(lookup: str, neighbour: str, *, is_either: bool, is_negated: bool) -> Change:
    def change(rows: Rows) -> Rows:
        value: Any = {"in": ["a", "b"], "isnull": True}.get(lookup, "a")
        first, second = Q(**{f"{TEXTS[rows.model]}__{lookup}": value}), Q(**{f"{neighbour}__gt": 3})
        condition = first | second if is_either else first & second
        return rows.exclude(condition) if is_negated else rows.filter(condition)

    return change


def inside(other: type[Any], kind: str, name: str) -> Change:
    """A query in the query."""

    def change(rows: Rows) -> Rows:
        mine = other._default_manager.filter(pk=OuterRef("pk"))
        if kind == "exists":
            return rows.filter(Exists(mine) | Q(pk=1))
        if kind == "in":
            return rows.filter(pk__in=other._default_manager.order_by("pk").values("pk")[:3])
        return rows.annotate(**{name: Subquery(mine.order_by("-pk").values(TEXTS[other])[:1])})

    return change


def calls(name: str, over: Any, *, is_filtered: bool) -> Change:
    def change(rows: Rows) -> Rows:
        rows = rows.annotate(**{name: Window(over, partition_by=TEXTS[rows.model], order_by="-pk")})
        return rows.filter(**{f"{name}__lt": 3}) if is_filtered else rows

    return change


@st.composite
def changes(draw: st.DrawFn, model: type[Any], name: str) -> Change:
    neighbour = draw(st.sampled_from(NEIGHBOURS[model]))
    text, time = TEXTS[model], TIMES.get(model)
    column: Any = draw(st.sampled_from(OF_TEXT))(text)
    if time and draw(st.booleans()):
        column = draw(st.sampled_from(OF_TIME))(time)
    total = draw(st.sampled_from([Count(neighbour, distinct=True), Max(f"{neighbour}__pk"), Avg("pk")]))
    change = where(
        draw(st.sampled_from(LOOKUPS)), neighbour, is_either=draw(st.booleans()), is_negated=draw(st.booleans())
    )
    kinds: list[Change] = [
        change,
        lambda rows: rows.annotate(**{name: column}),
        lambda rows: rows.annotate(**{name: total}).filter(**{f"{name}__gt": 1}),
        lambda rows: rows.order_by(f"-{neighbour}__pk", f.Lower(text).desc(nulls_last=True)),
        inside(draw(st.sampled_from(MODELS)), draw(st.sampled_from(["exists", "in", "value"])), name),
    ]
    return draw(st.sampled_from(kinds))


@st.composite
def endings(draw: st.DrawFn, model: type[Any]) -> Change:
    over, text = draw(st.sampled_from(OVER)), TEXTS[model]
    is_filtered = draw(st.booleans())
    kinds: list[Change] = [
        lambda rows: rows,
        lambda rows: rows.distinct(),
        lambda rows: rows[2:5],
        lambda rows: rows.values(text).annotate(n=Count("pk")).order_by("-n"),
        lambda rows: rows.select_related(PARENTS[model]),
        lambda rows: rows.order_by().values("id").union(model.objects.order_by().values("id")).order_by("id"),
        lambda rows: rows.order_by().values("id").intersection(model.objects.order_by().values("id")).order_by("id"),
        calls("over", over, is_filtered=is_filtered),
    ]
    return draw(st.sampled_from(kinds))


@st.composite
def orm_queries(draw: st.DrawFn) -> Query:
    """Not a queryset: Hypothesis would show its rows, so it would run."""
    model = draw(st.sampled_from(MODELS))
    rows: Rows = model.objects.all()
    for step in range(draw(st.integers(0, 3))):
        rows = draw(changes(model, f"step_{step}"))(rows)
    return draw(endings(model))(rows).query


def compiled(query: Query, connection: BaseDatabaseWrapper) -> tuple[str, Any]:
    return query.get_compiler(connection=connection).as_sql()


def queries(part: Any, seen: set[int]) -> Iterator[Query]:
    """All queries in a part of a query, itself included."""
    if id(part) in seen or not (hasattr(part, "get_source_expressions") or isinstance(part, Query)):
        return
    seen.add(id(part))
    if isinstance(part, Query):
        yield part
        inner = [part.where, *part.annotations.values(), *part.combined_queries, *part.order_by]
    else:
        inner = [getattr(part, "query", None), *part.get_source_expressions()]
    for child in [*inner, getattr(part, "rhs", None), *getattr(part, "children", [])]:
        yield from queries(child, seen)


def joined(whole: Query, sql: str) -> set[str]:
    """The tables that Django's own query has joined, but for those that it left out of the SQL after all."""
    return {
        join.table_name
        for query in queries(whole, set())
        for alias, join in query.alias_map.items()
        if query.alias_refcount[alias] and f'"{join.table_name}"' in sql
    }


@pytest.fixture(params=["sqlite", "postgresql"])
def connection(request: pytest.FixtureRequest) -> BaseDatabaseWrapper:
    wrapper: BaseDatabaseWrapper = request.getfixturevalue(request.param)
    return wrapper


def test_every_query_is_traced_to_what_it_reads(connection: BaseDatabaseWrapper, django_db_blocker: Any) -> None:
    """The database's word counts: what it reads we know. What Django has joined we know too, if it was planned away."""

    @given(orm_queries())
    def check(query: Query) -> None:
        sql, params = compiled(query, connection)
        reading = trace(sql, frozenset({connection.vendor}))
        assert not reading.why_not, sql
        assert truth(connection, sql, params)[0] <= reading.tables, sql
        assert joined(query, sql) <= reading.tables, sql

    with django_db_blocker.unblock():
        check()


def test_nothing_is_added_to_what_a_plain_query_reads(sqlite: BaseDatabaseWrapper) -> None:
    sql, _ = compiled(Session.objects.with_summary().filter(owner__groups__name="x").query, sqlite)
    expected = {"chat_session", "chat_message", "auth_user", "auth_user_groups", "auth_group"}
    assert trace(sql, frozenset({"sqlite"})) == (expected, "")


def test_a_row_that_is_locked_is_traced_unless_locked_ones_are_skipped(
    postgresql: BaseDatabaseWrapper, django_db_blocker: Any
) -> None:
    """Which rows others have locked no statement of ours shows."""

    def why_not(**options: Any) -> str:
        rows = Message.objects.select_related("session").select_for_update(**options)
        with django_db_blocker.unblock():
            postgresql.set_autocommit(False)
            try:
                sql, _ = compiled(rows.query, postgresql)
            finally:
                postgresql.set_autocommit(True)
        return trace(sql, frozenset({"postgresql"})).why_not

    assert not why_not(of=("self", "session"), no_key=True)
    assert not why_not(nowait=True)
    assert why_not(skip_locked=True)
