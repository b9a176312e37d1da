"""Views that fail in the way that a test asks for."""

from time import sleep
from typing import Any, ClassVar

from django.contrib.auth.models import Group
from django.urls import path
from rest_framework.permissions import BasePermission, DjangoModelPermissions, IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response

from batchapi import batch_policy
from tests.cache.views import Counted
from tests.cache.views import urlpatterns as of_the_others


class Trouble:
    """What goes wrong, for all views here."""

    kind: ClassVar[str] = ""
    is_locked: ClassVar[bool] = False

    @classmethod
    def happen(cls) -> int:
        """The status to answer with. Raises, sleeps or writes where that is what is asked for."""
        if cls.kind == "raise":
            raise RuntimeError("broken")
        if cls.kind == "once":
            cls.kind = ""
            return 503
        if cls.kind == "slow":
            sleep(0.5)
        if cls.kind == "write":
            Group.objects.create(name="written")
            raise RuntimeError("broken")
        return int(cls.kind) if cls.kind.isdigit() else 200


@batch_policy(timeout=0.2)
class Fragile(Counted):
    def answer(self, request: Request) -> Response:
        said = [request.user.username, Group.objects.count()]
        status = Trouble.happen()
        response = Response(said, status=status)
        for name, value in request.query_params.items():
            response[name] = value
        return response


@batch_policy(timeout=10)
class Patient(Fragile):
    pass


@batch_policy(stale="outdated")
class RatherOld(Fragile):
    pass


@batch_policy(stale=False)
class NeverOld(Fragile):
    pass


@batch_policy(ttl=1, timeout=10)
class Short(Fragile):
    pass


class Guard(BasePermission):
    """A check of the project's own, which may fail itself."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if Trouble.kind == "guard":
            raise RuntimeError("broken")
        return not Trouble.is_locked


class Guarded(Patient):
    permission_classes = (Guard,)


@batch_policy(public=True)
class PublicGuarded(Guarded):
    pass


@batch_policy(stale="outdated")
class StaffRatherOld(Patient):
    """Its permissions are DRF's; the first of them asks the view for its rows, which may fail."""

    permission_classes = (DjangoModelPermissions, IsAdminUser)

    def get_queryset(self) -> Any:
        if Trouble.kind == "before":
            raise RuntimeError("broken")
        return Group.objects.all()


urlpatterns = [
    path("api/fragile/", Fragile.as_view()),
    path("api/rather-old/", RatherOld.as_view()),
    path("api/never-old/", NeverOld.as_view()),
    path("api/short/", Short.as_view()),
    path("api/guarded/", Guarded.as_view()),
    path("api/public-guarded/", PublicGuarded.as_view()),
    path("api/staff-rather-old/", StaffRatherOld.as_view()),
    *of_the_others,
]
