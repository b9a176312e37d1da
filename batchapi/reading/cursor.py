"""A place among a statement's tokens: what stands around it, and in which parentheses it is."""

from dataclasses import dataclass

from batchapi.reading.names import Untraceable, is_name


@dataclass(slots=True)
class Level:
    """What stands between two parentheses, or in none."""

    called: str = ""  # the function or keyword that it belongs to
    cte: str = ""  # the name that is given to it by WITH
    is_relation: bool = False  # stands in a FROM list
    is_recursive: bool = False  # one of WITH RECURSIVE
    is_query: bool = False  # SELECT was seen
    in_from: bool = False  # a comma brings the next relation
    ctes: int = 0  # how many names of WITH were known outside


class Cursor:
    """Where we are in a statement."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.words = list(map(str.lower, tokens))
        self.at = -1
        self.level = Level()
        self.outside: list[Level] = []
        self.ctes: list[str] = []  # names of WITH as they are written: a quoted one is another than an unquoted one

    def word(self, offset: int) -> str:
        """A word before or after this place; empty where there is none."""
        place = self.at + offset
        return self.words[place] if 0 <= place < len(self.words) else ""

    def take_name(self) -> str:
        """Step onto a name."""
        self.at += 1
        if self.at >= len(self.tokens) or not is_name(self.tokens[self.at]):
            raise Untraceable("relation")
        return self.tokens[self.at]

    def push(self, level: Level) -> None:
        """Go into a parenthesis."""
        level.ctes = len(self.ctes)
        self.outside.append(self.level)
        self.level = level
