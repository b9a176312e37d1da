"""Every road on which rows are written. A road takes a number, which chooses rows, and a text that was never there."""

import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client

from batchapi import invalidate
from chat.models import Message, Session
from tests.cache.machine.views import CLUB, GROUPS, MEMBERS, MESSAGES, SESSIONS, USERS

CALLERS = ("alice", "bob")
GROUP_NAMES = (CLUB, "choir")


def caller(n: int) -> User:
    return User.objects.get(username=CALLERS[n % len(CALLERS)])


def group(n: int) -> Group:
    return Group.objects.order_by("pk")[n % Group.objects.count()]


def session(n: int) -> Session:
    """One that is there; there is always one."""
    return Session.objects.order_by("pk")[n % Session.objects.count()]


def spare(n: int, text: str) -> Session:
    """One to delete; another one is made, with a message, so that some are left."""
    made = Session.objects.create(owner=caller(n), key=text)
    Message.objects.create(session=made, content="spare")
    sessions = Session.objects.order_by("pk")
    return sessions[n % len(sessions)]


# -- the ORM


def save(n: int, text: str) -> None:
    found = session(n)
    found.title = text
    found.save()


def create(n: int, text: str) -> None:
    Session.objects.create(owner=caller(n), key=text, title=text)


def update(n: int, text: str) -> None:
    Session.objects.filter(pk=session(n).pk).update(title=text)


def give_away(n: int, text: str) -> None:
    """To another owner."""
    Session.objects.filter(pk=session(n).pk).update(owner=caller(n // 2), key=text)


def bulk_create(n: int, text: str) -> None:
    Message.objects.bulk_create([Message(session=session(n + i), content=text) for i in range(2)])


def bulk_update(n: int, text: str) -> None:
    found = list(Session.objects.all())
    for one in found:
        one.title = text
    Session.objects.bulk_update(found, ["title"])


def delete(n: int, text: str) -> None:
    spare(n, text).delete()


def delete_by_query(n: int, text: str) -> None:
    Message.objects.create(session=session(n), content=text)
    Message.objects.filter(session=session(n)).delete()


def reuse_key(n: int, text: str) -> None:
    """Another row under the primary key of one that is gone."""
    pk = session(n).pk
    Session.objects.filter(pk=pk).delete()
    Session.objects.create(pk=pk, owner=caller(n // 2), key=text, title=text)


# -- users and groups


def join_group(n: int, text: str) -> None:
    caller(n).groups.add(group(n // 2))


def leave_group(n: int, text: str) -> None:
    caller(n).groups.remove(group(n // 2))


def toggle_group(n: int, text: str) -> None:
    """From the other side."""
    members, user = group(n // 2).user_set, caller(n)
    members.remove(user) if members.contains(user) else members.add(user)


def clear_groups(n: int, text: str) -> None:
    caller(n).groups.clear()


def set_groups(n: int, text: str) -> None:
    caller(n).groups.set([group(n // 2)])


def rename_group(n: int, text: str) -> None:
    """To the club and back: whoever is in it may see more, or less."""
    found = group(n)
    found.name = text if found.name == CLUB or Group.objects.filter(name=CLUB).exists() else CLUB
    found.save()


def change_own_row(n: int, text: str) -> None:
    user = caller(n)
    user.first_name = text
    user.save(update_fields=["first_name"])


def deactivate(n: int, text: str) -> None:
    """Or let in again."""
    user = caller(n)
    User.objects.filter(pk=user.pk).update(is_active=not user.is_active)


def change_password(n: int, text: str) -> None:
    user = caller(n)
    user.set_password(text)
    user.save()


# -- raw SQL


def run(sql: str, *params: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


def raw(n: int, text: str) -> None:
    run("UPDATE chat_session SET title = %s WHERE id = %s", text, session(n).pk)


def raw_with_comments(n: int, text: str) -> None:
    sql = """/* traceparent='00-1' */ -- by hand
        WITH chosen AS (SELECT id FROM "chat_session" WHERE id = %s)
        UPDATE "chat_session" /* all of */ SET title = %s WHERE id IN (SELECT id FROM chosen)"""
    run(sql, session(n).pk, text)


def many(n: int, text: str) -> None:
    keys = [(text, one.pk) for one in Session.objects.all()]
    with connection.cursor() as cursor:
        cursor.executemany("UPDATE chat_session SET title = %s WHERE id = %s", keys)


def returning(n: int, text: str) -> None:
    sql = """INSERT INTO chat_message (session_id, role, content, created_at)
        VALUES (%s, 'user', %s, '2026-01-01 00:00:00+00:00') RETURNING id"""
    with connection.cursor() as cursor:
        cursor.execute(sql, [session(n).pk, text])
        cursor.fetchone()


def cascade(n: int, text: str) -> None:
    """By the database's own ON DELETE CASCADE."""
    run("DELETE FROM chat_session WHERE id = %s", spare(n, text).pk)


def out_of_sight(n: int, text: str) -> None:
    """By the driver itself, which Django knows nothing of; then said."""
    pk = session(n).pk
    mark = "%s" if connection.vendor == "postgresql" else "?"
    connection.connection.cursor().execute(f"UPDATE chat_session SET title = {mark} WHERE id = {mark}", (text, pk))
    invalidate(Session)


# -- programs


def admin(n: int, text: str) -> None:
    found, client = session(n), Client()
    client.force_login(User.objects.get(username="staff"))
    form = {"owner": found.owner_id, "key": found.key, "title": text}
    answer = client.post(f"/admin/chat/session/{found.pk}/change/", form)
    assert answer.status_code == 302, answer.content


def command(n: int, text: str) -> None:
    found = session(n)
    fields = {"owner": found.owner_id, "key": found.key, "title": text, "updated_at": "2026-01-01T00:00:00Z"}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump([{"model": "chat.session", "pk": found.pk, "fields": fields}], file)
        file.flush()
        call_command("loaddata", Path(file.name), verbosity=0)


class Road(NamedTuple):
    """A way to write, and tables that it certainly writes."""

    write: Callable[[int, str], None]
    tables: frozenset[str]


ROADS = {
    road.write.__name__: road
    for road in (
        *(Road(write, frozenset({SESSIONS})) for write in (save, create, update, give_away, bulk_update, reuse_key)),
        *(Road(write, frozenset({SESSIONS})) for write in (raw, raw_with_comments, many, out_of_sight)),
        *(Road(write, frozenset({SESSIONS})) for write in (admin, command)),
        *(Road(write, frozenset({MESSAGES})) for write in (bulk_create, delete_by_query, returning)),
        *(Road(write, frozenset({SESSIONS, MESSAGES})) for write in (delete, cascade)),
        *(Road(write, frozenset({MEMBERS})) for write in (toggle_group,)),
        *(Road(write, frozenset()) for write in (join_group, leave_group, clear_groups, set_groups)),  # or nothing
        Road(rename_group, frozenset({GROUPS})),
        *(Road(write, frozenset({USERS})) for write in (change_own_row, deactivate, change_password)),
    )
}
WITHOUT_ATOMIC = (
    "raw",
    "raw_with_comments",
    "update",
    "returning",
    "out_of_sight",
    "many",
)  # none begins a transaction
LOGS_OUT = "change_password"


class Spoiled(Exception):
    """Ends a savepoint."""


def spoil(name: str, n: int, text: str) -> None:
    """Write, and have it rolled back to where it began."""
    with suppress(Spoiled), transaction.atomic():
        ROADS[name].write(n, text)
        raise Spoiled
