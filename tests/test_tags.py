"""Which tables a statement touches: by its words, on statements that people write and on those that the ORM does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from batchapi import statements, tags
from chat.models import Message, Session
from tests.factories import MessageFactory, SessionFactory, UserFactory

SESSION, MESSAGE = Session._meta.db_table, Message._meta.db_table
EVERYTHING = tags.known_tables()
GROUPS, PERMITTED = "auth_user_groups", "auth_user_user_permissions"
WITH_USER = {"auth_user", GROUPS, PERMITTED, "authtoken_token", "django_admin_log", SESSION, MESSAGE}


@pytest.mark.parametrize(
    ("sql", "tables", "is_write"),
    [
        ('SELECT * FROM "auth_user"', {"auth_user"}, False),
        (f"select s.id from {SESSION} s join {MESSAGE} m on true", {SESSION, MESSAGE}, False),
        ("  SELECT 1", set(), False),
        ("/* by a tool */ -- and\n SELECT * FROM auth_user", {"auth_user"}, False),
        ("/*! DELETE FROM auth_user */ SELECT 1", WITH_USER, True),
        (f"WITH RECURSIVE n AS (SELECT 1) SELECT * FROM n, {SESSION}", {SESSION}, False),
        (f"with n as (select 1) update {SESSION} set title = ''", {SESSION}, True),
        ("UPDATE auth_user SET is_active = false", {"auth_user"}, True),
        (f"/* report */ INSERT INTO {SESSION.upper()} VALUES (1)", {SESSION}, True),
        (f"WITH gone AS (DELETE FROM {MESSAGE} RETURNING *) SELECT * FROM gone", {MESSAGE}, True),
        (f"SELECT * INTO new_table FROM {SESSION}", EVERYTHING, True),
        (f"DELETE FROM {SESSION} WHERE id IN (SELECT 1 FROM auth_user)", WITH_USER, True),
        ("INSERT INTO auth_user (id) VALUES (1) ON DUPLICATE KEY UPDATE is_active = 1", {"auth_user"}, True),
        ("MERGE INTO auth_user USING x ON true WHEN MATCHED THEN UPDATE SET is_active = true", WITH_USER, True),
        ("CALL refresh_all()", EVERYTHING, True),
        ("CALL purge('auth_user')", EVERYTHING, True),
        ("UPDATE active_users SET name = '' WHERE id IN (SELECT id FROM auth_user)", EVERYTHING, True),
        ('UPDATE "public"."auth_user" SET is_active = false', {"auth_user"}, True),
        ("INSERT INTO auth_user (id) VALUES (1) ON CONFLICT DO UPDATE SET is_active = true", {"auth_user"}, True),
        ("-- by a tool\nDO $$ BEGIN UPDATE auth_user SET is_active = f(); END $$", EVERYTHING, True),
        ("SELECT 1;\nEXECUTE prepared('auth_user')", EVERYTHING, True),
        ("END", set(), False),
        ("abort;", set(), False),
        ("START TRANSACTION ISOLATION LEVEL SERIALIZABLE", set(), False),
        ("SAVEPOINT s1", set(), False),
        ("PRAGMA foreign_keys", set(), False),
        ("PRAGMA foreign_keys = OFF", set(), False),
        ("PRAGMA foreign_keys = OFF; DELETE FROM auth_user", WITH_USER, True),
        ("(SELECT id FROM auth_user) UNION (SELECT 1)", {"auth_user"}, False),
        (
            f"((SELECT id FROM auth_user) EXCEPT (SELECT 1)) UNION SELECT id FROM {SESSION}",
            {"auth_user", SESSION},
            False,
        ),
        ("(WITH n AS (SELECT 1) SELECT * FROM n)", set(), False),
        ("VALUES (1), (2)", set(), False),
        ("FETCH FORWARD 100 FROM some_cursor", set(), False),
        ("SELECT id FROM auth_user;\n", {"auth_user"}, False),
        ("SELECT 1; DELETE FROM auth_user", WITH_USER, True),
        ("ROLLBACK; DELETE FROM auth_user", WITH_USER, True),
        ("COMMIT;CALL refresh_all();", EVERYTHING, True),
        ("EXPLAIN DELETE FROM auth_user", {"auth_user"}, False),
        ("EXPLAIN ANALYZE DELETE FROM auth_user", WITH_USER, True),
        ("explain (buffers,\nanalyse) update auth_user set is_active = false", {"auth_user"}, True),
        ("PRAGMA table_info(auth_user)", {"auth_user"}, False),
        ("PRAGMA user_version=3", EVERYTHING, True),
        ("pragma user_version =\n3", EVERYTHING, True),
        ("PRAGMA user_version(3)", EVERYTHING, True),
        ("PRAGMA main.foreign_keys(0);", EVERYTHING, True),
        ("PRAGMA main.foreign_keys;", set(), False),
        ("PRAGMA main.foreign_key_check (auth_user)", {"auth_user"}, False),
        ("COMMIT PREPARED 'foo'", EVERYTHING, True),
        ("ROLLBACK  PREPARED 'foo'", EVERYTHING, True),
        ("COMMIT AND CHAIN", set(), False),
        ("SET STATEMENT max_statement_time=1 FOR UPDATE auth_user SET is_active = 0", EVERYTHING, True),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", set(), False),
        ("SHOW search_path", set(), False),
        ("COPY auth_user FROM STDIN", {"auth_user"}, True),
        ("/*M! UPDATE auth_user SET is_active = */ SELECT 1", {"auth_user"}, True),
        ("/* /* */ SELECT */ UPDATE auth_user SET is_active = false", {"auth_user"}, True),
        ("-- \rUPDATE auth_user SET is_active = EXISTS (\nSELECT 1)", {"auth_user"}, True),
        ("-- by Windows\r\nSELECT 1", set(), False),
    ],
)
def test_the_words_of_a_statement_name_its_tables(sql: str, tables: set[str], is_write: bool) -> None:
    assert tags.touched(sql) == (tables, is_write)


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("DELETE FROM auth_user WHERE id = 1", WITH_USER),
        (f"DELETE FROM {SESSION}", {SESSION, MESSAGE}),
        (f"DELETE FROM {MESSAGE}", {MESSAGE}),
        ("delete from auth_group", {"auth_group", "auth_group_permissions", GROUPS}),
        ("TRUNCATE auth_user CASCADE", WITH_USER),
        ("DROP TABLE auth_user", WITH_USER),
        ("MERGE INTO auth_user USING x ON true WHEN MATCHED THEN DELETE", WITH_USER),
        ("REPLACE INTO auth_user VALUES (1)", WITH_USER),
        ("INSERT OR REPLACE INTO auth_user VALUES (1)", WITH_USER),
        ("WITH gone AS (DELETE FROM auth_user RETURNING *) SELECT * FROM gone", WITH_USER),
        ("DELETE FROM somewhere", EVERYTHING),
        ("INSERT INTO auth_user VALUES (1)", {"auth_user"}),
        ("UPDATE auth_user SET is_active = false", {"auth_user"}),
    ],
)
def test_what_deletes_takes_with_it_what_refers_to_it(sql: str, tables: set[str]) -> None:
    """The database cascades by itself, however far: no statement shows it."""
    assert tags.touched(sql) == (tables, True)


def test_what_reads_takes_nothing_with_it() -> None:
    assert tags.touched("SELECT replace(username, 'a', 'b') FROM auth_user") == ({"auth_user"}, False)


ROWS = ", ".join(["('auth_user', %s)"] * 1000)
HEAD = f'INSERT INTO "{MESSAGE}" ("content", "role") VALUES'


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        (f"{HEAD} {ROWS}", {MESSAGE}),
        (f"{HEAD} {ROWS} ON CONFLICT DO NOTHING RETURNING id;", {MESSAGE}),
        (f"{HEAD} {ROWS}; DELETE FROM {SESSION}", WITH_USER),
        (f"WITH gone AS (DELETE FROM {SESSION} RETURNING 1) {HEAD} {ROWS}", WITH_USER),
        (f"INSERT OR REPLACE INTO {SESSION} (title, key) VALUES {ROWS}", WITH_USER),
        (f"INSERT INTO of_somebody_else (a, b) VALUES {ROWS}", EVERYTHING),
    ],
)
def test_of_a_long_insert_only_the_beginning_counts(sql: str, tables: set[str]) -> None:
    """Its rows name nothing that it writes, and there may be megabytes of them."""
    assert len(sql) > tags.LONG
    assert tags.look_at(sql) == (tables, True)


@contextmanager
def observed() -> Iterator[list[tuple[frozenset[str], bool]]]:
    """Every statement of this context, as the package sees it."""
    seen: list[tuple[frozenset[str], bool]] = []
    token = statements.observer.set(lambda tables, is_write: seen.append((tables, is_write)))
    try:
        yield seen
    finally:
        statements.observer.reset(token)


WRITES: list[tuple[str, Callable[[Session], object]]] = [
    ("save", lambda session: session.save()),
    ("update", lambda session: Session.objects.update(title="x")),
    ("bulk_update", lambda session: Session.objects.bulk_update([session], ["title"])),
    ("bulk_create", lambda session: Session.objects.bulk_create([Session(owner=session.owner, key="b")])),
    ("delete", lambda session: session.delete()),
    ("raw", lambda session: connection.cursor().execute(f"UPDATE {SESSION} SET title = 'raw'")),
    ("executemany", lambda s: connection.cursor().executemany(f"UPDATE {SESSION} SET title = %s", [["a"], ["b"]])),
]


@pytest.mark.django_db
@pytest.mark.parametrize("write", [write for _, write in WRITES], ids=[name for name, _ in WRITES])
def test_every_road_of_a_write_is_seen(write: Callable[[Session], object]) -> None:
    session = SessionFactory()
    with observed() as seen:
        write(session)
    assert any(SESSION in tables and is_write for tables, is_write in seen)


@pytest.mark.django_db
def test_a_delete_is_seen_on_the_tables_that_it_cascades_to() -> None:
    message = MessageFactory()
    with observed() as seen:
        message.session.owner.delete()
    written = frozenset[str]().union(*(tables for tables, is_write in seen if is_write))
    assert {"auth_user", SESSION, MESSAGE} <= written


@pytest.mark.django_db
def test_a_many_to_many_relation_is_a_table_of_its_own() -> None:
    user = UserFactory()
    with observed() as seen:
        user.groups.create(name="editors")
    assert any("auth_user_groups" in tables and is_write for tables, is_write in seen)


@pytest.mark.django_db
def test_a_statement_that_fails_counts_too() -> None:
    with observed() as seen, pytest.raises(Exception, match="nonsense"), transaction.atomic():
        connection.cursor().execute("UPDATE auth_user SET nonsense = 1")
    assert (frozenset({"auth_user"}), True) in seen


@pytest.mark.django_db
def test_reading_writes_nothing() -> None:
    UserFactory()
    with observed() as seen:
        list(Session.objects.select_related("owner").filter(owner__groups__name="x"))
    assert not any(is_write for _, is_write in seen)


def test_somebody_elses_wrapper_does_not_take_ours_away(db: None) -> None:
    """A wrapper that is put on inside somebody's block is popped with theirs; ours stands at the other end."""

    def theirs(execute: Callable[..., object], *args: object) -> object:
        return execute(*args)

    connection.execute_wrappers.remove(statements.observe)
    with connection.execute_wrapper(theirs):
        statements.observe_connection(connection=connection)
    assert connection.execute_wrappers.count(statements.observe) == 1
    statements.observe_connection(connection=connection)
    assert connection.execute_wrappers.count(statements.observe) == 1
