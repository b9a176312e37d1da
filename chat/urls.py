"""Every route of the chat API, and the names that priorities and clients know them by."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from chat.views.accounts import LoginView, LogoutView, MeView, TokenView
from chat.views.messages import MessageViewSet, SessionMessagesView
from chat.views.sessions import SessionViewSet
from chat.views.stats import StatsView

router = SimpleRouter(use_regex_path=False)  # `$` at the end of a regular expression lets a newline through.
router.register("sessions", SessionViewSet, basename="session")
router.register("messages", MessageViewSet, basename="message")

urlpatterns = [
    path("auth/login/", LoginView.as_view(), name="auth-login"),
    path("auth/logout/", LogoutView.as_view(), name="auth-logout"),
    path("auth/token/", TokenView.as_view(), name="auth-token"),
    path("auth/me/", MeView.as_view(), name="auth-me"),
    path("users/me/", MeView.as_view(), name="users-me"),
    path("sessions/<str:id>/messages/", SessionMessagesView.as_view(), name="session-messages"),
    path("stats/", StatsView.as_view(), name="stats"),
    *router.urls,
]
