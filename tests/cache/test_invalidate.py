"""`invalidate` outdates what was read from the models, labels and tables that it is given."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import connection, models, transaction
from django.test.utils import isolate_apps

from batchapi import invalidate
from batchapi.invalidation import tables_of
from batchapi.store import Store
from chat.models import Message, Session
from tests.cache.asking import fate
from tests.cache.world import ALL, World, ask_all, elsewhere, hits

pytestmark = [pytest.mark.urls("tests.cache.world")]
URL = "/api/rows/sessions/"
SESSIONS = {"sessions", "locked"}


@pytest.fixture
def world(store: Store) -> World:
    """Rows, and every answer kept."""
    made = World()
    ask_all()
    assert hits(ask_all()) == ALL
    return made


def behind_our_back(sql: str) -> None:
    """On the driver's own connection, where nobody sees it."""

    def write() -> bool:
        connection.ensure_connection()
        connection.connection.cursor().execute(sql)
        return True

    assert elsewhere(write)


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("given", "outdated"),
    [
        ([Session], SESSIONS),
        (["chat.Session"], SESSIONS),
        (["chat.session"], SESSIONS),
        (["chat_session"], SESSIONS),
        (["CHAT_Session"], SESSIONS),
        ([Session, "auth_group", "chat.Message"], SESSIONS | {"groups", "messages"}),
        ([User.groups.through], {"members"}),
        (["auth.User_groups"], {"members"}),
        ([Permission], set()),
        ([], set()),
    ],
)
def test_it_outdates_these_and_no_others(given: list[Any], outdated: set[str]) -> None:
    invalidate(*given)
    assert hits(ask_all()) == ALL - outdated


def test_a_write_that_nobody_sees_is_seen_after_it(world: World, store: Store) -> None:
    behind_our_back("UPDATE chat_session SET title = 'unseen'")
    is_seen = "sessions" not in hits(ask_all())
    assert is_seen is not store.is_shared, "on SQLite files any commit is seen"
    invalidate(Session)
    assert ask_all()["sessions"]["body"] == ["unseen", "unseen"]


@pytest.mark.parametrize(
    "given",
    ["chat.Nothing", "nothing.Session", "no_table", "", "a.b.c", 42, None, object, AbstractBaseSession],
    ids=str,
)
def test_what_is_no_model_and_no_table_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="no model and no table of this project; name a model class"):
        invalidate(given)


@pytest.mark.usefixtures("world")
def test_where_one_is_refused_none_is_outdated() -> None:
    with pytest.raises(ValueError, match="no_table"):
        invalidate(Session, "no_table")
    assert hits(ask_all()) == ALL


@isolate_apps("chat")
def test_a_proxy_has_the_table_of_its_model_and_a_child_those_of_its_parents() -> None:
    class Proxy(Session):
        class Meta:
            app_label, proxy = "chat", True

    class Child(Session):
        class Meta:
            app_label = "chat"

    class Grandchild(Child):
        note = models.TextField()

        class Meta:
            app_label = "chat"

    assert tables_of(Proxy) == {"chat_session"}
    assert tables_of(Child) == {"chat_child", "chat_session"}
    assert tables_of(Grandchild) == {"chat_grandchild", "chat_child", "chat_session"}


def test_in_a_transaction_it_holds_once_more_at_the_commit(world: World) -> None:
    """Whoever reads in between keeps the old rows."""
    with transaction.atomic():
        invalidate(Session)
        assert elsewhere(lambda: fate(URL)) == "fwd=stale; stored"
        assert elsewhere(lambda: fate(URL)) == "hit"
    assert fate(URL) == "fwd=stale; stored"


def test_in_a_transaction_that_is_rolled_back_it_does_no_harm(world: World, told: list[set[str]]) -> None:
    with transaction.atomic():
        assert Session.objects.exists()
        invalidate(Session)
        elsewhere(lambda: fate(URL))
        transaction.set_rollback(True)
    assert fate(URL) == "hit"
    assert told == []


def test_in_a_manual_transaction_it_holds_once_more_too(world: World, told: list[set[str]]) -> None:
    transaction.set_autocommit(False)
    try:
        invalidate(Message)
        assert told == []
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    assert told == [{"chat_message"}]


def test_outside_of_a_transaction_it_tells_nothing_later(world: World, told: list[set[str]]) -> None:
    invalidate(Session)
    Group.objects.count()
    Group.objects.create(name="x")
    assert told == [{"auth_group"}]
