"""Every road of a write outdates what was read from the tables that it wrote, and on Redis nothing else."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import F, Value
from django.db.models.functions import Concat

from batchapi.store import Store
from chat.models import Message, Session
from tests.cache.world import ALL, World, ask_all, elsewhere, execute, hits, now, same_databases
from tests.rerun import ROOT

pytestmark = [
    pytest.mark.urls("tests.cache.world"),
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
]

SESSIONS = frozenset({"sessions", "locked"})
OF_SESSION = SESSIONS | {"messages"}
OF_USER = OF_SESSION | {"users", "members"}
Write = Callable[[World], object]


def in_transaction(world: World) -> None:
    with transaction.atomic():
        world.session.title = "renamed"
        world.session.save()
        with transaction.atomic():
            Message.objects.update(content="also")


def in_a_hook(world: World) -> None:
    with transaction.atomic():
        transaction.on_commit(lambda: Session.objects.update(title="by a hook"))


def by_many(world: World) -> None:
    with connection.cursor() as cursor:
        cursor.executemany("UPDATE chat_session SET title = %s WHERE id = %s", [("many", world.session.pk)] * 2)


def returning(world: World) -> None:
    """With a cursor that nobody closes."""
    cursor = connection.cursor()
    cursor.execute("UPDATE auth_group SET name = 'returned' WHERE name = 'spare' RETURNING id")
    assert len(cursor.fetchall()) == 1


def manually(world: World) -> None:
    transaction.set_autocommit(False)
    try:
        Session.objects.update(title="by hand")
        transaction.commit()
    finally:
        transaction.set_autocommit(True)


def autocommit_switched_on(world: World) -> None:
    """Which SQLite commits by; PostgreSQL refuses that before a commit."""
    transaction.set_autocommit(False)
    Session.objects.update(title="by hand")
    if connection.vendor == "postgresql":
        transaction.commit()
    transaction.set_autocommit(True)


def by_the_admin(world: World) -> None:
    url = f"/admin/chat/session/{world.session.pk}/change/"
    form = {"owner": world.user.pk, "key": world.session.key, "title": "by the staff"}
    assert world.staff.post(url, form).status_code == 302


def deleted_by_the_admin(world: World) -> None:
    data = {"action": "delete_selected", "_selected_action": [world.session.pk], "post": "yes"}
    assert world.staff.post("/admin/chat/session/", data).status_code == 302


def dumped(world: World, folder: Path) -> str:
    """A fixture with one more group."""
    file = folder / "group.json"
    file.write_text(json.dumps([{"model": "auth.group", "fields": {"name": "loaded"}}]))
    return str(file)


def run_process(world: World, *command: str) -> None:
    run = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=world.environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def by_another_process(world: World) -> None:
    code = "import django; django.setup(); from chat.models import Session; Session.objects.update(title='elsewhere')"
    run_process(world, "-c", code)


def by_the_shell(world: World) -> None:
    code = "from django.contrib.auth.models import Group; Group.objects.create(name='by the shell')"
    run_process(world, "manage.py", "shell", "-c", code)


async def acreate() -> Group:
    return await Group.objects.acreate(name="async")


def create_superuser(world: World) -> None:
    call_command("createsuperuser", interactive=False, username="root", email="root@example.com", verbosity=0)


ORM: dict[str, tuple[Write, frozenset[str]]] = {
    "save": (lambda w: Session(pk=w.session.pk, owner=w.user, key="k", title="saved").save(), SESSIONS),
    "save of one field": (lambda w: Session(pk=w.session.pk, title="one").save(update_fields=["title"]), SESSIONS),
    "create": (lambda w: Message.objects.create(session=w.session, content="new"), frozenset({"messages"})),
    "get_or_create": (lambda w: Group.objects.get_or_create(name="new"), frozenset({"groups"})),
    "update_or_create": (
        lambda w: Group.objects.update_or_create(name="spare", defaults={"name": "other"}),
        frozenset({"groups"}),
    ),
    "bulk_create": (
        lambda w: Message.objects.bulk_create([Message(session=w.session, content=str(n)) for n in range(700)]),
        frozenset({"messages"}),
    ),
    "bulk_create over what is there": (
        lambda w: Group.objects.bulk_create(
            [Group(pk=w.spare.pk, name="over")], update_conflicts=True, unique_fields=["id"], update_fields=["name"]
        ),
        frozenset({"groups"}),
    ),
    "bulk_update": (
        lambda w: Session.objects.bulk_update([Session(pk=w.session.pk, title="bulk")], ["title"]),
        SESSIONS,
    ),
    "update": (lambda w: Session.objects.update(title="all"), SESSIONS),
    "update of a join": (lambda w: Session.objects.filter(owner=w.user).update(title="mine"), SESSIONS),
    "F()": (lambda w: Session.objects.update(title=Concat(F("title"), Value("!"))), SESSIONS),
    "delete": (lambda w: w.message.delete(), frozenset({"messages"})),
    "delete of what others refer to": (lambda w: w.session.delete(), OF_SESSION),
    "delete of a QuerySet": (lambda w: Session.objects.filter(pk=w.session.pk).delete(), OF_SESSION),
    "delete of a user": (lambda w: w.user.delete(), OF_USER),
    "add": (lambda w: w.user.groups.add(w.spare), frozenset({"members"})),
    "remove": (lambda w: w.user.groups.remove(w.group), frozenset({"members"})),
    "clear": (lambda w: w.user.groups.clear(), frozenset({"members"})),
    "set": (lambda w: w.user.groups.set([w.spare]), frozenset({"members"})),
    "add from the other end": (lambda w: w.spare.user_set.add(w.user), frozenset({"members"})),
    "in a transaction": (in_transaction, OF_SESSION),
    "in an on_commit hook": (in_a_hook, SESSIONS),
    "in a manual transaction": (manually, SESSIONS),
    "as autocommit is switched on": (autocommit_switched_on, SESSIONS),
    "in a thread": (lambda w: elsewhere(lambda: Session.objects.update(title="thread")), SESSIONS),
    "async": (lambda w: async_to_sync(acreate)(), frozenset({"groups"})),
    "in the admin": (by_the_admin, SESSIONS),
    "deleted in the admin": (deleted_by_the_admin, OF_SESSION),
    "a command": (create_superuser, frozenset({"users"})),
    "another process": (by_another_process, SESSIONS),
    "manage.py shell": (by_the_shell, frozenset({"groups"})),
}

SQL: dict[str, tuple[str, frozenset[str]]] = {
    "plain": ("UPDATE auth_group SET name = 'raw' WHERE name = 'spare'", frozenset({"groups"})),
    "in another case": ("uPdAtE Auth_Group SET name = 'raw' WHERE name = 'spare'", frozenset({"groups"})),
    "a comment before": (
        "/* DELETE FROM auth_user */ -- by a tool\n UPDATE auth_group SET name = 'raw' WHERE name = 'spare'",
        frozenset({"groups"}) | OF_USER,  # A name in a comment, assumed too much.
    ),
    "a comment inside": (
        "UPDATE/**/auth_group/* SELECT */SET name = 'raw' -- SELECT\n WHERE name = 'spare'",
        frozenset({"groups"}),
    ),
    "quoted": ("""UPDATE "auth_group" SET "name" = 'raw' WHERE "name" = 'spare'""", frozenset({"groups"})),
    "qualified": (
        f"UPDATE {'public' if connection.vendor == 'postgresql' else 'main'}.auth_group SET name = 'raw'"
        " WHERE name = 'spare'",
        frozenset({"groups"}),
    ),
    "a CTE before INSERT": (
        "WITH n AS (SELECT 'cte' AS name) INSERT INTO auth_group (name) SELECT name FROM n",
        frozenset({"groups"}),
    ),
    "a CTE before UPDATE": (
        "WITH n AS (SELECT id FROM auth_group WHERE name = 'spare') UPDATE auth_group SET name = 'cte'"
        " WHERE id IN (SELECT id FROM n)",
        frozenset({"groups"}),
    ),
    "from another table": (
        "INSERT INTO auth_group (name) SELECT username FROM auth_user",
        frozenset({"groups", "users"}),  # Named, so it is assumed to be written.
    ),
    "a raw delete": ("DELETE FROM chat_message", frozenset({"messages"})),
    "a DELETE before which SELECT stands": ("SELECT 1; DELETE FROM chat_message", frozenset({"messages"})),
    "a table is made": ("CREATE TABLE scratch_of_a_test (n int)", ALL),
    "statistics": ("ANALYZE", ALL),
}
if connection.vendor == "sqlite":
    del SQL["a DELETE before which SELECT stands"]  # Its driver runs one statement at a time.
    SQL["REPLACE"] = ("REPLACE INTO auth_group (id, name) VALUES (9, 'r')", frozenset({"groups", "members"}))
else:
    SQL["RETURNING in a CTE"] = (
        "WITH gone AS (DELETE FROM chat_message RETURNING *) SELECT count(*) FROM gone",
        frozenset({"messages"}),
    )
    SQL["TRUNCATE"] = ("TRUNCATE chat_session CASCADE", OF_SESSION)
    SQL["DO"] = ("DO $$ BEGIN EXECUTE 'UPDATE chat_' || 'session SET title = 1'; END $$", ALL)
    SQL["DO that names another table"] = (
        "DO $$ BEGIN PERFORM 1 FROM auth_group; EXECUTE 'UPDATE chat_' || 'session SET title = 1'; END $$",
        ALL,
    )
    SQL["MERGE"] = (
        "MERGE INTO auth_group g USING (SELECT 'spare' AS name) s ON g.name = s.name"
        " WHEN MATCHED THEN UPDATE SET name = 'merged'",
        frozenset({"groups", "members"}),
    )


@pytest.fixture
def world(store: Store, redis_url: str) -> Iterator[World]:
    """Rows, and every answer kept."""
    made = World(environment=same_databases(redis_url if store.is_shared else ""))
    ask_all()
    assert hits(ask_all()) == ALL
    yield made
    execute("DROP TABLE IF EXISTS scratch_of_a_test")


def assert_outdates(write: Callable[[], object], outdated: frozenset[str], store: Store) -> None:
    """Nothing that was read before answers in place of the new rows; on Redis, everything else still does."""
    write()
    answers = ask_all()
    assert {name: record["body"] for name, record in answers.items()} == {name: now(name) for name in ALL}
    assert hits(answers) == (ALL - outdated if store.is_shared else set())
    assert hits(ask_all()) == ALL


@pytest.mark.parametrize(("write", "outdated"), ORM.values(), ids=ORM)
def test_a_write_outdates_what_was_read_from_its_tables(
    world: World, store: Store, write: Write, outdated: frozenset[str]
) -> None:
    before = {name: now(name) for name in outdated}
    assert_outdates(lambda: write(world), outdated, store)
    changed = {name for name in outdated if now(name) != before[name]}
    assert changed, "the write was none"
    assert outdated - changed <= {"members"}


@pytest.mark.parametrize(("sql", "outdated"), SQL.values(), ids=SQL)
def test_a_raw_statement_outdates_what_was_read_from_its_tables(
    world: World, store: Store, sql: str, outdated: frozenset[str]
) -> None:
    assert_outdates(lambda: execute(sql), outdated, store)


def test_one_statement_for_many_rows_outdates(world: World, store: Store) -> None:
    assert_outdates(lambda: by_many(world), SESSIONS, store)


def test_rows_that_come_with_a_write_do_not_hide_it(world: World, store: Store) -> None:
    assert_outdates(lambda: returning(world), frozenset({"groups"}), store)


def test_a_fixture_that_is_loaded_outdates(world: World, store: Store, tmp_path: Path) -> None:
    file = dumped(world, tmp_path)
    assert_outdates(lambda: call_command("loaddata", file, verbosity=0), frozenset({"groups"}), store)


def test_a_fixture_that_another_process_loads_outdates(world: World, store: Store, tmp_path: Path) -> None:
    file = dumped(world, tmp_path)
    assert_outdates(lambda: run_process(world, "manage.py", "loaddata", file), frozenset({"groups"}), store)


def test_a_flush_outdates_everything(world: World, store: Store) -> None:
    assert_outdates(lambda: call_command("flush", interactive=False, verbosity=0), ALL, store)


def test_a_statement_that_wrote_nothing_outdates_at_most_its_table(world: World, store: Store) -> None:
    write = Group.objects.filter(name="there is none").update
    write(name="x")
    assert hits(ask_all()) >= ALL - {"groups"}


def test_what_is_rolled_back_outdates_nothing(world: World) -> None:
    with transaction.atomic():
        Session.objects.update(title="never")
        transaction.set_rollback(True)
    assert hits(ask_all()) == ALL


def test_what_is_read_outdates_nothing(world: World) -> None:
    with transaction.atomic():
        list(Session.objects.select_for_update())
    list(Session.objects.iterator())
    execute("SELECT count(*) FROM chat_session", "WITH n AS (SELECT 1) SELECT * FROM n, auth_user")
    assert Session.objects.explain()
    assert hits(ask_all()) == ALL


def test_a_write_to_a_table_of_the_same_name_elsewhere_outdates(world: World) -> None:
    """Another alias may be another way to the same database."""
    Group.objects.using("other").create(name="there")
    assert hits(ask_all()) == ALL - {"groups"}


@pytest.fixture
def _cascade(transactional_db: None) -> Iterator[None]:
    """The database itself deletes the messages of a session."""
    if connection.vendor == "postgresql":
        [name] = [name for name, c in constraints("chat_message").items() if c["foreign_key"] == ("chat_session", "id")]
        drop = f"ALTER TABLE chat_message DROP CONSTRAINT {name}"
        add = f"ALTER TABLE chat_message ADD CONSTRAINT {name} FOREIGN KEY (session_id) REFERENCES chat_session (id)"
        execute(drop, f"{add} ON DELETE CASCADE")
        yield
        execute(drop, f"{add} DEFERRABLE INITIALLY DEFERRED")
        return
    made, *indexes = statements_that_made("chat_message")
    execute(
        "DROP TABLE chat_message",
        made.replace("(id)", "(id) ON DELETE CASCADE").replace('("id")', '("id") ON DELETE CASCADE'),
        *indexes,
    )
    yield
    execute("DROP TABLE chat_message", made, *indexes)


def constraints(table: str) -> dict[str, Any]:
    with connection.cursor() as cursor:
        return dict(connection.introspection.get_constraints(cursor, table))


def statements_that_made(table: str) -> list[str]:
    """The SQL of an SQLite table and its indexes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sql FROM sqlite_master WHERE tbl_name = %s AND sql IS NOT NULL ORDER BY type = 'index'", [table]
        )
        return [sql for (sql,) in cursor.fetchall()]


@pytest.mark.usefixtures("_cascade")
def test_rows_that_the_database_takes_along_are_outdated(store: Store, redis_url: str) -> None:
    made = World()
    ask_all()
    execute(f"DELETE FROM chat_session WHERE id = {made.session.pk}")
    assert Message.objects.count() == 1
    assert_outdates(lambda: execute("DELETE FROM chat_session"), OF_SESSION, store)
    assert not Message.objects.exists()
