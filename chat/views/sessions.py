"""The sessions of whoever asks, as a list and one by one. Somebody else's session does not exist."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404
from django.urls import reverse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_201_CREATED
from rest_framework.viewsets import ModelViewSet

from chat.conditional import ETagMixin, check_write
from chat.filters import ChatPagination, NewestFirstOrdering, TitleSearch
from chat.models import Session, SessionQuerySet, validate_key
from chat.serializers import SessionIdSerializer, SessionSerializer


class SessionIdMixin:
    """For URLs with a session id: one that no session can have never reaches the database, some refuse its text."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)  # First of all: 401 goes before any word about ids.
        if "id" not in kwargs:
            return
        try:
            validate_key(kwargs["id"])
        except ValidationError as error:
            if request.method == "PUT":  # It would create the session.
                raise serializers.ValidationError({"id": error.messages}) from error
            raise Http404("No Session matches the given query.") from error


class SessionViewSet(SessionIdMixin, ETagMixin, ModelViewSet):
    """GET, POST, PUT, PATCH and DELETE of sessions. Each can be sent again: POST with an id and PUT create once."""

    serializer_class = SessionSerializer
    lookup_field = "key"
    lookup_url_kwarg = "id"
    pagination_class = ChatPagination
    filter_backends = (TitleSearch, NewestFirstOrdering)
    search_fields = ("title",)
    ordering_fields = ("created_at", "updated_at", "title")
    ordering = ("-updated_at",)

    def get_queryset(self) -> SessionQuerySet:
        return Session.objects.owned_by(self.request.user).with_summary()

    @transaction.atomic
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Answer 201, or 200 with what is stored if the id is mine already: then the body is ignored."""
        stored = self.find_stored()
        session, is_new = (stored, False) if stored else self.open()
        return self.tag(self.answer(session, is_new=is_new))

    @transaction.atomic
    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """PUT creates a session that is not there; on one that is, PUT replaces the title and PATCH may."""
        if request.method == "PUT":
            session, is_new = self.open(key=kwargs["id"])
            if is_new:
                check_write(request, None)  # Raises: the transaction takes the new row back.
                return self.answer(session, is_new=True)
        return super().update(request, *args, **kwargs)

    def find_stored(self) -> Session | None:
        """The session whose id the body names; what else the body says is not looked at."""
        chosen = SessionIdSerializer(data=self.request.data)
        if not chosen.is_valid() or not chosen.validated_data:
            return None
        mine = Session.objects.owned_by(self.request.user).select_for_update()  # So that it is still there to be shown.
        return mine.filter(**chosen.validated_data).first()

    def open(self, **addressed: str) -> tuple[Session, bool]:
        """Find or make the session that the body, and on PUT the URL, describe."""
        serializer = self.get_serializer(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return Session.objects.open(self.request.user, **{**serializer.validated_data, **addressed})

    def answer(self, session: Session, *, is_new: bool) -> Response:
        """The session as GET shows it."""
        shown = self.get_serializer(self.get_queryset().get(pk=session.pk))
        if not is_new:
            return Response(shown.data)
        location = reverse("session-detail", kwargs={"id": session.key})
        return Response(shown.data, status=HTTP_201_CREATED, headers={"Location": location})
