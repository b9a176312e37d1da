"""Statements that people write: what can be traced to tables, and what may change without a write to one."""

import pytest

from batchapi.reading import Reading, read_tables, trace

SQLITE, POSTGRESQL, MYSQL, ORACLE = (frozenset({name}) for name in ("sqlite", "postgresql", "mysql", "oracle"))
ALL = SQLITE | POSTGRESQL
USER, SESSION = {"auth_user"}, {"chat_session"}

TRACED: list[tuple[str, set[str]]] = [
    ("SELECT 1", set()),
    ("VALUES (1, 2), (3, 4)", set()),
    ('SELECT * FROM "auth_user"', USER),
    ("select u.username from auth_user u, chat_session as s where u.id = s.owner_id;", USER | SESSION),
    ("SELECT username FROM AUTH_USER", USER),
    ('SELECT * FROM "public"."auth_user"', USER),
    ("SELECT * FROM main.auth_user", USER),
    ("SELECT * FROM (auth_user JOIN chat_session ON true)", USER | SESSION),
    ("SELECT * FROM ((SELECT 1) UNION (SELECT id FROM auth_user)) x", USER),
    ("(SELECT id FROM auth_user) UNION ALL (SELECT id FROM chat_session) ORDER BY 1", USER | SESSION),
    ("SELECT 1 WHERE EXISTS(SELECT 1 FROM auth_user)", USER),
    ("SELECT id FROM auth_user WHERE id IN (SELECT owner_id FROM chat_session) AND id IN (1, 2)", USER | SESSION),
    ("WITH x AS (SELECT id FROM auth_user) SELECT * FROM x", USER),
    ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n, auth_user", USER),
    (
        "WITH a AS NOT MATERIALIZED (SELECT 1), b AS (SELECT * FROM a) SELECT * FROM b JOIN chat_session ON true",
        SESSION,
    ),
    ("WITH auth_user AS (SELECT 1) SELECT * FROM auth_user", USER),
    (
        "SELECT EXTRACT(YEAR FROM created_at), TRIM(BOTH FROM title), SUBSTRING(title FROM 1 FOR 2) FROM chat_session",
        SESSION,
    ),
    ("SELECT id FROM auth_user WHERE username IS NOT DISTINCT FROM first_name", USER),
    ("SELECT id FROM auth_user -- FROM secret\n WHERE true /* , secret */", USER),
    ("SELECT 'FROM secret', '''', '/*', '--' FROM auth_user", USER),
    ("SELECT id FROM auth_user WHERE username LIKE %s ESCAPE '\\'", USER),
    ("SELECT id FROM auth_user WHERE username = %(name)s AND id = :id AND id > $1", USER),
    ("SELECT (username || 'x')::varchar(10)::text FROM auth_user", USER),
    ("SELECT ARRAY(SELECT id FROM auth_user)[1:2]", USER),
    ('SELECT "auth_user"."username" AS "current_date" FROM "auth_user"', USER),
    ('SELECT title FROM chat_session ORDER BY title COLLATE "C"', SESSION),
    ("SELECT count(*) FILTER (WHERE is_active) OVER (PARTITION BY username ORDER BY id) FROM auth_user", USER),
    ("SELECT id FROM chat_session FOR UPDATE OF chat_session", SESSION),
    ("SELECT id FROM chat_session WHERE title @@ plainto_tsquery('english'::regconfig, %s)", SESSION),
    ("SET LOCAL statement_timeout = 10", set()),
    ("SAVEPOINT s1", set()),
    ("RELEASE SAVEPOINT s1", set()),
]

