"""Views that care who is asking, in every way that Django and DRF offer; and views that change it."""

from typing import Any

from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.auth.models import Group, Permission, User
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from rest_framework import authentication, exceptions, generics, permissions, serializers
from rest_framework.authtoken.models import Token
from rest_framework.authtoken.views import obtain_auth_token
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from batchapi import batch_policy, batchable
from tests.views import happened


def describe(user: Any) -> dict[str, Any]:
    """What a view can see of a user."""
    if not user.is_authenticated:
        return {"user": None, "type": type(user).__name__, "pk": user.pk}
    rights = sorted(user.get_all_permissions())[:3]
    return {
        "user": user.username,
        "email": user.email,
        "staff": user.is_staff,
        "rights": rights,
        "name": user.first_name,
    }


class Whoami(APIView):
    """Says who is asking, and by what."""

    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        """Who DRF says it is, and who Django says."""
        by = type(request.successful_authenticator).__name__ if request.successful_authenticator else None
        return Response({**describe(request.user), "by": by, "django": describe(request._request.user)["user"]})

    post = get


class Chosen(authentication.BaseAuthentication):
    """Believes a header of the parent's."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """The user with that name; an unknown one is refused."""
        happened.append("Chosen")
        name = request.META.get("HTTP_X_WHO")
        if name is None:
            return None
        if user := User.objects.filter(username=name).first():
            return user, name
        raise exceptions.AuthenticationFailed("Who?")

    def authenticate_header(self, request: Request) -> str:
        """Makes it a 401."""
        return "Who"


class LoudToken(authentication.TokenAuthentication):
    """A token authentication of the project's own."""

    def authenticate_credentials(self, key: str) -> tuple[Any, Any]:
        """Counted, and so is each call."""
        happened.append("LoudToken")
        user, token = super().authenticate_credentials(key)
        return user, token


class BearerBasic(authentication.BasicAuthentication):
    """DRF's own look-up behind a realm of its own."""

    www_authenticate_realm = "zoo"


WAYS: dict[str, tuple[type[authentication.BaseAuthentication], ...]] = {
    "none": (),
    "basic": (authentication.BasicAuthentication,),
    "token": (authentication.TokenAuthentication,),
    "session": (authentication.SessionAuthentication,),
    "all": (authentication.SessionAuthentication, authentication.TokenAuthentication, BearerBasic),
    "chosen": (Chosen, authentication.TokenAuthentication),
    "loud": (LoudToken,),
    "remote": (authentication.RemoteUserAuthentication,),
}


class Closed(Whoami):
    """For those who are logged in."""

    permission_classes = (permissions.IsAuthenticated,)


class Staff(Whoami):
    """For the staff."""

    permission_classes = (permissions.IsAdminUser,)


class Rights(generics.RetrieveUpdateDestroyAPIView):
    """A row of a model, for those who have the model's permissions."""

    class GroupSerializer(serializers.ModelSerializer[Group]):
        class Meta:
            model = Group
            fields = ("id", "name")

    queryset = Group.objects.order_by("pk")
    serializer_class = GroupSerializer
    permission_classes = (permissions.DjangoModelPermissionsOrAnonReadOnly,)


class IsSelf(permissions.BasePermission):
    """Users may see themselves."""

    message = "Not yours."

    def has_object_permission(self, request: Request, view: APIView, obj: Any) -> bool:
        """Whether the row is the user's own."""
        return bool(obj == request.user)


class Own(generics.RetrieveAPIView):
    """An object permission."""

    class NameSerializer(serializers.ModelSerializer[User]):
        class Meta:
            model = User
            fields = ("username", "last_login")

    queryset = User.objects.order_by("pk")
    serializer_class = NameSerializer
    permission_classes = (IsSelf,)


@batchable
@login_required
def members(request: HttpRequest) -> JsonResponse:
    """A plain view for those who are logged in; others are sent to the login page."""
    return JsonResponse(describe(request.user))


@batchable
@csrf_exempt
def plain_user(request: HttpRequest) -> JsonResponse:
    """A plain view's user."""
    return JsonResponse({**describe(request.user), "lazy": type(request.user).__name__})


@api_view(["GET", "POST"])
@permission_classes([AllowAny])
def scribble(request: Request) -> Response:
    """Fills the caches of the user's object and changes its attributes, without saving."""
    for user in (request.user, request._request.user):
        user.has_perm("auth.add_group")
        user.first_name = "Scribbled"
        user.is_staff = user.is_superuser = True
    return Response(describe(request.user))


@api_view(["POST"])
@permission_classes([AllowAny])
def change(request: Request, what: str) -> Response:
    """Changes the asker's account behind the back of all who remember it."""
    user = request.user
    if not isinstance(user, User):
        return Response({"what": None}, status=409)
    rows = User.objects.filter(pk=user.pk)
    if what == "password":
        user.set_password("another")
        user.save()
    elif what == "password-stay":
        user.set_password("another")
        user.save()
        update_session_auth_hash(request._request, user)
    elif what == "token":
        Token.objects.filter(user=user).delete()
    elif what == "rename":
        rows.update(first_name="Renamed")
    elif what == "deactivate":
        rows.update(is_active=False)
    elif what == "promote":
        rows.update(is_staff=True)
    elif what == "delete":
        user.delete()
    elif what == "grant":
        user.user_permissions.add(Permission.objects.get(codename="change_group"))
    return Response({"what": what})


@batch_policy(changes_identity=True)
@api_view(["POST"])
@permission_classes([AllowAny])
def become(request: Request, name: str) -> Response:
    """Log in as somebody, no questions asked."""
    login(request._request, User.objects.get(username=name), backend="django.contrib.auth.backends.ModelBackend")
    return Response(describe(request.user))


@api_view(["GET", "POST"])
@permission_classes([AllowAny])
def leave(request: Request) -> Response:
    """Log out, without telling the batch."""
    logout(request._request)
    return Response(describe(request._request.user))


urlpatterns = [
    *(path(f"who/{way}/", Whoami.as_view(authentication_classes=classes)) for way, classes in WAYS.items()),
    *(path(f"closed/{way}/", Closed.as_view(authentication_classes=classes)) for way, classes in WAYS.items()),
    path("who/", Whoami.as_view()),
    path("closed/", Closed.as_view()),
    path("staff/", Staff.as_view()),
    path("decorated/", login_required(Whoami.as_view())),
    path("permitted/", permission_required("auth.change_group", raise_exception=True)(Whoami.as_view())),
    path("rights/<int:pk>/", Rights.as_view()),
    path("own/<int:pk>/", Own.as_view()),
    path("members/", members),
    path("plain-user/", plain_user),
    path("scribble/", scribble),
    path("change/<str:what>/", change),
    path("become/<str:name>/", become),
    path("leave/", leave),
    path("obtain-token/", obtain_auth_token),
]
