"""SQL in, its tokens out, or a refusal of what databases do not agree on how to cut.

SQLite, PostgreSQL, MySQL and Oracle each have their own strings, comments and names. A statement that two of them would
cut in different places could hide a relation from us, so it is refused: a backslash in a string, a comment in a
comment, `--` without a space, a dollar quote, a name in brackets.
"""

import re

from batchapi.reading.words import words

SPACE = r"[ \t\r\n\f]*+"
COMMENT = r"""(?:
    --(?=[ \t\r\n])[^\r\n]*(?=\r?\n)           # MySQL wants the space; only PostgreSQL ends it at a lone CR
  | /\*(?!M?!|\+)(?:(?!/\*|\*/).)*\*/          # neither what MySQL runs, /*! … */, nor nested: only PostgreSQL nests
)"""
TOKEN = r"""
    "[^"\\]*"(?!") | `[^`\\]*`(?!`)            # a name
  | [(),;] | \.(?!\d)
  | [eE]'(?:\\\\|\\?[%_])*'(?!')               # of PostgreSQL's strings with escapes, those that Django writes
  | [^\W\d]\w*+(?!')                           # a word; before a quote it would be a prefix: N'…', q'[…]', _utf8'…'
  | %s | %\(\w+\)s | \$\d+(?!\w) | ::
  | :[^\W\d]\w*+                               # :name
  | '(?:[^'\\]|'')*+' | '\\(?:\\|%%|_|\\\\\\)?'(?!')  # with a backslash only what Django writes
  | (?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)(?![\w.])
  | \[(?:[\d\s,:]|%s)*\]                       # a place in an array, or values of one
  | [-+*/<>=~!@^&|?\#]+ | %%?
"""
TOKENS = re.compile(f"{SPACE}(?:{COMMENT}{SPACE})*+({TOKEN}|(?=.))", re.VERBOSE | re.DOTALL)
END = ";"
UNLIKE_MYSQL = re.compile(r"'\\'|#|@@")  # An open string, a comment and a variable there; text and operators elsewhere.

OPERATORS = words(
    """( ) , ; . :: %s + - * / % %% < > = <> != <= >= <=> || | & ^ << >> ~ ~* !~ !~* ~~ ~~* !~~ !~~*
    -> ->> #> #>> #- @> <@ && @@ ? ?| ?& -|- &< &> <-> <<-> <->> <<<-> <->>> % <% %> <<% %>> =- *- +- /-"""
)


def cut(sql: str) -> list[str]:
    """The tokens of a statement, END last. One that is empty stands for text that has no meaning to us."""
    return TOKENS.findall(f"{sql}\n{END}")
