"""Which tables a SQL statement reads or writes.

A statement's words are held against the names of the project's tables, so that a name in a comment or a string makes
us assume too much, never too little.
"""

import re
from collections.abc import Mapping
from functools import cache, lru_cache

from django.apps import apps
from django.db.models import Model

WORD = re.compile(r"\w+")
COMMENT = (
    re.compile(  # Not what MySQL runs, /*! … */, nor one in another or with a lone CR: only PostgreSQL ends it there.
        r"(?:[\s(]|--[^\r\n]*\r?\n|/\*(?!M?!)(?:(?!/\*).)*?\*/)*", re.DOTALL
    )
)
READS = re.compile(
    r"""(?:SELECT|VALUES|FETCH|EXPLAIN(?!.*\bANALY[SZ]E\b)|SHOW|SAVEPOINT|RELEASE|BEGIN|START\s+TRANSACTION)\b
    |(?:ROLLBACK|ABORT|COMMIT|END)\b(?!\s+PREPARED\b)  # another transaction's
    |SET\b(?!\s+STATEMENT\b)  # MariaDB runs what follows
    |PRAGMA\s+(?:\w+\.)?\w+\s*;?\s*\Z  # with an argument most set something
    |PRAGMA\s+(?:defer_)?foreign_keys\s*=\s*\w+\s*;?\s*\Z  # what this connection checks
    |PRAGMA\s+(?:\w+\.)?
        (?:(?:table_x?|index_x?)info|(?:table|index|foreign_key)_list|(?:foreign_key|integrity|quick)_check)\s*\(""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
MORE = re.compile(r";(?=.*\S)", re.DOTALL)  # another statement may follow
INTO = re.compile(r"\bINTO\b", re.IGNORECASE)  # SELECT … INTO makes a table
WITH = re.compile(r"WITH\b", re.IGNORECASE)
WRITES = re.compile(r"\b(?:INSERT|UPDATE|DELETE|MERGE|REPLACE|INTO)\b", re.IGNORECASE)  # what WITH may introduce
RUNS_CODE = re.compile(rf"(?:\A|;){COMMENT.pattern}(?:CALL|DO|EXEC(?:UTE)?)\b", re.IGNORECASE | re.DOTALL)
DELETES = re.compile(r"\b(?:DELETE|TRUNCATE|DROP|MERGE|REPLACE)\b", re.IGNORECASE)

GAP = r"(?:\s|/\*.*?\*/|--[^\n]*\n)+"
TARGET = re.compile(  # what a statement writes to, by its last name
    rf"""\b(?:INSERT{GAP}(?:OR{GAP}\w+{GAP}|IGNORE{GAP})?INTO|(?:REPLACE|MERGE){GAP}INTO|DELETE{GAP}FROM|COPY
    |TRUNCATE(?:{GAP}TABLE)?|(?:DROP|ALTER){GAP}TABLE(?:{GAP}IF{GAP}EXISTS)?
    |(?<!\bDO\s)(?<!\bFOR\s)(?<!\bTHEN\s)(?<!\bKEY\s)UPDATE(?:{GAP}OR{GAP}\w+)?)
    {GAP}(?:ONLY{GAP})?(?:["`\[]?\w+["`\]]?\s*\.\s*)*["`\[]?(\w+)""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)

INSERT = re.compile(r"\s*INSERT\s+INTO\s[^()]+\([^()]*\)\s*VALUES\b", re.IGNORECASE)  # up to its rows

LONG = 10_000  # Characters of a statement that is not worth remembering: a bulk insert with its rows in it.


def look_at(sql: str) -> tuple[frozenset[str], bool]:
    """The tables that a statement names, and whether it may write them; remembered for statements that come again."""
    if len(sql) >= LONG:
        sql = without_rows(sql)
    return touched(sql) if len(sql) < LONG else touched.__wrapped__(sql)


def without_rows(sql: str) -> str:
    """A statement; of an INSERT with VALUES, which writes its own table only, no more than what names that."""
    insert = INSERT.match(sql)
    return insert[0] if insert and not MORE.search(sql) else sql


@lru_cache(maxsize=4096)
def touched(sql: str) -> tuple[frozenset[str], bool]:
    """The tables that a statement names, and whether it may write them.

    What writes to something else than known tables (a database view, a procedure) may write any: it counts as writing
    all. A statement that deletes may take rows of other tables with it, by the database's own ON DELETE CASCADE or SET
    NULL, so it counts as writing all that refer to one that it names.
    """
    tables = known_tables().intersection(map(str.lower, WORD.findall(sql)))
    if is_read(sql):
        return tables, False
    targets = {target.lower() for target in TARGET.findall(sql)}
    if RUNS_CODE.search(sql) or not targets or not targets <= tables:
        return known_tables(), True
    return with_referrers(tables) if DELETES.search(sql) else tables, True


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
    return frozenset[str]().union(*(words_of(model) for model in models))


def words_of(model: type[Model]) -> frozenset[str]:
    """How a statement names a model's table: in one word, or in two if its schema is a part of the name."""
    return frozenset(map(str.lower, WORD.findall(model._meta.db_table)))


def with_referrers(tables: frozenset[str]) -> frozenset[str]:
    """Tables, and those with a foreign key to one of them, and so on."""
    found, edge = tables, tables
    while edge:
        edge = frozenset[str]().union(*(referrers().get(table, ()) for table in edge)) - found
        found |= edge
    return found


@cache
def referrers() -> Mapping[str, frozenset[str]]:
    """For a table, those of all models with a foreign key to it: one-to-one, parent and many-to-many links as well."""
    found: dict[str, frozenset[str]] = {}
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.local_concrete_fields:
            if isinstance(field.related_model, type):
                for table in words_of(field.related_model):
                    found[table] = found.get(table, frozenset()) | words_of(model)
    return found
