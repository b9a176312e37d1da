"""Views that say who is asking, whom they let in, and what surrounds the request: what must never reach another one."""

from typing import Any, ClassVar

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.cache import cache_control
from rest_framework import permissions
from rest_framework.authentication import BaseAuthentication, BasicAuthentication, RemoteUserAuthentication
from rest_framework.decorators import api_view, permission_classes
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.generics import RetrieveAPIView
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ModelSerializer

from batchapi import batch_policy, batchable
from chat.models import Session
from tests.cache.views import RAN, Counted, Names
from tests.cache.views import urlpatterns as of_the_others


class Me(Counted):
    """Who is asking, and how many rows are theirs; with an ETag."""

    permission_classes = (IsAuthenticated,)

    def answer(self, request: Request) -> Response:
        if Flag.is_broken and "fail" in request.query_params:
            raise RuntimeError("broken")
        count = Session.objects.filter(owner=request.user).count()
        headers = {"ETag": f'"{request.user.username}"', "X-Count": str(count)}
        return Response([request.user.username, request.user.email, count], headers=headers)


class MeByBasic(Me):
    authentication_classes = (BasicAuthentication,)


class Passes:
    """The time by which they expire."""

    now: ClassVar[float] = 0.0


class Pass(BaseAuthentication):
    """A credential that no table knows: "Pass name until"."""

    def authenticate(self, request: Request) -> tuple[User, str] | None:
        words = request.META.get("HTTP_AUTHORIZATION", "").split()
        if len(words) != 3 or words[0] != "Pass":
            return None
        if float(words[2]) <= Passes.now:
            raise AuthenticationFailed("The pass is over.")
        return User.objects.get(username=words[1]), words[2]

    def authenticate_header(self, request: Request) -> str:
        return "Pass"


class MeByPass(Me):
    authentication_classes = (Pass,)


class MeByServer(Me):
    authentication_classes = (RemoteUserAuthentication,)


class Staff(Me):
    permission_classes = (permissions.IsAdminUser,)


class Permitted(Me):
    """For those who may change groups."""

    class Changes(permissions.DjangoModelPermissions):
        perms_map: ClassVar[dict[str, list[str]]] = {"GET": ["auth.change_group"], "HEAD": ["auth.change_group"]}

    permission_classes = (Changes,)
    queryset = Group.objects.all()


class OwnPermissions(Me):
    """DRF's own permission class, asked for POST's rights also by GET."""

    permission_classes = (permissions.DjangoModelPermissions,)
    queryset = Group.objects.all()


