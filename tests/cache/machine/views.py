"""Views of the chat's rows and of users; each answer says when its view ran, in steps of the machine."""

import json
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import include, path
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from batchapi import batch_policy, batchable
from chat.models import Message, Session

RAN = "X-Ran"  # The header that tells when a view ran.
CLUB = "club"  # The group whose members may see the club.

OF_TWO = """
    WITH mine AS (SELECT id, title FROM chat_session WHERE owner_id = %s)
    SELECT mine.title, COUNT(chat_message.id) FROM mine LEFT JOIN chat_message ON chat_message.session_id = mine.id
    GROUP BY mine.id, mine.title ORDER BY mine.id
"""


class Now:
    """Of this process: the step of the machine, and what happens while the next view runs."""

    step = 0
    meanwhile: Callable[[], None] | None = None


def happen() -> None:
    """Between what a view has read and its answer, once."""
    meanwhile, Now.meanwhile = Now.meanwhile, None
    if meanwhile:
        meanwhile()


class Stamped(APIView):
    """Says when it ran."""

    def get(self, request: Request, **kwargs: Any) -> Response:
        step = Now.step
        content = self.read(request, **kwargs)
        happen()
        return Response(content, headers={RAN: str(step)})

    def read(self, request: Request, **kwargs: Any) -> Any:
        raise NotImplementedError


class Own(Stamped):
    """The caller's sessions; POST makes one."""

    def read(self, request: Request) -> Any:
        return list(Session.objects.owned_by(request.user).order_by("pk").values_list("pk", "key", "title"))

    def post(self, request: Request) -> Response:
        session = Session.objects.create(owner=request.user, key=request.data["key"], title=request.data["key"])
        return Response({"pk": session.pk}, status=201)


class OwnOne(Stamped):
    """One of the caller's sessions, by its place among all that there are, with its messages."""

    def read(self, request: Request, place: int) -> Any:
        pks = list(Session.objects.order_by("pk").values_list("pk", flat=True))
        session = get_object_or_404(Session.objects.owned_by(request.user), pk=pks[place % len(pks)] if pks else 0)
        return [session.title, list(session.messages.order_by("pk").values_list("content", flat=True))]


class Count(Stamped):
    def read(self, request: Request) -> Any:
        return Message.objects.owned_by(request.user).count()


class Friends(Stamped):
    """Who shares a group with the caller: joins over a many-to-many relation, twice."""

    def read(self, request: Request) -> Any:
        friends = User.objects.filter(groups__user=request.user).distinct().order_by("pk")
        return list(friends.values_list("username", "first_name"))


class Me(Stamped):
    """The caller's own row, as it was authenticated, beside rows of a table."""

    def read(self, request: Request) -> Any:
        user = request.user
        return [user.username, user.first_name, user.is_active, Session.objects.owned_by(user).count()]


@batch_policy(public=True)
class Board(Stamped):
    """The same for everybody."""

    permission_classes = (AllowAny,)

    def read(self, request: Request) -> Any:
        groups = Group.objects.order_by("pk").prefetch_related("user_set")
        return [[group.name, sorted(user.username for user in group.user_set.all())] for group in groups]


class InClub(BasePermission):
    """Looks at a table."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return bool(request.user.is_authenticated and request.user.groups.filter(name=CLUB).exists())


class Club(Stamped):
    permission_classes = (InClub,)

    def read(self, request: Request) -> Any:
        return list(Message.objects.order_by("pk").values_list("content", flat=True))


class OfTwo(Stamped):
    """Raw SQL over two tables."""

    def read(self, request: Request) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(OF_TWO, [request.user.pk])
            return [list(row) for row in cursor.fetchall()]


@batchable
def plain(request: HttpRequest) -> HttpResponse:
    """A view that is not DRF's: it knows who is asking by the session alone."""
    step = Now.step
    titles = list(Session.objects.filter(owner=request.user.pk).order_by("pk").values_list("title", flat=True))
    happen()
    return JsonResponse([request.user.get_username(), titles], safe=False, headers={RAN: str(step)})


urlpatterns = [
    path("api/own/", Own.as_view()),
    path("api/own/<int:place>/", OwnOne.as_view()),
    path("api/count/", Count.as_view()),
    path("api/friends/", Friends.as_view()),
    path("api/me/", Me.as_view()),
    path("api/board/", Board.as_view()),
    path("api/club/", Club.as_view()),
    path("api/of-two/", OfTwo.as_view()),
    path("api/plain/", plain),
    path("api/batch/", include("batchapi.urls")),
    path("admin/", admin.site.urls),
]

SESSIONS, MESSAGES, USERS = "chat_session", "chat_message", "auth_user"
GROUPS, MEMBERS = "auth_group", "auth_user_groups"

TABLES: dict[str, frozenset[str]] = {  # by URL, what a view has read when it answers 200; who is asking apart
    "/api/own/": frozenset({SESSIONS}),
    "/api/own/0/": frozenset({SESSIONS, MESSAGES}),
    "/api/own/1/": frozenset({SESSIONS, MESSAGES}),
    "/api/own/2/": frozenset({SESSIONS, MESSAGES}),
    "/api/count/": frozenset({SESSIONS, MESSAGES}),
    "/api/friends/": frozenset({USERS, MEMBERS}),
    "/api/me/": frozenset({SESSIONS}),
    "/api/board/": frozenset({USERS, GROUPS, MEMBERS}),
    "/api/club/": frozenset({MESSAGES, GROUPS, MEMBERS}),
    "/api/of-two/": frozenset({SESSIONS, MESSAGES}),
    "/api/plain/": frozenset({SESSIONS}),
}


def body_of(response: Any) -> Any:
    """What an answer says when it is asked for alone."""
    return json.loads(response.content) if response.content else None
