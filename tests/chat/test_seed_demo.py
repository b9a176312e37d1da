"""`manage.py seed_demo`: what it makes, that it may run again, and what it does with passwords."""

import re
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db.models import Model
from django.forms.models import model_to_dict

from chat.models import Message, Session
from tests.chat.conftest import JsonClient

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_password_given(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DEMO_PASSWORD", raising=False)


def seed(**options: int) -> str:
    out = StringIO()
    call_command("seed_demo", stdout=out, **options)
    return out.getvalue()


def every_row() -> list[dict[str, object]]:
    models: tuple[type[Model], ...] = (User, Session, Message)
    return [model_to_dict(row) for model in models for row in model.objects.order_by("pk")]


def test_it_makes_users_with_conversations():
    seed(users=3, sessions=4, messages=5)

    assert [user.username for user in User.objects.order_by("pk")] == ["alice", "bob", "carol"]
    assert {session.messages.count() for session in Session.objects.all()} == {5}
    assert Session.objects.filter(owner__username="bob").count() == 4


def test_alice_alone_may_open_the_admin():
    seed(users=2, sessions=0, messages=0)

    assert list(User.objects.filter(is_staff=True, is_superuser=True).values_list("username", flat=True)) == ["alice"]


def test_a_second_run_changes_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEMO_PASSWORD", "open sesame")
    seed(users=2, sessions=3, messages=4)
    before = every_row()

    seed(users=2, sessions=3, messages=4)
    seed(users=1, sessions=1, messages=1)

    assert every_row() == before


def test_larger_numbers_add_what_is_missing():
    seed(users=1, sessions=1, messages=3)
    seed(users=10, sessions=2, messages=5)

    assert (User.objects.count(), Session.objects.count(), Message.objects.count()) == (10, 20, 100)
    first = Session.objects.get(owner__username="alice", key="demo-1").messages.order_by("created_at", "pk")
    assert [message.role for message in first] == ["user", "assistant", "user", "assistant", "user"]


def test_what_the_user_wrote_is_left_alone(as_alice: JsonClient):
    as_alice.post("/api/sessions/", {"id": "my-own"})

    seed(users=1, sessions=1, messages=2)

    assert Session.objects.get(key="my-own").messages.count() == 0


def test_a_password_that_is_made_up_is_printed_once(anonymous: JsonClient):
    printed = re.search(r"Password of the new users: (\S+)", seed(users=1))

    answer = anonymous.post("/api/auth/login/", {"username": "alice", "password": printed[1]})
    assert answer.status_code == 200
    assert "Password" not in seed(users=1)
    assert User.objects.get().check_password(printed[1])


def test_a_password_that_is_given_is_set_and_not_printed(monkeypatch: pytest.MonkeyPatch):
    seed(users=2)
    monkeypatch.setenv("DEMO_PASSWORD", "open sesame")

    assert "open sesame" not in seed(users=2)
    assert all(user.check_password("open sesame") for user in User.objects.all())


@pytest.mark.parametrize("number", ["-1", "²", "many", "1.5"])
def test_a_number_has_to_be_one(number: str):
    with pytest.raises(CommandError, match="is not a whole number"):
        call_command("seed_demo", f"--users={number}")


def test_the_help_shows_how(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        call_command("seed_demo", "--help")

    shown = capsys.readouterr().out
    assert "DEMO_PASSWORD=open-sesame python manage.py seed_demo --users 50 --sessions 200 --messages 40\n" in shown
    assert "(default: 20)" in shown