NOT_TRACED: list[tuple[str, str]] = [
    # relations
    ("SELECT * FROM secret", "relation"),
    ("SELECT * FROM auth_user, secret", "relation"),
    ("SELECT * FROM auth_user JOIN secret ON true", "relation"),
    ("SELECT * FROM auth_user NATURAL LEFT OUTER JOIN secret", "relation"),
    ("SELECT * FROM auth_user WHERE id IN (SELECT id FROM secret)", "relation"),
    ("SELECT (SELECT max(id) FROM secret)", "relation"),
    ("SELECT * FROM secret AS auth_user", "relation"),
    ('SELECT * FROM secret "auth_user"', "relation"),
    ('SELECT "auth_user"."id" FROM "Auth_User" "auth_user"', "relation"),
    ("SELECT * FROM other.auth_user", "relation"),
    ("SELECT * FROM db.public.auth_user", "relation"),
    ("SELECT * FROM [secret]", "text"),
    ("SELECT * FROM auth_user WHERE id IN secret", "relation"),
    ("SELECT * FROM auth_user WHERE id NOT IN main.secret", "relation"),
    ("SELECT * FROM pg_catalog.pg_class", "relation"),
    ("SELECT * FROM sqlite_master", "relation"),
    ("SELECT 1 UNION (TABLE secret)", "relation"),
    ("SELECT * FROM ONLY secret", "relation"),
    ("SELECT * FROM only auth_user", "relation"),
    ("SELECT * FROM auth_user offset, secret", "relation"),
    ("SELECT * FROM auth_user AS offset, secret", "relation"),
    ("SELECT * FROM auth_user for, secret", "relation"),
    ("SELECT * FROM auth_user left, secret", "relation"),
    ("SELECT * FROM auth_user straight_join secret", "relation"),
    ("SELECT * FROM auth_user u STRAIGHT_JOIN secret", "relation"),
    ("SELECT * FROM auth_user CROSS APPLY secret", "relation"),
    ("SELECT * FROM auth_user TABLESAMPLE SYSTEM (10)", "relation"),
    ("SELECT * FROM auth_user AS OF TIMESTAMP %s", "relation"),
    ("SELECT * FROM auth_user FOR SYSTEM_TIME AS OF %s", "name"),
    ("SELECT * FROM auth_user PARTITION (p0)", "relation"),
    ("SELECT * FROM auth_user@remote", "text"),
    ("SELECT * FROM auth_user, LATERAL (SELECT * FROM secret) x", "relation"),
    ("SELECT * FROM auth_user JOIN chat_session ON chat_session.id IN (1, 2), secret", "relation"),
    ("SELECT * FROM auth_user UNION SELECT * FROM chat_session, secret", "relation"),
    ("WITH x AS (SELECT * FROM x) SELECT * FROM x", "relation"),
    ("WITH x AS (SELECT * FROM y), y AS (SELECT 1) SELECT * FROM x", "relation"),
    ("SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) y, x", "relation"),
    ('WITH X AS (SELECT 1) SELECT * FROM "X"', "relation"),
    ("WITH x AS (SELECT 1) SELECT * FROM main.x", "relation"),
    ("WITH n AS (SELECT 1) SEARCH DEPTH FIRST BY a SET b SELECT * FROM n", "text"),
    # functions
    ("SELECT * FROM generate_series(1, 3)", "function"),
    ("SELECT * FROM auth_user, json_each(%s)", "function"),
    ("SELECT unnest(%s)", "relation"),
    ("SELECT random()", "function"),
    ("SELECT nextval('auth_user_id_seq')", "session"),
    ("SELECT lastval(), txid_current(), version(), connection_id(), pg_sleep(1)", "function"),
    ("SELECT current_setting('x'), set_config('a', 'b', false)", "function"),
    ("SELECT uuid_generate_v4()", "function"),
    ("SELECT gen_random_uuid ()", "function"),
    ("SELECT last_insert_rowid() + changes() + total_changes()", "function"),
    ("SELECT age(date_joined) FROM auth_user", "function"),
    ("SELECT query_to_xml('SELECT * FROM secret')", "function"),
    ("SELECT my_count()", "function"),
    ("SELECT mine.count(id) FROM auth_user", "function"),
    ("SELECT mine.exists(id) FROM auth_user", "function"),
    ('SELECT "lower"(username) FROM auth_user', "function"),
    ("SELECT by(1), filter(1), over(1)", "function"),
    ("SELECT date(username) FROM auth_user", "function"),
    ("SELECT strftime('%%s', date_joined) FROM auth_user", "function"),
    ("SELECT auth_user.full_name FROM auth_user", "name"),
    ("SELECT u.full_name AS full_name FROM auth_user u", "name"),
    ("SELECT (auth_user).full_name AS full_name FROM auth_user", "name"),
    ("SELECT my_function FROM auth_user", "name"),
    # clocks, sessions, catalogs
    ("SELECT now()", "clock"),
    ("SELECT CURRENT_DATE", "clock"),
    ("SELECT id FROM auth_user WHERE date_joined > localtimestamp", "clock"),
    ("SELECT id FROM auth_user WHERE date_joined > 'now'", "clock"),
    ("SELECT id FROM auth_user WHERE date_joined > ' Yesterday 10:00 '", "clock"),
    ("SELECT date 'today'", "clock"),
    ("SELECT datetime('NOW')", "clock"),
    ("SELECT sysdate", "clock"),
    ("SELECT current_user", "session"),
    ("SELECT user", "session"),
    ("SELECT some_seq.nextval", "session"),
    ("SELECT rownum, username FROM auth_user", "session"),
    ("SELECT ctid FROM auth_user", "catalog"),
    ("SELECT auth_user.rowid FROM auth_user", "catalog"),
    ("SELECT 'auth_user'::regclass", "catalog"),
    ("SELECT CAST('auth_user' AS \"regclass\")", "name"),
    ("SELECT CAST(1 AS my_type)", "name"),
    ("SELECT id FROM chat_session FOR UPDATE SKIP LOCKED", "name"),
    # text that databases do not agree on
    ("SELECT 'a\\' FROM secret -- ' FROM auth_user", "text"),
    ("SELECT 5--1 FROM auth_user", "text"),
    ("SELECT 1 /* /* */ FROM secret */", "text"),
    ("SELECT /*! * FROM secret */ 1", "text"),
    ("/*+ a hint */ SELECT 1", "statement"),
    ("SELECT 1 -- a\r, secret\n", "text"),
    ("SELECT $$ x $$ FROM auth_user", "text"),
    ("SELECT $a$ x $a$ FROM auth_user", "text"),
    ("SELECT q'[it's]' FROM auth_user", "text"),
    ("SELECT U&'\\0061' FROM auth_user", "text"),
    ("SELECT @@version", "name"),
    ("SELECT @a := 1", "text"),
    ("SELECT id FROM auth_user JOIN chat_session AS x ON x.[where] = 1, secret", "text"),
    ("SELECT [a'b], [c'd] FROM auth_user", "text"),
    ("SELECT 1abc FROM auth_user", "text"),
    ("SELECT 0x1F", "text"),
    ("SELECT id\u00a0FROM auth_user", "text"),
    ("SELECT {fn now()}", "text"),
    ("SELECT 'open", "text"),
    ('SELECT "open', "text"),
    ("SELECT 1)", "text"),
    ("SELECT (1", "text"),
    ("SELECT DISTINCT FROM secret", "text"),
    ("SELECT lower(username FROM secret) FROM auth_user", "text"),
    # what is no query
    ("EXPLAIN SELECT * FROM auth_user", "statement"),
    ("SHOW search_path", "statement"),
    ("PRAGMA table_info(auth_user)", "statement"),
    ("FETCH 10 FROM some_cursor", "statement"),
    ("UPDATE auth_user SET username = 'x'", "write"),
    ("WITH x AS (DELETE FROM auth_user RETURNING id) SELECT id FROM x", "write"),
    ("SELECT * INTO copied FROM auth_user", "write"),
    ("SELECT 1; SELECT 2", "write"),
    ("", "write"),
]