class Member(BasePermission):
    """In a group, by a query."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return request.user.groups.filter(name="members").exists()


class Members(Me):
    permission_classes = (Member,)


class Flag(BasePermission):
    """By a flag in the memory of this process."""

    is_on: ClassVar[bool] = True
    is_broken: ClassVar[bool] = False  # Views that look at it fail.

    def has_permission(self, request: Request, view: Any) -> bool:
        return Flag.is_on


class Flagged(Me):
    permission_classes = (Flag,)


class SessionSerializer(ModelSerializer):
    class Meta:
        model = Session
        fields = ("title",)


class Owns(BasePermission):
    """Of one row, by what the row says."""

    def has_object_permission(self, request: Request, view: Any, obj: Session) -> bool:
        return obj.owner_id == request.user.pk


class OwnSession(RetrieveAPIView):
    permission_classes = (Owns,)
    serializer_class = SessionSerializer
    queryset = Session.objects.all()

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        RAN["OwnSession"] += 1
        return super().get(request, *args, **kwargs)


@batch_policy(public=True)
class PublicSession(OwnSession):
    """Public it says, and asks something of the row; by a method, not by a list of classes."""

    permission_classes = (AllowAny,)

    def get_permissions(self) -> list[BasePermission]:
        return [Owns()]


@batch_policy(public=True, cache=True)
class PublicVisits(Counted):
    """Public it says, and shows what is in the session."""

    def answer(self, request: Request) -> Response:
        return Response([request.session.get("secret"), Group.objects.count()])


@batch_policy(public=True)
class PublicCookie(Counted):
    """Public it says, and varies by a cookie, as it says too."""

    def answer(self, request: Request) -> Response:
        return Response([request.COOKIES.get("secret"), Group.objects.count()], headers={"Vary": "Cookie"})


@batch_policy(public=True)
class PublicWords(Counted):
    """The same for everybody who speaks one language, on one host."""

    def answer(self, request: Request) -> Response:
        return Response([gettext("Yes"), request.build_absolute_uri("/"), Group.objects.count()])


class Surroundings(Counted):
    """What a view can see of a request, besides the user."""

    def answer(self, request: Request, **kwargs: Any) -> Response:
        told = {name: value for name, value in request.META.items() if isinstance(value, str)}
        hung = {name: str(getattr(request, name, None)) for name in ("tenant", "shop")}
        seen = [request.path, request.get_full_path(), request.build_absolute_uri()]
        zone = timezone.get_current_timezone_name()
        return Response([told, hung, seen, zone, gettext("Yes"), request.COOKIES, Group.objects.count()])


class Related(Counted):
    """What a row that middleware hung on the request is related to."""

    def answer(self, request: Request) -> Response:
        return Response([request._request.shop.owner.email, Group.objects.count()])


class MyToken(Counted):
    """The token of whoever is asking, however it was loaded."""

    def answer(self, request: Request) -> Response:
        return Response([request.user.auth_token.key, Session.objects.count()])


class Loading(ModelBackend):
    """Loads the token along with each user, as a default manager may."""

    def get_user(self, user_id: Any) -> Any:
        return User.objects.select_related("auth_token").filter(pk=user_id).first()


class OnlyGet(Names):
    http_method_names: ClassVar[list[str]] = ["get"]


class OwnHead(Names):
    def head(self, request: Request) -> Response:
        RAN["head"] += 1
        return Response(status=204)


@api_view(["GET"])
@permission_classes([AllowAny])
def function(request: Request) -> Response:
    RAN["function"] += 1
    return Response(Group.objects.count())


@batchable
def plain_me(request: HttpRequest) -> HttpResponse:
    RAN["plain_me"] += 1
    if Flag.is_broken and "fail" in request.GET:
        raise RuntimeError("broken")
    return JsonResponse([request.user.get_username(), Group.objects.count()], safe=False)


urlpatterns = [
    path("api/me/", Me.as_view()),
    path("api/me/basic/", MeByBasic.as_view()),
    path("api/me/pass/", MeByPass.as_view()),
    path("api/me/server/", MeByServer.as_view()),
    path("api/me/plain/", plain_me),
    path("api/staff/", Staff.as_view()),
    path("api/permitted/", Permitted.as_view()),
    path("api/own-permissions/", OwnPermissions.as_view()),
    path("api/members/", Members.as_view()),
    path("api/flagged/", Flagged.as_view()),
    path("api/flagged/wrapped/", cache_control(max_age=60)(Flagged.as_view())),
    path("api/me/wrapped/", cache_control(max_age=60)(Me.as_view())),
    path("api/sessions/<int:pk>/", OwnSession.as_view()),
    path("api/public-sessions/<int:pk>/", PublicSession.as_view()),
    path("api/public-visits/", PublicVisits.as_view()),
    path("api/public-cookie/", PublicCookie.as_view()),
    path("api/public-words/", PublicWords.as_view()),
    path("api/surroundings/", Surroundings.as_view()),
    path("api/surroundings/<str:word>/", Surroundings.as_view()),
    path("api/related/", Related.as_view()),
    path("api/my-token/", MyToken.as_view()),
    path("api/only-get/", OnlyGet.as_view()),
    path("api/own-head/", OwnHead.as_view()),
    path("api/function/", function),
    *of_the_others,
]
