"""A user in, that user's sessions and messages out: every look-up starts from `owned_by(user)`.

The admin is the one reader that does not: its staff sees everybody's rows.
"""

from typing import Self
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.models import User
from django.core.validators import MaxLengthValidator, RegexValidator
from django.db import IntegrityError, models, transaction
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

MAX_CONTENT = 32_000  # characters

# \Z and ASCII on purpose: `$` lets a newline through, and `\d` the digits of every script.
validate_key = RegexValidator(
    r"\A[A-Za-z0-9._~-]{1,64}\Z", _("An id is 1 to 64 of the characters A-Z a-z 0-9 . _ ~ -"), code="invalid"
)


class SessionQuerySet(models.QuerySet["Session"]):
    def owned_by(self, user: User) -> Self:
        return self.filter(owner=user)

    def with_summary(self) -> Self:
        """Add all that a client is shown beside the columns, in the same query."""
        return self.with_message_count().with_last_message()

    def with_message_count(self) -> Self:
        mine = Message.objects.filter(session=OuterRef("pk"))
        counted = mine.values("session").annotate(n=Count("pk")).values("n")
        return self.annotate(message_count=Coalesce(Subquery(counted), 0))

    def with_last_message(self) -> Self:
        # Column by column, each is one step into the index; a prefetch would number all messages of all sessions.
        newest = Message.objects.filter(session=OuterRef("pk")).order_by("-created_at", "-pk")
        return self.annotate(**{f"last_{name}": Subquery(newest.values(name)[:1]) for name in Message.SAID})

    def open(self, owner: User, *, key: str | None = None, title: str = "") -> tuple["Session", bool]:
        """Give the owner's session with this id, and whether it is new; without an id it always is.

        A row that was there comes locked, so inside a transaction it stays as it was read.
        """
        if key is None:
            return self.open_numbered(owner, title=title), True
        while True:
            try:
                with transaction.atomic():
                    mine = self.owned_by(owner).select_for_update()
                    return mine.get_or_create(owner=owner, key=key, defaults={"title": title})
            except IntegrityError:
                continue  # There was one when we wrote, and none when we looked: it was deleted in between.

    def open_numbered(self, owner: User, *, title: str) -> "Session":
        """Make a session whose id is its own pk, or the next pk if the owner uses that one as an id already."""
        with transaction.atomic():
            while True:
                # The random key holds a place in this transaction, until the pk is known.
                session = self.create(owner=owner, key=uuid4().hex, title=title)
                if session.take_number():
                    return session
                session.delete()  # Not rolled back: SQLite would deal the same pk again.


class Session(models.Model):
    """A conversation. Its owner knows it by `key`, which is unique among the owner's own sessions only."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="chat_sessions")
    key = models.CharField(_("id"), max_length=64, validators=[validate_key])
    title = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = SessionQuerySet.as_manager()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["owner", "key"], name="chat_session_key_of_owner"),)
        indexes = (models.Index(fields=["owner", "-updated_at", "-id"], name="chat_session_recent"),)

    def __str__(self) -> str:
        return self.title or self.key

    @property
    def last_message(self) -> "Message | None":
        """Needs a row that was read `with_last_message()`."""
        said = {name: getattr(self, f"last_{name}") for name in Message.SAID}
        return Message(session=self, **said) if said["id"] else None

    def take_number(self) -> bool:
        """Make the pk the id; False if the owner has a session with that id."""
        self.key = str(self.pk)
        try:
            with transaction.atomic():
                self.save(update_fields=["key"])
        except IntegrityError:
            return False
        return True


class MessageQuerySet(models.QuerySet["Message"]):
    def owned_by(self, user: User) -> Self:
        return self.filter(session__owner=user)


class Message(models.Model):
    """One turn of a conversation."""

    SAID = ("id", "role", "content", "created_at")

    class Role(models.TextChoices):
        USER = "user", _("user")
        ASSISTANT = "assistant", _("assistant")
        SYSTEM = "system", _("system")

    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="messages")
    role = models.CharField(max_length=9, choices=Role, default=Role.USER)
    content = models.TextField(validators=[MaxLengthValidator(MAX_CONTENT)])
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = MessageQuerySet.as_manager()

    class Meta:
        indexes = (models.Index(fields=["session", "created_at", "id"], name="chat_message_in_order"),)

    def __str__(self) -> str:
        return f"{self.role}: {self.content[:60]}"