@pytest.mark.parametrize(("sql", "expected"), TRACED)
def test_it_is_traced_to_its_tables(sql: str, expected: set[str]) -> None:
    assert trace(sql, ALL) == (expected, "")


@pytest.mark.parametrize(("sql", "why_not"), NOT_TRACED)
def test_it_is_not_traced(sql: str, why_not: str) -> None:
    assert trace(sql, ALL).why_not == why_not


def test_what_is_not_traced_has_the_tables_that_it_names() -> None:
    assert trace("SELECT now(), username FROM auth_user, secret", ALL) == Reading(frozenset(USER), "clock")


def test_statements_are_remembered_unless_they_are_long() -> None:
    short, long = "SELECT id FROM auth_user", f"SELECT id FROM auth_user WHERE username = '{'x' * 10_000}'"
    assert read_tables(short) is read_tables(short)
    assert read_tables(long) == read_tables(long) == (USER, "")
    assert read_tables(long) is not read_tables(long)


ONLY_ON: list[tuple[str, frozenset[str], frozenset[str], str]] = [  # traced there, not there, why not
    ("SELECT DATE(`date_joined`) FROM `auth_user`", MYSQL, SQLITE, "function"),
    ("SELECT id FROM auth_user WHERE username LIKE %s ESCAPE '\\'", SQLITE, MYSQL, "text"),
    ("SELECT id FROM chat_session WHERE title #> '{a}' = '1'", POSTGRESQL, MYSQL, "text"),
    ("SELECT id FROM chat_session WHERE title @@ title", POSTGRESQL, MYSQL, "text"),
    ('SELECT "AUTH_USER"."ID" FROM "AUTH_USER"', ORACLE, POSTGRESQL, "relation"),
    ("SELECT 1 FROM DUAL", ORACLE, POSTGRESQL, "relation"),
    ("SELECT username FROM AUTH_USER", POSTGRESQL, MYSQL, "relation"),
    ("SELECT username FROM public.auth_user", POSTGRESQL, SQLITE, "relation"),
    ("SELECT username FROM main.auth_user", SQLITE, POSTGRESQL, "relation"),
]


