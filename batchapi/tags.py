"""Which tables a SQL statement reads or writes.

A statement's words are held against the names of the project's tables, so that a name in a comment or a string makes
us assume too much, never too little.
"""

import re
from functools import cache, lru_cache

from django.apps import apps

WORD = re.compile(r"\w+")
COMMENT = re.compile(r"(?:[\s(]|--[^\n]*\n|/\*(?!!).*?\*/)*", re.DOTALL)  # and what MySQL runs: /*! … */
READS = re.compile(
    r"(?:SELECT|VALUES|FETCH|EXPLAIN(?!.*\bANALY[SZ]E\b)|PRAGMA(?!.*=)|SHOW|SAVEPOINT|RELEASE|ROLLBACK|BEGIN|COMMIT|SET)\b",
    re.IGNORECASE | re.DOTALL,
)
MORE = re.compile(r";(?=.*\S)", re.DOTALL)  # another statement may follow
INTO = re.compile(r"\bINTO\b", re.IGNORECASE)  # SELECT … INTO makes a table
WITH = re.compile(r"WITH\b", re.IGNORECASE)
WRITES = re.compile(r"\b(?:INSERT|UPDATE|DELETE|MERGE|REPLACE|INTO)\b", re.IGNORECASE)  # what WITH may introduce

LONG = 10_000  # Characters of a statement that is not worth remembering: a bulk insert with its rows in it.


def look_at(sql: str) -> tuple[frozenset[str], bool]:
    """The tables that a statement names, and whether it may write them; remembered for statements that come again."""
    return touched(sql) if len(sql) < LONG else touched.__wrapped__(sql)


@lru_cache(maxsize=4096)
def touched(sql: str) -> tuple[frozenset[str], bool]:
    """The tables that a statement names, and whether it may write them.

    A writing statement that names no known table may write any, so it counts as writing all.
    """
    tables = known_tables().intersection(map(str.lower, WORD.findall(sql)))
    return (tables, False) if is_read(sql) else (tables or known_tables(), True)


def is_read(sql: str) -> bool:
    """Whether a statement only reads: by how it begins, after comments that some tools put in front.

    What a function of the database's own does nobody sees.
    """
    if MORE.search(sql):
        return False
    start = COMMENT.match(sql)
    begin = start.end() if start else 0
    if WITH.match(sql, begin):
        return not WRITES.search(sql, begin)
    return bool(READS.match(sql, begin)) and not INTO.search(sql, begin)


@cache
def known_tables() -> frozenset[str]:
    """The tables of all models, with the ones that join many-to-many relations; lower-case."""
    models = apps.get_models(include_auto_created=True)
    return frozenset(word.lower() for model in models for word in WORD.findall(model._meta.db_table))
