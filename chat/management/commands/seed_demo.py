"""Numbers in, users with sessions and messages out; what is there already is left alone."""

import os
import secrets
import time
from argparse import ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Iterator
from functools import cache, partial
from itertools import chain, count, cycle, islice
from typing import Any

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from chat.models import Message, Session

NAMES = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi")
TOPICS = ("A week in Lisbon", "Sourdough that rises", "Notes on chapter three", "Which bicycle?", "Names for the cat")
TALK = (
    (Message.Role.USER, "Where do I begin?"),
    (Message.Role.ASSISTANT, "With what you know already. What is it?"),
    (Message.Role.USER, "Less than I hoped. Give me three steps."),
    (Message.Role.ASSISTANT, "Look, choose, try. The third one teaches most."),
)
ROWS_AT_ONCE = 1000
SECONDS_OF_SILENCE = 2.0  # A run that takes longer says how far it is.

HELP = """\
Makes alice, bob, … with sessions demo-1, demo-2, … and a conversation in each, to look at and to measure with.
alice may open the admin. Run it again with larger numbers for more: what is there stays as it is.

All of them get the password in DEMO_PASSWORD. Without that variable new users get one that is made up and printed,
and those who are there keep theirs.

  python manage.py seed_demo
  DEMO_PASSWORD=open-sesame python manage.py seed_demo --users 50 --sessions 200 --messages 40
"""


class Command(BaseCommand):
    help = HELP

    def create_parser(self, *args: Any, **kwargs: Any) -> CommandParser:
        # As written: Django's own formatter would join the examples to one line.
        return super().create_parser(*args, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        wanted = {"users": (3, "how many users"), "sessions": (20, "of each user"), "messages": (6, "in each session")}
        for name, (default, meaning) in wanted.items():
            text = f"{meaning} (default: {default})"
            parser.add_argument(f"--{name}", type=whole_number, default=default, metavar="N", help=text)

    def handle(self, *, users: int, sessions: int, messages: int, verbosity: int, **options: Any) -> None:
        given = os.environ.get("DEMO_PASSWORD")
        password = given or secrets.token_urlsafe(9)
        accounts = Accounts(password, is_given=bool(given))
        last_word = time.monotonic()
        for done, username in enumerate(islice(usernames(), users), start=1):
            with transaction.atomic():
                user = accounts.seed(username)
                seed_sessions(user, sessions)
                seed_messages(user, messages)
            if verbosity and time.monotonic() - last_word > SECONDS_OF_SILENCE:
                last_word = time.monotonic()
                self.stdout.write(f"{done} of {users} users …")
        if verbosity:
            self.stdout.write(f"{users} users, {sessions} sessions of each, {messages} messages in each session.")
        if accounts.has_new and not given:
            self.stdout.write(f"Password of the new users: {password}")


class Accounts:
    """Makes the users, all with one password."""

    def __init__(self, password: str, *, is_given: bool) -> None:
        self.is_given = is_given
        self.has_new = False
        # A hash is slow on purpose: one for all of them, and one look at each that is stored.
        self.encoded = make_password(password)
        self.is_right = cache(partial(check_password, password))

    def seed(self, username: str) -> User:
        is_staff = username == "alice"
        new = {"email": f"{username}@example.com", "is_staff": is_staff, "is_superuser": is_staff}
        user, is_new = User.objects.get_or_create(username=username, defaults={**new, "password": self.encoded})
        self.has_new |= is_new
        if self.is_given and not self.is_right(user.password):
            user.password = self.encoded
            user.save(update_fields=["password"])
        return user


def usernames() -> Iterator[str]:
    return chain(NAMES, (f"user-{number}" for number in count(len(NAMES) + 1)))


def seed_sessions(user: User, wanted: int) -> None:
    """The unique constraint keeps those that are there from being made again."""
    titles = zip(range(1, wanted + 1), cycle(TOPICS), strict=False)
    made = (Session(owner=user, key=f"demo-{number}", title=title) for number, title in titles)
    Session.objects.bulk_create(made, batch_size=ROWS_AT_ONCE, ignore_conflicts=True)


def seed_messages(user: User, wanted: int) -> None:
    """Go on with each conversation from where it stands."""
    mine = Session.objects.owned_by(user).filter(key__startswith="demo-").with_message_count()
    missing = (
        Message(session=session, role=role, content=content)
        for session in mine
        for role, content in islice(cycle(TALK), session.message_count, max(wanted, session.message_count))
    )
    while batch := list(islice(missing, ROWS_AT_ONCE)):
        Message.objects.bulk_create(batch)


def whole_number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)
