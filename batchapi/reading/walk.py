"""A statement's tokens in, the tables that it reads out. Whatever it does not understand, it refuses.

A relation is told by where it stands: after FROM and JOIN, after a comma in a FROM list, and nowhere else; a place
where one database would see a relation and another would not is refused. Every other word has to be one of SQL's own, a
column of a table that is read, or a name that the statement gives.
"""

from collections.abc import Callable, Mapping

from batchapi.reading.cursor import Cursor, Level
from batchapi.reading.names import Names, Untraceable, is_name, is_quoted, plain
from batchapi.reading.tables import Table, Vendors
from batchapi.reading.words import (
    AFTER_RELATION,
    CLOCKS_OF_SQLITE,
    JOINS,
    OPENERS,
    OPENERS_AFTER,
    PURE,
    TAKE_FROM,
)


class Walk(Cursor):
    """One way through the tokens. Raises Untraceable."""

    def __init__(self, tokens: list[str], tables: Mapping[str, Table], vendors: Vendors) -> None:
        super().__init__(tokens)
        self.tables = tables  # that a relation's name may stand for
        self.is_mysql = "mysql" in vendors
        self.pure = PURE if "sqlite" in vendors else PURE | CLOCKS_OF_SQLITE
        self.names = Names()

    def walk(self) -> Names:
        """Go through it."""
        for at, word in enumerate(self.words):
            if word in STEPS and at > self.at:  # else a step before has gone past it
                self.at = at
                STEPS[word](self)
        if self.outside:
            raise Untraceable("text")
        return self.names

    # -- parentheses

    def open(self) -> None:
        before = self.word(-1)
        if before.isidentifier():
            self.check_call(before)
        elif is_quoted(before):
            raise Untraceable("function")
        self.push(Level(called=before))

    def check_call(self, name: str) -> None:
        """A function of a schema could be anybody's, whatever its name is."""
        before = self.word(-2)
        is_opener = name in OPENERS or before in OPENERS_AFTER.get(name, ())
        if before == "." or not (is_opener or name in self.pure):
            raise Untraceable("function")

    def close(self) -> None:
        if not self.outside:
            raise Untraceable("text")
        level, self.level = self.level, self.outside.pop()
        del self.ctes[level.ctes :]
        if level.is_relation:
            self.names.derived.add(self.step_over_name(""))
        elif level.cte:
            self.close_cte(level)

    # -- queries

    def select(self) -> None:
        self.level.is_query = True
        self.level.in_from = False

    def end_from(self) -> None:
        self.level.in_from = False

    def by(self) -> None:
        """GROUP and ORDER come without BY too, inside an expression."""
        if self.word(-1) in {"group", "order"}:
            self.level.in_from = False

    def lock(self) -> None:
        """FOR UPDATE names relations that are known; elsewhere FOR is a part of SUBSTRING, or a name."""
        if self.word(1) in {"update", "share", "no", "key"}:
            self.level.in_from = False

    def within(self) -> None:
        """SQLite takes the name of a relation after IN, too."""
        if self.word(1).isidentifier() or is_quoted(self.word(1)):
            raise Untraceable("relation")

    def give_name(self) -> None:
        """AS and COLLATE: a name follows that is no column's. After CAST it is a type, of those that we know."""
        following = self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else ""
        if self.level.called != "cast" and is_name(following):
            self.names.given.add(plain(following))

    # -- relations

    def from_(self) -> None:
        before = self.word(-1)
        if before == "distinct":  # IS DISTINCT FROM
            if self.word(-2) not in {"is", "not"}:
                raise Untraceable("text")
        elif self.level.is_query:
            self.level.in_from = True
            self.relation()
        elif self.level.called not in TAKE_FROM:
            raise Untraceable("text")

    def join(self) -> None:
        if not self.level.in_from:
            raise Untraceable("text")
        self.relation()

    def comma(self) -> None:
        if self.level.in_from:
            self.relation()

    def side(self) -> None:
        """LEFT and its like stand before a JOIN, or name a function. With APPLY they are another road to a relation."""
        if self.word(1) not in JOINS and self.word(1) != "(":
            raise Untraceable("relation")

    def relation(self) -> None:
        """Step onto what follows: a table, a name of WITH, or the parenthesis before a query or more relations."""
        if self.word(1) == "(":
            self.at += 1
            self.push(Level(is_relation=True))
            if self.word(1) not in {"select", "values", "with"}:
                self.level.in_from = True
                self.relation()
            return
        parts = [self.take_name()]
        while self.word(1) == ".":
            self.at += 1
            parts.append(self.take_name())
        if self.word(1) == "(":
            raise Untraceable("function")
        self.know(parts)

    def know(self, parts: list[str]) -> None:
        """Find out what a relation's name stands for. One of WITH may hide a table; then we say both."""
        is_cte = len(parts) == 1 and parts[0] in self.ctes
        table = self.tables.get('"."'.join(map(self.spell, parts)))
        if not table and not is_cte:
            raise Untraceable("relation")
        self.names.given.update(map(plain, parts))
        name = self.step_over_name(plain(parts[-1]))
        if table:
            self.names.add_table(name, table)
        if is_cte:
            self.names.derived.add(name)

    def spell(self, part: str) -> str:
        """A name as the database has it: an unquoted one is folded, but for MySQL."""
        if is_quoted(part):
            return part[1:-1]
        return part if self.is_mysql else part.lower()

    def step_over_name(self, name: str) -> str:
        """Step onto the name that a relation may be given, and return the one that it goes by."""
        if self.word(1) == "as":
            self.at += 1
            name = plain(self.take_name())
        elif is_name(self.word(1)):
            name = plain(self.take_name())
        if self.word(1) not in AFTER_RELATION:
            raise Untraceable("relation")
        self.names.given.add(name)
        return name

    # -- WITH

    def with_(self) -> None:
        if self.word(-1) in {"", "("}:
            is_recursive = self.word(1) == "recursive"
            self.at += is_recursive
            self.open_cte(is_recursive=is_recursive)
        elif self.word(1) != "time":  # WITH TIME ZONE
            raise Untraceable("text")

    def open_cte(self, *, is_recursive: bool) -> None:
        """Step from before a name of WITH into the parenthesis of its query."""
        name = self.take_name()
        self.names.given.add(plain(name))
        if self.word(1) == "(":
            self.at += 1
            self.take_columns()
        self.at += 1
        if self.word(0) != "as":
            raise Untraceable("text")
        self.at += self.word(1) == "not"
        self.at += self.word(1) == "materialized"
        self.at += 1
        if self.word(0) != "(":
            raise Untraceable("text")
        if is_recursive:
            self.ctes.append(name)
        self.push(Level(cte=name, is_recursive=is_recursive))

    def take_columns(self) -> None:
        while self.word(0) != ")":
            self.names.given.add(plain(self.take_name()))
            self.at += 1
            if self.word(0) not in {",", ")"}:
                raise Untraceable("text")

    def close_cte(self, level: Level) -> None:
        """Its name is known from here on to the end of the parenthesis around; in its own query if it is recursive."""
        if not level.is_recursive:
            self.ctes.append(level.cte)
        if self.word(1) == ",":
            self.at += 1
            self.open_cte(is_recursive=level.is_recursive)
        elif self.word(1) not in {"select", "values", "("}:
            raise Untraceable("text")


STEPS: dict[str, Callable[[Walk], None]] = {
    "(": Walk.open,
    ")": Walk.close,
    ",": Walk.comma,
    "select": Walk.select,
    "values": Walk.select,
    "from": Walk.from_,
    "join": Walk.join,
    **dict.fromkeys(JOINS - {"join"}, Walk.side),
    **dict.fromkeys(["where", "having"], Walk.end_from),
    "by": Walk.by,
    "for": Walk.lock,
    "in": Walk.within,
    **dict.fromkeys(["as", "collate"], Walk.give_name),
    "with": Walk.with_,
}
