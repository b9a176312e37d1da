"""Which tokens are names, and whether each name of a statement means what we think.

A name that is no column may be a function: PostgreSQL calls full_name(auth_user) for `auth_user.full_name`, Oracle
calls what stands alone. So each has to be a column of a table that is read, or be given by the statement.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from batchapi.reading.clock import MOMENT
from batchapi.reading.tables import Table
from batchapi.reading.tokens import OPERATORS
from batchapi.reading.words import KEYWORDS, PURE, REFUSED, TYPES

QUOTES = frozenset('"`')
SIGNS = frozenset("-+*/<>=~!@^&|?#")
MEANT = KEYWORDS | PURE | TYPES


class Untraceable(Exception):
    """The statement's rows may change without a write to a table that we know; its text says why in a word."""


def is_quoted(token: str) -> bool:
    return token[:1] in QUOTES


def is_name(token: str) -> bool:
    return is_quoted(token) or (token.isidentifier() and token.lower() not in KEYWORDS)


def plain(token: str) -> str:
    """A name as columns are compared: lower-case, without quotes."""
    return (token[1:-1] if is_quoted(token) else token).lower()


def names_among(tokens: Iterable[str]) -> set[str]:
    """The plain names among different tokens. Raises Untraceable for a token that is no part of traceable SQL."""
    names = set()
    for token in tokens:
        if is_quoted(token):
            names.add(token[1:-1].lower())
        elif token.isidentifier():
            word = token.lower()
            if word in REFUSED:
                raise Untraceable(REFUSED[word])
            if word not in MEANT:
                names.add(word)
        else:
            check_other(token)
    return names


def check_other(token: str) -> None:
    """Strings, numbers, placeholders, operators. PostgreSQL reads 'now' as a time where it needs one."""
    if not token or (token[0] in SIGNS and token not in OPERATORS):
        raise Untraceable("text")
    if token[0] == "'" and MOMENT.search(token):
        raise Untraceable("clock")


@dataclass(slots=True)
class Names:
    """What the names in a statement stand for, gathered on the way through it."""

    given: set[str] = field(default_factory=set)  # by the statement, to relations and columns
    derived: set[str] = field(default_factory=set)  # those that stand for queries, not tables
    tables: list[Table] = field(default_factory=list)  # that are read
    columns: dict[str, frozenset[str]] = field(default_factory=dict)  # by the name that a table goes by

    def add_table(self, name: str, table: Table) -> None:
        self.tables.append(table)
        self.columns[name] = self.columns.get(name, frozenset()) | table.columns

    def check(self, tokens: list[str], used: set[str]) -> None:
        """Raises Untraceable for a name that is neither a column nor given."""
        if used.difference(self.given, *(table.columns for table in self.tables)):
            raise Untraceable("name")
        dots = {(tokens[at - 1], tokens[at + 1]) for at, token in enumerate(tokens) if token == "."}
        for relation, column in dots:
            self.check_column(plain(relation), plain(column))

    def check_column(self, relation: str, column: str) -> None:
        if relation == ")":  # (auth_user).full_name
            raise Untraceable("name")
        columns = self.columns.get(relation)
        if columns is not None and column not in columns and column != "*" and relation not in self.derived:
            raise Untraceable("name")
