"""Rows of the chat for tests: a name for each model, fields only where a test cares."""

import factory
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from factory.django import DjangoModelFactory, Password
from rest_framework.authtoken.models import Token

from chat.models import Message, Session

PASSWORD = "correct horse"


class UserFactory(DjangoModelFactory):
    class Meta:
        model = User

    username = factory.Sequence(lambda n: f"user-{n}")
    email = factory.LazyAttribute(lambda user: f"{user.username}@example.com")
    password = Password(PASSWORD)


class TokenFactory(DjangoModelFactory):
    class Meta:
        model = Token

    user = factory.SubFactory(UserFactory)


class SessionFactory(DjangoModelFactory):
    class Meta:
        model = Session

    owner = factory.SubFactory(UserFactory)
    key = factory.Sequence(lambda n: f"session-{n}")
    title = factory.Sequence(lambda n: f"Session {n}")


class MessageFactory(DjangoModelFactory):
    class Meta:
        model = Message

    session = factory.SubFactory(SessionFactory)
    content = factory.Sequence(lambda n: f"Message {n}")


def permission_to_change_groups() -> Permission:
    """Django's own, which it makes with the tables; a test that empties these may have taken it along."""
    ContentType.objects.clear_cache()
    kind = ContentType.objects.get_for_model(Group)
    return Permission.objects.get_or_create(codename="change_group", content_type=kind, defaults={"name": "change"})[0]
