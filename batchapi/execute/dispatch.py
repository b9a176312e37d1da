"""The end of the road: a sub-request in, its view called in this process, a sub-response out."""

from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from copy import copy
from io import BytesIO
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.wsgi import WSGIRequest
from django.db.models import Model
from django.http import HttpRequest, HttpResponseBase
from django.utils.functional import LazyObject
from django.utils.log import log_response

from batchapi.batch import SubRequest, SubResponse, running
from batchapi.callers import name_caller
from batchapi.exceptions import Crashed, ResponseTooLarge
from batchapi.execute import attempt
from batchapi.execute.answer import read_answer
from batchapi.execute.caller import Caller
from batchapi.execute.connections import Connections
from batchapi.execute.jar import Jar
from batchapi.execute.memory import Memory
from batchapi.execute.views import async_view_handler, crash_response, guarded, guarded_async, view_handler
from batchapi.parent import Parent
from batchapi.problem import problem_response


class Dispatch:
    """Calls the view of each sub-request as Django would have called it for a request of its own."""

    def __init__(self, parent: Parent, *, middleware: tuple[str, ...], max_stream_bytes: int) -> None:
        self.parent = parent
        self.jar = Jar(parent)
        self.memory = Memory()
        self.caller = Caller(parent, jar=self.jar, memory=self.memory)
        self.view_handler = view_handler(middleware)
        self.respond = guarded(self.call_view)
        self.async_view_handler = async_view_handler()
        self.respond_async = guarded_async(self.call_view_async)
        self.max_stream_bytes = max_stream_bytes
        self.connections = Connections()

    def __call__(self, subrequest: SubRequest) -> SubResponse:
        """Whatever happens in the view, it becomes this sub-request's answer.

        What a view does to the language, the time zone or the URL configuration ends with its context.
        """
        return copy_context().run(self.answer, subrequest)

    def answer(self, subrequest: SubRequest) -> SubResponse:
        """Call the view, in a context that is this sub-request's own."""
        running.set(subrequest)
        self.memory.enter()
        request = self.open(subrequest)
        try:
            response = self.respond(request)
            return self.close(subrequest, request, response)
        finally:
            self.leave(subrequest, request)

    async def answer_async(self, subrequest: SubRequest) -> SubResponse:
        """The same for an async view, in the context of its own task. What would block runs on the lane's thread."""
        running.set(subrequest)
        self.memory.enter()
        request = self.open(subrequest)
        try:
            response = await self.respond_async(request)
            return await sync_to_async(self.close)(subrequest, request, response)
        finally:
            await sync_to_async(self.leave)(subrequest, request)

    def introduce(self, subrequest: SubRequest) -> HttpRequest:
        """The request that a view would be given. The context that it is called in knows the memory from then on."""
        self.memory.enter()
        request = self.open(subrequest)
        self.caller.introduce(request)
        return request

    def leave(self, subrequest: SubRequest, request: HttpRequest) -> None:
        """Whatever happened, leave things as the next sub-request may find them."""
        request.close()  # Once more does no harm; and a view that is too late has no response that would do it.
        if attempt.this().has_effects or not subrequest.is_safe:
            self.memory.forget_untracked()
        self.connections.tidy_up()

    def checkpoint(self) -> Callable[[], None]:
        """Remember the cookies; what is returned brings them back, and forgets what was looked up since.

        The context that it is called in knows the memory from then on: a hook that runs after the commit may write too.
        """
        self.memory.enter()
        trying, cookies = attempt.this(), self.jar.cookies
        count = len(trying.cookies)

        def take_back() -> None:
            self.jar.take_back(trying.cookies[count:], before=cookies)
            del trying.cookies[count:]
            self.memory.kept.clear()

        return take_back

    def name_caller(self) -> str:
        """The first user whom one of the views authenticated, else the address that the batch came from."""
        return name_caller(self.memory.user, self.parent.request)

    def open(self, subrequest: SubRequest) -> HttpRequest:
        """A fresh request: the parent's environ and attributes, and what is the sub-request's own."""
        route = subrequest.route
        assert route is not None, "what has no route was refused before"
        environ = {
            **self.parent.environ,
            **subrequest.headers,
            "REQUEST_METHOD": subrequest.method,
            "PATH_INFO": route.path,
            "QUERY_STRING": route.query,
            "CONTENT_LENGTH": str(len(subrequest.body)) if subrequest.body else "",
            "HTTP_X_REQUEST_ID": subrequest.correlation_id,
            "wsgi.input": BytesIO(subrequest.body),
        }
        request = WSGIRequest(environ)
        vars(request).update(self.parent.attributes)
        # What one view changes in it, or loads along with a row, no other view should find.
        own = {name: copy(value) for name, value in self.parent.attributes.items() if is_changeable(value)}
        vars(request).update(own)
        return request

    def call_view(self, request: HttpRequest) -> HttpResponseBase:
        """The view's response, between what the caller brings and what it takes along."""
        self.caller.introduce(request)
        response = self.view_handler.chain(request)
        attempt.this().check()  # Before what it changed is kept.
        return self.caller.part(request, response)

    async def call_view_async(self, request: HttpRequest) -> HttpResponseBase:
        """The same for an async view."""
        await sync_to_async(self.caller.introduce)(request)
        response = await self.async_view_handler.async_chain(request)
        attempt.this().check()
        return await sync_to_async(self.caller.part)(request, response)

    def close(self, subrequest: SubRequest, request: HttpRequest, response: Any) -> SubResponse:
        """Read the response, log it as Django would, and give back what it holds open.

        `response.close()` would tell Django that the whole request is over, and close the connections.
        """
        response._resource_closers.append(request.close)
        try:
            if subrequest.route and subrequest.route.location and "Content-Location" not in response:
                response["Content-Location"] = subrequest.route.location  # tells that the URL was repaired
            if response.status_code >= 400:
                log_response("%s: %s", response.reason_phrase, request.path, response=response, request=request)
            return read_answer(subrequest, response, max_stream_bytes=self.max_stream_bytes)
        except ResponseTooLarge as refusal:
            return problem_response(subrequest, refusal)
        except Exception as error:  # A stream that breaks off is a crash like any other.
            crash_response(request, error)
            return problem_response(subrequest, Crashed("The answer of the view could not be read to its end."))
        finally:
            close_resources(response)


def is_changeable(value: object) -> bool:
    """Whether an attribute of the request is plain data or a row; one that is lazy, once it has been looked at."""
    if isinstance(value, LazyObject) and type(value._wrapped) is object:  # type(empty): it has not
        return False
    return type(value) in (list, dict, set) or isinstance(value, Model)


def close_resources(response: Any) -> None:
    """Run the closers of a response, each whatever the others do, as HttpResponseBase.close does."""
    for closer in response._resource_closers:
        with suppress(Exception):
            closer()
    response._resource_closers.clear()
