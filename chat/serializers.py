"""Rows in, the JSON of the chat contract out; and the other way round, with a 400 for what does not fit."""

from typing import Any, ClassVar

from django.contrib.auth.models import User
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from chat.models import MAX_CONTENT, Message, Session, validate_key


class UserSerializer(serializers.ModelSerializer[User]):
    class Meta:
        model = User
        fields = ("id", "username", "email")


class SessionIdField(serializers.Field):
    """A string or an integer in, always a string out: `42` and `"42"` are the same session."""

    default_validators = (validate_key,)

    def to_internal_value(self, data: Any) -> str:
        # To Python, True is an integer too.
        if isinstance(data, bool) or not isinstance(data, str | int):
            raise serializers.ValidationError(validate_key.message, code=validate_key.code)
        return str(data)

    def to_representation(self, value: str) -> str:
        return value


class RoleField(serializers.ChoiceField):
    """One of the roles. Its message does not repeat what was sent: half of a surrogate pair can't be sent back."""

    default_error_messages: ClassVar = {"invalid_choice": _("A role is user, assistant or system.")}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(Message.Role.choices, **kwargs)


class MessageSerializer(serializers.ModelSerializer[Message]):
    session = serializers.CharField(source="session.key", read_only=True)
    role = RoleField(default=Message.Role.USER)
    content = serializers.CharField(max_length=MAX_CONTENT, trim_whitespace=False)  # Code may begin with indentation.

    class Meta:
        model = Message
        fields = ("id", "session", "role", "content", "created_at")


class MessageEditSerializer(MessageSerializer):
    role = RoleField(read_only=True)


class SessionIdSerializer(serializers.Serializer[Session]):
    """Reads nothing but the id that the client chose."""

    id = SessionIdField(source="key", required=False)


class SessionSerializer(serializers.ModelSerializer[Session]):
    id = SessionIdField(source="key", required=False)
    title = serializers.CharField(max_length=200, allow_blank=True, default="")
    message_count = serializers.IntegerField(read_only=True)
    last_message = MessageSerializer(read_only=True)

    class Meta:
        model = Session
        fields = ("id", "title", "message_count", "last_message", "created_at", "updated_at")

    def validate_id(self, key: str) -> str:
        """An id never changes: where the URL has one, the body has the same or none."""
        addressed = self.context["view"].kwargs.get("id", key)
        if key != addressed:
            raise serializers.ValidationError(_("This is not the id in the URL."), code="mismatch")
        return key
