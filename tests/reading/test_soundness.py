"""No statement that a database accepts is traced while it reads what we do not know: good statements, broken at random.

The databases have views on a table that no model has, under names that could pass for a keyword or an alias.
"""

from contextlib import suppress
from typing import Any

import pytest
from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from hypothesis import given
from hypothesis import strategies as st

from batchapi.reading import trace
from batchapi.reading.words import words
from tests.reading.truth import HIDDEN, truth

GOOD = """
SELECT id FROM auth_user WHERE id = 1
SELECT u . id , u . username FROM auth_user u , chat_session AS s WHERE u . id = s . owner_id ORDER BY 1
SELECT u . id FROM auth_user AS u LEFT JOIN chat_session s ON ( u . id = s . owner_id ) GROUP BY u . id
SELECT id FROM ( SELECT id FROM auth_user ) AS y UNION SELECT id FROM chat_session
WITH x AS ( SELECT id , title FROM chat_session ) SELECT id FROM x WHERE id IN ( SELECT id FROM auth_user )
WITH RECURSIVE n ( id ) AS ( SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 3 ) SELECT id FROM n , auth_group g
SELECT count ( * ) FROM auth_user u INNER JOIN ( chat_session s CROSS JOIN chat_message ) ON u . id = s . owner_id
SELECT id FROM ( WITH z AS ( SELECT 1 AS id ) SELECT id FROM z ) y
SELECT DISTINCT title FROM chat_session WHERE title IS NOT DISTINCT FROM 'a' AND EXISTS ( SELECT 1 FROM auth_user )
SELECT lower ( title ) , trim ( BOTH FROM title ) FROM chat_session LIMIT 3 OFFSET 1
VALUES ( 1 ) , ( 2 )
""".strip().splitlines()
WORDS = sorted(
    words(
        r"""title username x "x" "offset" offset "for" for "only" only "Auth_User" auth_user chat_session id AS , . ( )
        FROM JOIN LEFT NATURAL CROSS OUTER FULL IN NOT WHERE UNION SELECT VALUES TABLE WITH RECURSIVE ON USING LATERAL
        ONLY DISTINCT IS main public window limit left key row rows 1 'a' ' " -- /* */ ; * = ~ [ ] [where] [x] `x` $a$
        E'\\' '\' 'now' now() random () GROUP BY ORDER HAVING OVER FILTER current_date rowid :: date"""
    )
)
ROADS = (
    """
, title|, title ON true|, username AS u2|JOIN title ON true|CROSS JOIN x|LEFT JOIN title t2 ON true|, ( title )
, only|FROM title|OR id IN title|AND id NOT IN title|OR id IN x
IN title|IN main . title|IN ( SELECT id FROM title )|IN ( TABLE title )|EXISTS ( TABLE x )|UNION SELECT id FROM title
offset , title|for , title|left , title|window , title|y , title|AS offset , title|AS z , title|UNION TABLE x
( SELECT max ( id ) FROM title )|( SELECT id FROM x LIMIT 1 )|( WITH x AS ( SELECT 1 AS id ) SELECT id FROM x ) , x
WITH x AS ( SELECT id FROM x )|, x AS ( SELECT id FROM x )|, w AS ( TABLE x )|FROM title AS auth_user|FROM x auth_user
[where] , title|'\\' , title --'\n|-- a\n|-- a\r, title\n|/* /* */ , title -- */\n|"a""b" , title|ORDER BY 1
""".strip()
    .replace("\n", "|")
    .split("|")
)


@st.composite
def statements(draw: st.DrawFn) -> str:
    """A good statement with a few of its words replaced, or more put between them."""
    tokens = draw(st.sampled_from(GOOD)).split()
    for broken in draw(st.lists(st.sampled_from(ROADS) | st.sampled_from(WORDS), min_size=1, max_size=3)):
        at, width = draw(st.integers(0, len(tokens))), draw(st.integers(0, 1))
        tokens[at : at + width] = [broken]
    return " ".join(tokens)


@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_what_is_traced_reads_nothing_else(vendor: str, request: pytest.FixtureRequest, django_db_blocker: Any) -> None:
    connection: BaseDatabaseWrapper = request.getfixturevalue(vendor)

    @given(statements())
    def check(sql: str) -> None:
        reading = trace(sql, frozenset({vendor}))
        if reading.why_not:
            return
        with suppress(DatabaseError):
            tables, _ = truth(connection, sql, None)
            assert HIDDEN not in tables
            assert tables <= reading.tables

    with django_db_blocker.unblock():
        check()
