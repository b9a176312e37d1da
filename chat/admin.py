"""Sessions and messages of everybody, for the staff."""

from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest

from chat.models import Message, Session, SessionQuerySet


@admin.register(Session)
class SessionAdmin(admin.ModelAdmin):
    list_display = ("key", "owner", "title", "message_count", "created_at", "updated_at")
    list_filter = ("updated_at", "created_at")
    list_select_related = ("owner",)
    search_fields = ("=key", "title", "=owner__username")
    ordering = ("-updated_at", "-pk")
    autocomplete_fields = ("owner",)  # A drop-down would list every user that there is.
    readonly_fields = ("created_at", "updated_at")

    def get_queryset(self, request: HttpRequest) -> SessionQuerySet:
        return super().get_queryset(request).with_message_count()

    @admin.display(description="messages", ordering="message_count")
    def message_count(self, session: Session) -> int:
        return session.message_count


@admin.register(Message)
class MessageAdmin(admin.ModelAdmin):
    list_display = ("__str__", "session", "owner", "role", "created_at")
    list_filter = ("role", "created_at")
    list_select_related = ("session__owner",)
    search_fields = ("content", "=session__key", "=session__owner__username")
    ordering = ("-created_at", "-pk")
    autocomplete_fields = ("session",)
    readonly_fields = ("created_at",)

    @admin.display(ordering="session__owner__username")
    def owner(self, message: Message) -> User:
        return message.session.owner
