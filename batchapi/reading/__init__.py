"""A SQL statement in, the tables that its rows follow from out; or why that cannot be said.

An answer may be kept until one of these tables is written. So a statement is traceable only if all of it is
understood: every relation is the table of a managed model, every function follows from its arguments alone, no word
stands for a clock, a session or a catalog. What no statement shows stays unseen: row-level security, a type or an
operator of the database's own, a built-in function that somebody has replaced, an ISO date in a text column that is
cast.
"""

from functools import lru_cache
from typing import NamedTuple

from batchapi import tags
from batchapi.reading.clock import binds_time
from batchapi.reading.names import Untraceable, names_among
from batchapi.reading.tables import Vendors, managed_tables, vendors
from batchapi.reading.tokens import UNLIKE_MYSQL, cut
from batchapi.reading.walk import Walk

__all__ = ["Reading", "binds_time", "read_tables", "trace"]

QUERIES = frozenset(["select", "values", "with", "("])
ROWLESS = frozenset(["set", "savepoint", "release", "rollback", "begin", "commit"])


class Reading(NamedTuple):
    """What a statement read.

    `tables` are lower-case, as `tags` names them; of a statement that cannot be traced, all those that it names.
    `why_not` is empty for one that can, else one of: relation, function, clock, session, catalog, name, text,
    statement, write.
    """

    tables: frozenset[str]
    why_not: str


def read_tables(sql: str) -> Reading:
    """What a statement reads, on the databases that the project has; remembered for statements that come again."""
    return remembered(sql) if len(sql) < tags.LONG else remembered.__wrapped__(sql)


@lru_cache(maxsize=4096)
def remembered(sql: str) -> Reading:
    return trace(sql, vendors())


def trace(sql: str, vendors: Vendors) -> Reading:
    """What a statement reads, if it may run on any of these kinds of database."""
    tables, is_write = tags.look_at(sql)
    if is_write:
        return Reading(tables, "write")
    try:
        return Reading(understand(sql, vendors), "")
    except Untraceable as untraceable:
        return Reading(tables, str(untraceable))


def understand(sql: str, vendors: Vendors) -> frozenset[str]:
    """The tables that a reading statement reads. Raises Untraceable."""
    if "mysql" in vendors and UNLIKE_MYSQL.search(sql):
        raise Untraceable("text")
    tokens = cut(sql)
    begin = tokens[0].lower()
    if begin in ROWLESS:
        return frozenset()
    if begin not in QUERIES:  # EXPLAIN, SHOW, PRAGMA, FETCH tell of what no table has
        raise Untraceable("statement")
    used = names_among(set(tokens))
    names = Walk(tokens, managed_tables(vendors), vendors).walk()
    names.check(tokens, used)
    return frozenset[str]().union(*(table.words for table in names.tables))
