"""The messages of whoever asks: those of one session as a list, each one under its own number."""

from typing import Any

from django.db import transaction
from django.shortcuts import get_object_or_404
from django.urls import reverse
from rest_framework.generics import ListCreateAPIView
from rest_framework.mixins import DestroyModelMixin, RetrieveModelMixin, UpdateModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_201_CREATED
from rest_framework.viewsets import GenericViewSet

from chat.conditional import ETagMixin
from chat.filters import ChatPagination, RoleFilter
from chat.models import Message, MessageQuerySet, Session
from chat.serializers import MessageEditSerializer, MessageSerializer
from chat.views.sessions import SessionIdMixin


class SessionMessagesView(SessionIdMixin, ListCreateAPIView):
    """What was said in one session, oldest first, and the place to say more.

    A new message is activity of its session: it moves `updated_at`, so the session comes first in the list again.
    To edit or delete a message is not.
    """

    serializer_class = MessageSerializer
    pagination_class = ChatPagination
    filter_backends = (RoleFilter,)

    def get_queryset(self) -> MessageQuerySet:
        mine = Session.objects.owned_by(self.request.user)
        session = get_object_or_404(mine, key=self.kwargs["id"])
        messages = Message.objects.owned_by(self.request.user).filter(session=session)
        return messages.select_related("session").order_by("created_at", "pk")

    @transaction.atomic
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        # Locked, so that nobody deletes the session before its message is there.
        mine = Session.objects.owned_by(request.user).select_for_update()
        session = get_object_or_404(mine, key=kwargs["id"])
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        message = serializer.save(session=session)
        session.save(update_fields=["updated_at"])
        location = reverse("message-detail", kwargs={"pk": message.pk})
        return Response(serializer.data, status=HTTP_201_CREATED, headers={"Location": location})


class MessageViewSet(ETagMixin, RetrieveModelMixin, UpdateModelMixin, DestroyModelMixin, GenericViewSet):
    """GET and DELETE of one message, PATCH of its content."""

    serializer_class = MessageEditSerializer
    http_method_names = ("get", "patch", "delete", "head", "options")
    lookup_value_converter = "int"  # ASCII digits only, where int() would read those of every script.

    def get_queryset(self) -> MessageQuerySet:
        return Message.objects.owned_by(self.request.user).select_related("session")
