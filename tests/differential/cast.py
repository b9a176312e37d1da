"""Who is there, and what is theirs, before anything happens: the rows of the template, and the callers."""

from base64 import b64encode
from pathlib import Path

import time_machine
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import call_command
from rest_framework.authtoken.models import Token

from tests.differential.asks import CSRF_COOKIE, SESSION_COOKIE, Caller
from tests.differential.stage import NOW, on_database
from tests.factories import PASSWORD, MessageFactory, SessionFactory, UserFactory

SECRET = "c" * 32
STALE = "d" * 32  # No session has this key.


def make_template(path: Path) -> None:
    """A SQLite file with all tables and the cast."""
    with on_database(path), time_machine.travel(NOW, tick=False):
        call_command("migrate", verbosity=0)
        for name in ("alice", "bob", "carol"):
            add_user(name)
        Group.objects.create(name="first")
        own("alice", "a1", "a2", "42", "same")
        own("bob", "b1", "same")


def add_user(name: str) -> None:
    """A user with a token and a session; bob is staff, carol is not active."""
    user = UserFactory(username=name, is_staff=name == "bob", is_active=name != "carol")
    Token.objects.create(user=user, key=token_of(name))
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session._session_key = key_of(name)  # Not before: a key without a row is given up at the first look.
    session.save(must_create=True)


def own(name: str, *keys: str) -> None:
    """Chat sessions, the first with messages."""
    owner = User.objects.get(username=name)
    sessions = [SessionFactory(owner=owner, key=key, title=f"{name}'s {key}") for key in keys]
    for role in ("user", "assistant", "user"):
        MessageFactory(session=sessions[0], role=role, content=f"{name} {role}")


def token_of(name: str) -> str:
    return name[0] * 40


def key_of(name: str) -> str:
    return name[0] * 32


def with_token(name: str) -> dict[str, str]:
    return {"Authorization": f"Token {token_of(name)}"}


def basic(name: str, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"}


def session(name: str) -> dict[str, str]:
    return {SESSION_COOKIE: key_of(name)}


COOKIE, HEADER = {CSRF_COOKIE: SECRET}, {"X-CSRFToken": SECRET}
ALICE, BOB, CAROL = ({**session(name), **COOKIE} for name in ("alice", "bob", "carol"))

CALLERS = (
    Caller(name="nobody"),
    Caller(name="nobody with a CSRF token", cookies=COOKIE, headers=HEADER),
    Caller(name="alice by token", headers=with_token("alice")),
    Caller(name="alice by session", cookies=ALICE, headers={**HEADER, "Referer": "http://testserver/"}),
    Caller(name="alice by session without a CSRF token", cookies=session("alice")),
    Caller(name="alice by session with a wrong CSRF token", cookies=ALICE, headers={"X-CSRFToken": "e" * 32}),
    Caller(name="alice by session from elsewhere", cookies=ALICE, headers={**HEADER, "Origin": "http://evil"}),
    Caller(name="bob by password", headers={**basic("bob"), "Origin": "http://testserver"}),
    Caller(name="bob by a wrong password", headers=basic("bob", "wrong")),
    Caller(name="bob by password, in alice's session", cookies=ALICE, headers=basic("bob")),
    Caller(name="alice by token, in bob's session", cookies=BOB, headers={**with_token("alice"), **HEADER}),
    Caller(name="a bad token", headers={"Authorization": "Token nothing"}),
    Caller(name="a broken token", headers={"Authorization": "Token"}),
    Caller(name="carol, who is not active, by token", headers=with_token("carol")),
    Caller(name="carol, who is not active, by session", cookies=CAROL, headers=HEADER),
    Caller(name="somebody whose session is gone", cookies={SESSION_COOKIE: STALE, "django_language": "fr"}),
    Caller(name="bob by a header", headers={"X-Who": "bob"}),
    Caller(name="a stranger by a header", headers={"X-Who": "mallory", "User-Agent": "zoo/1"}),
)
