"""Who is asking: login, logout, the API token, and what a user may know of themselves."""

from collections.abc import Mapping

from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token
from rest_framework.authtoken.serializers import AuthTokenSerializer
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_204_NO_CONTENT
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from batchapi import batch_policy
from chat.parsers import JSONParser
from chat.serializers import UserSerializer
from chat.throttles import LoginThrottle


def brings_password(request: Request) -> bool:
    return isinstance(request.data, Mapping) and "password" in request.data


def user_of_password(request: Request) -> User:
    """The user of the username and password in the body; ValidationError if there is none."""
    serializer = AuthTokenSerializer(data=request.data, context={"request": request})
    serializer.is_valid(raise_exception=True)
    user: User = serializer.validated_data["user"]
    return user


@batch_policy(changes_identity=True)
class LoginView(APIView):
    """Username and password in, a session cookie and the user out.

    No authenticators: a stale token must not keep anybody from logging in. So no CSRF check either, and JSON only:
    a form on another site can't send JSON, so it can't log its visitor in as somebody else.
    """

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = (LoginThrottle,)
    parser_classes = (JSONParser,)

    def post(self, request: Request) -> Response:
        user = user_of_password(request)
        login(request, user)
        return Response(UserSerializer(user).data)


@batch_policy(changes_identity=True)
class LogoutView(APIView):
    """Ends the session. The token lives on: it belongs to other devices too."""

    def post(self, request: Request) -> Response:
        logout(request)
        return Response(status=HTTP_204_NO_CONTENT)


class BringsPassword(BasePermission):
    """Lets a POST with a password through; the view finds out whether it is the right one."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return request.method == "POST" and brings_password(request)


class TokenView(APIView):
    """The one token of a user: POST gives it, to whoever is logged in or sends username and password.

    DELETE makes it worthless.
    """

    permission_classes = (BringsPassword | IsAuthenticated,)

    def get_throttles(self) -> list[BaseThrottle]:
        return [LoginThrottle()] if brings_password(self.request) else []

    def post(self, request: Request) -> Response:
        user = user_of_password(request) if brings_password(request) else request.user
        token, _ = Token.objects.get_or_create(user=user)
        return Response({"token": token.key})

    def delete(self, request: Request) -> Response:
        Token.objects.filter(user=request.user).delete()
        return Response(status=HTTP_204_NO_CONTENT)


class MeView(APIView):
    def get(self, request: Request) -> Response:
        return Response(UserSerializer(request.user).data)
