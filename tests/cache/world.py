"""Some rows, views that read one table each, and whatever has to change of what they read."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.db import connection, connections, transaction
from django.test import Client
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chat.models import Message, Session
from tests.cache.asking import Record, ask, said
from tests.factories import MessageFactory, SessionFactory, UserFactory


def locked_titles() -> list[str]:
    with transaction.atomic():
        return list(Session.objects.select_for_update().order_by("pk").values_list("title", flat=True))


READS: dict[str, Callable[[], Iterable[Any]]] = {
    "sessions": lambda: Session.objects.order_by("pk").values_list("title", flat=True),
    "locked": locked_titles,
    "messages": lambda: Message.objects.order_by("pk").values_list("content", flat=True),
    "users": lambda: User.objects.order_by("pk").values_list("username", "first_name"),
    "groups": lambda: Group.objects.order_by("pk").values_list("name", flat=True),
    "members": lambda: User.groups.through.objects.order_by("pk").values_list("user_id", "group_id"),
    "unrelated": lambda: ContentType.objects.order_by("pk").values_list("model", flat=True),
}
ALL = frozenset(READS)


class Rows(APIView):
    """The rows of one table."""

    authentication_classes = permission_classes = ()

    def get(self, request: Request, name: str) -> Response:
        return Response(now(name))


def now(name: str) -> list[Any]:
    """What there is to be read, as JSON has it."""
    return [list(row) if isinstance(row, tuple) else row for row in READS[name]()]


urlpatterns = [
    path("api/rows/<str:name>/", Rows.as_view()),
    path("api/batch/", include("batchapi.urls")),
    path("admin/", admin.site.urls),
]


@dataclass(slots=True)
class World:
    """A user in a group, with two sessions and a message in each; and somebody who may use the admin."""

    user: User = field(default_factory=UserFactory)
    group: Group = field(default_factory=lambda: Group.objects.create(name="editors"))
    spare: Group = field(default_factory=lambda: Group.objects.create(name="spare"))
    session: Session = field(init=False)
    message: Message = field(init=False)
    staff: Client = field(default_factory=Client)
    environment: dict[str, str] = field(default_factory=dict)  # of a process that has the same databases

    def __post_init__(self) -> None:
        self.user.groups.add(self.group)
        self.session = SessionFactory(owner=self.user)
        self.message = MessageFactory(session=self.session)
        MessageFactory(session=SessionFactory(owner=self.user))
        self.staff.force_login(UserFactory(is_staff=True, is_superuser=True))


def ask_all() -> dict[str, Record]:
    """The answer to every view, by its name."""
    names = sorted(READS)
    return dict(zip(names, ask(*(f"/api/rows/{name}/" for name in names)), strict=True))


def hits(answers: dict[str, Record]) -> set[str]:
    """The names of those that a view was not called for."""
    return {name for name, record in answers.items() if said(record) == "hit"}


def execute(*statements: str) -> None:
    """SQL on a cursor of Django's."""
    with connection.cursor() as cursor:
        for sql in statements:
            cursor.execute(sql)


def elsewhere(do: Callable[[], Any]) -> Any:
    """What this gives on a thread with connections of its own."""
    given: list[Any] = []

    def run() -> None:
        try:
            given.append(do())
        finally:
            connections.close_all()

    thread = Thread(target=run)
    thread.start()
    thread.join(20)
    assert given, "the thread failed"
    return given[0]


def same_databases(redis_url: str) -> dict[str, str]:
    """The environment in which a process of the project has the databases of this test."""
    settings = connection.settings_dict
    url = f"sqlite:///{settings['NAME']}"
    if connection.vendor == "postgresql":
        url = f"postgresql://{settings['USER']}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "project.settings", "DATABASE_URL": url}
    return {**environment, "REDIS_URL": redis_url, "COVERAGE_PROCESS_CONFIG": ""}