@pytest.mark.parametrize(("sql", "there", "elsewhere", "why_not"), ONLY_ON)
def test_a_project_with_several_kinds_of_database_is_as_careful_as_each_of_them(
    sql: str, there: frozenset[str], elsewhere: frozenset[str], why_not: str
) -> None:
    assert not trace(sql, there).why_not
    assert trace(sql, elsewhere).why_not == why_not


GENERATED: list[tuple[frozenset[str], str]] = [  # by Django's compilers of databases that no test has
    (MYSQL, "`username` LIKE BINARY %s AND `username` LIKE CONCAT('%%', REPLACE(`email`, '_', '\\_'), '%%')"),
    (MYSQL, "REGEXP_LIKE(`username`, %s, 'c') OR `username` REGEXP BINARY %s"),
    (MYSQL, "DATE(CONVERT_TZ(`auth_user`.`date_joined`, %s, %s)) = TIME(`date_joined`)"),
    (MYSQL, "CAST(DATE_FORMAT(`date_joined`, %s) AS DATETIME) = CAST(`last_login` AS datetime(6))"),
    (MYSQL, "TIMESTAMPDIFF(MICROSECOND, `last_login`, (`date_joined` + INTERVAL %s MICROSECOND)) > 0"),
    (MYSQL, "DATE_SUB(`date_joined`, INTERVAL WEEKDAY(`date_joined`) DAY) = EXTRACT(MONTH FROM `date_joined`)"),
    (MYSQL, "JSON_UNQUOTE(JSON_EXTRACT(`username`, %s)) = CAST(`id` AS signed integer) ORDER BY NULL"),
    (MYSQL, "`id` > 1 LIMIT 18446744073709551615 OFFSET 3 FOR UPDATE OF `auth_user`"),
    (ORACLE, """"USERNAME" LIKE TRANSLATE(:arg0 USING NCHAR_CS) ESCAPE TRANSLATE('\\' USING NCHAR_CS)"""),
    (ORACLE, 'TRUNC("DATE_JOINED", :arg0) = CAST("DATE_JOINED" AS DATE) FETCH FIRST 21 ROWS ONLY'),
    (ORACLE, """CAST((FROM_TZ("DATE_JOINED", '0:00') AT TIME ZONE 'UTC') AS TIMESTAMP) > "LAST_LOGIN" """),
    (ORACLE, 'REGEXP_LIKE("USERNAME", :arg0, :arg1) AND BITAND("ID", 3) > 1 OFFSET 2 ROWS FETCH NEXT 3 ROWS ONLY'),
]


@pytest.mark.parametrize(("there", "condition"), GENERATED)
def test_what_django_writes_for_mysql_and_oracle_is_traced(there: frozenset[str], condition: str) -> None:
    table = "`auth_user`" if there == MYSQL else '"AUTH_USER"'
    assert trace(f"SELECT {table}.* FROM {table} WHERE {condition}", there) == (USER, "")
