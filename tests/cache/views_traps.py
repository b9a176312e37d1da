"""Views that load, change or leave something that a later one might find."""

from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.urls import path
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from batchapi import batch_policy
from chat.models import Session
from tests.cache.views import Counted
from tests.cache.views import urlpatterns as of_the_others


class Loads(Counted):
    """What is loaded along with the user, and then used again."""

    def answer(self, request: Request, what: str) -> Response:
        found = (
            request.user.groups.values_list("name", flat=True)
            if what == "groups"
            else request.user.get_all_permissions()
        )
        return Response([sorted(found), Session.objects.count()])


class Rename(APIView):
    permission_classes = (AllowAny,)

    def post(self, request: Request) -> Response:
        User.objects.filter(pk=request.user.pk).update(email=request.data["email"])
        return Response(status=204)


class EchoCookie(Counted):
    def answer(self, request: Request) -> Response:
        return Response([request.COOKIES.get("seen"), Session.objects.count()])

    def post(self, request: Request) -> Response:
        response = Response(status=204)
        response.set_cookie("seen", "yes")
        return response


class Pick(Counted):
    def answer(self, request: Request, pk: int) -> Response:
        found = Session.objects.filter(pk=pk).values("pk").first()
        return Response(found, status=200 if found else 404)


class Title(Counted):
    def answer(self, request: Request, pk: int) -> Response:
        return Response([Session.objects.get(pk=pk).title])


@batch_policy(changes_identity=True)
class Leave(APIView):
    permission_classes = (AllowAny,)

    def post(self, request: Request) -> Response:
        logout(request._request)
        return Response(status=204)


@batch_policy(changes_identity=True)
class Enter(APIView):
    permission_classes = (AllowAny,)

    def post(self, request: Request) -> Response:
        login(request._request, User.objects.get(username="alice"))
        return Response(status=204)


urlpatterns = [
    path("api/loads/<str:what>/", Loads.as_view()),
    path("api/rename/", Rename.as_view()),
    path("api/echo-cookie/", EchoCookie.as_view()),
    path("api/pick/<int:pk>/", Pick.as_view()),
    path("api/title/<int:pk>/", Title.as_view()),
    path("api/enter/", Enter.as_view()),
    path("api/leave/", Leave.as_view()),
    *of_the_others,
]
