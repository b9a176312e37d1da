"""A request in, the response of its view out: Django's own way of calling a view, around each sub-request."""

from collections.abc import Awaitable, Callable
from functools import lru_cache, wraps
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import BadRequest, MiddlewareNotUsed, PermissionDenied, SuspiciousOperation
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import response_for_exception
from django.core.signals import got_request_exception, setting_changed
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.http.multipartparser import MultiPartParserError
from django.utils.log import log_response
from django.utils.module_loading import import_string
from django.utils.translation import get_language

from batchapi.batch import SubRequest, running
from batchapi.exceptions import Crashed
from batchapi.execute.answer import keep_rendered
from batchapi.execute.attempt import AttemptOver, this
from batchapi.execute.transient import fault_of
from batchapi.execute.twins import twin_of
from batchapi.middleware import view_guards
from batchapi.problem import PROBLEM_JSON, problem_body
from batchapi.resolve import resolve_again

GetResponse = Callable[[HttpRequest], HttpResponseBase]
AsyncGetResponse = Callable[[HttpRequest], Awaitable[HttpResponseBase]]
Hook = Callable[..., Any]
EXPECTED = (Http404, PermissionDenied, MultiPartParserError, BadRequest, SuspiciousOperation)  # Django answers these.


class ViewHandler(BaseHandler):
    """Calls views as Django's request handler does, with SUBREQUEST_MIDDLEWARE in place of the project's MIDDLEWARE.

    ATOMIC_REQUESTS, async views, template responses, `process_view` and its kin are BaseHandler's.
    """

    def __init__(self, middleware: tuple[str, ...]) -> None:
        self._view_middleware: list[Hook] = []
        self._template_response_middleware: list[Hook] = [self.process_template_response]
        self._exception_middleware: list[Hook] = []
        self.chain: GetResponse = guarded(super()._get_response)  # type: ignore[misc] # the stubs leave it out
        for path in reversed(middleware):
            self.wrap(import_string(path))
        self._view_middleware[:0] = view_guards()

    def wrap(self, middleware: Callable[[GetResponse], Any]) -> None:
        """Put a middleware around the chain and note its hooks, in the order that Django calls them."""
        try:
            layer = middleware(self.chain)
        except MiddlewareNotUsed:
            return
        if hasattr(layer, "process_view"):
            self._view_middleware.insert(0, layer.process_view)
        if hasattr(layer, "process_template_response"):
            self._template_response_middleware.insert(-1, layer.process_template_response)
        if hasattr(layer, "process_exception"):
            self._exception_middleware.append(layer.process_exception)
        self.chain = guarded(layer)

    def resolve_request(self, request: HttpRequest) -> Any:
        """The view that was found when the batch was parsed, unless something changed where it must be looked up."""
        subrequest = current()
        route = subrequest.route
        assert route is not None
        urlconf = getattr(request, "urlconf", None)
        language = route.language and get_language()
        if (request.path_info, language, urlconf) == (route.path_info, route.language, route.urlconf):
            match = route.match
        else:
            match = resolve_again(request.path_info, method=subrequest.method, urlconf=urlconf)
        request.resolver_match = match  # type: ignore[assignment] # it is one; batch.Match keeps Django out of the nouns
        return match.func, match.args, match.kwargs

    def process_template_response(self, _request: HttpRequest, response: Any) -> Any:
        """The last hook before rendering: have the response remember what the renderer makes."""
        return keep_rendered(response)

    def make_view_atomic(self, view: Callable[..., Any]) -> Callable[..., Any]:
        """The view's twin, in a transaction where ATOMIC_REQUESTS asks for one."""
        return super().make_view_atomic(twin_of(view))


class AsyncViewHandler(ViewHandler):
    """The same for async views, several in one event loop; only where no middleware stands around them."""

    def __init__(self) -> None:
        self._view_middleware = [sync_to_async(guard) for guard in view_guards()]
        self._template_response_middleware = [self.process_template_response_async]
        self._exception_middleware = []
        self.async_chain = guarded_async(super()._get_response_async)  # type: ignore[misc] # the stubs leave it out

    async def process_template_response_async(self, _request: HttpRequest, response: Any) -> Any:
        """The last hook before rendering."""
        return keep_rendered(response)


def current() -> SubRequest:
    """The sub-request that this code runs for."""
    subrequest = running.get()
    assert subrequest is not None, "only called inside a sub-request"
    return subrequest


@lru_cache(maxsize=8)
def view_handler(middleware: tuple[str, ...]) -> ViewHandler:
    """One handler per list of middleware; middleware is made once per process, as Django makes it."""
    return ViewHandler(middleware)


@lru_cache(maxsize=1)
def async_view_handler() -> AsyncViewHandler:
    """The one of this process."""
    return AsyncViewHandler()


def forget_handlers(*, setting: str, **_kwargs: object) -> None:
    """Make the handlers anew when a test overrides what they are made from."""
    if setting in ("MIDDLEWARE", "BATCHAPI", "CSRF_TRUSTED_ORIGINS"):
        view_handler.cache_clear()
        async_view_handler.cache_clear()


setting_changed.connect(forget_handlers)


def guarded(get_response: GetResponse) -> GetResponse:
    """Turns the exceptions of views and middleware into responses: the one place where that happens."""

    @wraps(get_response)
    def respond(request: HttpRequest) -> HttpResponseBase:
        try:
            return get_response(request)
        except EXPECTED as error:
            return response_for_exception(request, error)
        except Exception as error:
            return crash_response(request, error)

    return respond


def guarded_async(get_response: AsyncGetResponse) -> AsyncGetResponse:
    """The same around what is async."""

    async def respond(request: HttpRequest) -> HttpResponseBase:
        try:
            return await get_response(request)
        except EXPECTED as error:
            return await sync_to_async(response_for_exception)(request, error)
        except Exception as error:
            return await sync_to_async(crash_response)(request, error)

    return respond


def crash_response(request: HttpRequest, error: Exception) -> HttpResponse:
    """A 500 that tells the client nothing; the log and `got_request_exception` hear everything, as from Django.

    Raises AttemptOver where time was over first.
    """
    if this().is_ended:  # Its query was cancelled while the rows were fetched, or it stumbled over what that left.
        raise AttemptOver from error
    got_request_exception.send_robust(sender=None, request=request)
    subrequest = current()
    body = problem_body(Crashed("The view raised an exception."), correlation_id=subrequest.correlation_id)
    response = HttpResponse(body, status=Crashed.status, content_type=PROBLEM_JSON)
    declared = subrequest.policy.retry
    is_declared = isinstance(declared, tuple) and isinstance(error, declared)
    # Whoever might run it again wants to know.
    response.fault = "transient" if is_declared else fault_of(error)  # type: ignore[attr-defined] # ours
    log_response("Internal Server Error: %s", request.path, response=response, request=request, exception=error)
    return response
