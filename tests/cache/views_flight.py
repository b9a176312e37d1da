"""Views that several ask at the same time: each says when it begins, and waits for what a test tells it."""

import asyncio
from threading import Barrier, BrokenBarrierError, Event
from time import sleep
from typing import ClassVar

from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from batchapi import batch_policy, batchable
from tests.cache.views import RAN, Counted

LONG = 60.0  # seconds; longer than any test takes


class Flight:
    """What all views here do."""

    begun: ClassVar[Event] = Event()
    may_end: ClassVar[Event] = Event()  # set: they do not wait
    meeting: ClassVar[Barrier | None] = None  # where they meet, to show that they run side by side
    status: ClassVar[int] = 200
    pause: ClassVar[float] = 0.0
    running: ClassVar[int] = 0
    most: ClassVar[int] = 0  # that ran at the same time

    @classmethod
    def start(cls) -> None:
        cls.begun, cls.may_end, cls.meeting, cls.status, cls.pause = Event(), Event(), None, 200, 0.0
        cls.may_end.set()
        cls.running = cls.most = 0

    @classmethod
    def run(cls, name: str) -> int:
        RAN[name] += 1
        cls.begun.set()
        cls.may_end.wait(LONG)
        cls.running += 1
        cls.most = max(cls.most, cls.running)
        sleep(cls.pause)
        cls.running -= 1
        if cls.meeting:
            try:
                cls.meeting.wait(LONG / 4)
            except BrokenBarrierError:
                return 418
        if cls.status == 599:
            raise RuntimeError("broken")
        return cls.status


class Flying(Counted):
    permission_classes = (AllowAny,)

    def answer(self, request: Request, name: str) -> Response:
        count = Group.objects.count()
        response = Response([name, count], status=Flight.run(name))
        if "private" in request.query_params:
            response["Cache-Control"] = "private"
        return response


@batch_policy(public=True)
class Public(Flying):
    pass


@batch_policy(cache="named")
class Named(Flying):
    pass


class Unlimited(BaseThrottle):
    """Lets everybody through, each in turn."""

    def allow_request(self, request: Request, view: object) -> bool:
        return True


@batch_policy(public=True)
class Throttled(Flying):
    throttle_classes = (Unlimited,)


@batchable
@batch_policy(cache="async")
async def waiting(request: HttpRequest, name: str) -> HttpResponse:
    RAN[name] += 1
    await asyncio.sleep(0.1)
    count = await sync_to_async(Group.objects.count)()
    await asyncio.sleep(0.1)
    return JsonResponse([name, count, await Group.objects.acount()], safe=False)


urlpatterns = [
    path("api/public/<str:name>/", Public.as_view()),
    path("api/named/<str:name>/", Named.as_view()),
    path("api/throttled/<str:name>/", Throttled.as_view()),
    path("api/async/<str:name>/", waiting),
    path("api/batch/", include("batchapi.urls")),
]
