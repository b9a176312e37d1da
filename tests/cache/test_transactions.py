"""What is written is told of once it is committed: never before, once for each transaction, never for a rollback."""

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection, transaction

from tests.cache.telling import GROUPS, RENAME, USERS, Told, listening, taken_back
from tests.cache.world import elsewhere, execute

pytestmark = [pytest.mark.django_db(transaction=True)]


def test_a_statement_by_itself_is_told_of_at_once(told: Told) -> None:
    execute(RENAME)
    assert told == [GROUPS]


def test_a_row_that_is_made_is_told_of_once(told: Told) -> None:
    """SQLite commits INSERT … RETURNING when its row is read, which is after the statement."""
    Group.objects.create(name="a")
    assert told == [GROUPS]


def test_nothing_is_told_before_the_commit_and_everything_once_after_it(told: Told) -> None:
    with transaction.atomic():
        Group.objects.create(name="a")
        User.objects.create(username="b")
        execute(RENAME)
        Group.objects.count()
        assert told == []
    assert told == [GROUPS | USERS]


def test_what_only_reads_tells_nothing(told: Told) -> None:
    with transaction.atomic():
        Group.objects.count()
    assert told == []


def test_a_rollback_tells_nothing(told: Told) -> None:
    with taken_back():
        Group.objects.create(name="a")
    with transaction.atomic():
        Group.objects.create(name="a")
        transaction.set_rollback(True)
    User.objects.count()
    assert told == []


def test_the_transaction_after_a_rollback_tells_of_its_own_only(told: Told) -> None:
    with taken_back():
        Group.objects.create(name="a")
    User.objects.create(username="b")
    assert told == [USERS]


def test_what_came_before_a_savepoint_outlives_its_rollback(told: Told) -> None:
    with transaction.atomic():
        Group.objects.create(name="a")
        with taken_back():
            User.objects.create(username="b")
        assert told == []
    assert len(told) == 1
    assert told[0] >= GROUPS


def test_a_table_that_was_written_inside_and_outside_a_savepoint_outlives_its_rollback(told: Told) -> None:
    with transaction.atomic():
        Group.objects.create(name="outside")
        savepoint = transaction.savepoint()
        Group.objects.create(name="inside")
        transaction.savepoint_rollback(savepoint)
    assert told == [GROUPS]


def test_a_savepoint_is_told_of_with_the_whole_transaction(told: Told) -> None:
    with transaction.atomic(durable=True):
        with transaction.atomic(), transaction.atomic(savepoint=False):
            Group.objects.create(name="a")
        assert told == []
        savepoint = transaction.savepoint()
        User.objects.create(username="b")
        transaction.savepoint_commit(savepoint)
        assert told == []
    assert told == [GROUPS | USERS]


def test_the_rows_are_there_when_they_are_told_of(told: Told) -> None:
    """Whoever reads on another connection after that gets the new ones."""
    seen: list[list[str]] = []

    def look(_tables: frozenset[str]) -> None:
        seen.append(elsewhere(lambda: list(Group.objects.values_list("name", flat=True))))

    with listening(look), transaction.atomic():
        Group.objects.create(name="a")
    with listening(look):
        Group.objects.create(name="b")
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO auth_group (name) VALUES ('c') RETURNING id, name")
            cursor.fetchall()
    assert [sorted(names) for names in seen] == [["a"], ["a", "b"], ["a", "b", "c"]]
