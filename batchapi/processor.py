"""The door for code in this process: a batch as plain data in, its answer as plain data out, without HTTP.

    answer = handle_batch_request(request, {"requests": [{"id": "stats", "url": "/api/stats/"}]})
    processor = get_batch_processor(user=report.owner)
    answer = processor.handle({"requests": […]})

The rules are those of the endpoint: limits, policies, permissions, throttles, order, groups, no batch in a batch.
A batch that makes no sense raises EnvelopeError, and nothing has run.
"""

import json
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from http.cookies import SimpleCookie
from io import BytesIO
from typing import Any

from django.conf import settings as django_settings
from django.db.models import Model
from django.http import HttpRequest
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.asyncio import async_unsafe
from rest_framework.request import Request

from batchapi.answer import answer_batch
from batchapi.callers import name_caller
from batchapi.conf import Settings, get_settings
from batchapi.exceptions import TooDeep
from batchapi.middleware import installed
from batchapi.outer import parent_of, parent_without
from batchapi.parent import Parent
from batchapi.wire.json import BatchJSONParser, BatchJSONRenderer

PLACES = {  # An attribute of a processor: the group and the name of the setting that it stands in for.
    "max_concurrent": ("lanes", "MAX_CONCURRENT_REQUESTS"),
    "cache_ttl": ("caching", "CACHE_TTL"),
}


class BatchAnswer(dict[str, Any]):
    """What a client would read from the answer's JSON: `{"responses": […]}`.

    `cookies` are those that the sub-requests set and that are yours to send on:
    `response.cookies.update(answer.cookies)`.
    """

    def __init__(self, members: dict[str, Any], *, cookies: SimpleCookie) -> None:
        super().__init__(members)
        self.cookies = cookies


class BatchProcessor:
    """Answers batches. Keeps nothing from one to the next, so threads may share one.

    `max_concurrent` (lanes) and `cache_ttl` (seconds that an answer is fresh, for views that say nothing of it) may be
    assigned and hold for this processor only; None is what the settings say.
    """

    __slots__ = ("cache_ttl", "max_concurrent", "user")

    def __init__(self, *, user: Any = None, max_concurrent: int | None = None, cache_ttl: int | None = None) -> None:
        self.user = user
        self.max_concurrent = max_concurrent
        self.cache_ttl = cache_ttl

    def __setattr__(self, name: str, value: Any) -> None:
        """Tells of a wrong value where it is assigned, not where a batch would stumble over it."""
        if name == "user":
            check_user(value)
        elif name in self.__slots__:
            check_number(name, value)
        super().__setattr__(name, value)

    @async_unsafe("Views do blocking work. From async code: await sync_to_async(processor.handle)(payload, request).")
    def handle(self, payload: Any, request: HttpRequest | Request | None = None) -> BatchAnswer:
        """The answer to a batch, given as `{"requests": […]}` or the bare list.

        Without a `user`, it asks as whoever sent `request`, or as nobody where there is none. Raises EnvelopeError
        for a batch that makes no sense, TypeError for what is no batch or no request of Django's.
        """
        return copy_context().run(self.handle_here, payload, request)  # What it sets up for the views ends with it.

    def handle_here(self, payload: Any, request: HttpRequest | Request | None) -> BatchAnswer:
        """The same in a context of its own."""
        settings = self.settings
        if request is None or self.user is not None:
            parent = parent_without(request, as_user=self.user)
        else:
            parent = parent_of(request)
        user = parent.as_user or parent.attributes.get("user")  # whom the page's middleware found
        identify = partial(name_caller, user, parent.request)
        response = answer_batch(read_payload(payload, settings), parent=parent, settings=settings, identify=identify)
        members = json.loads(BatchJSONRenderer().render(response.data))
        return BatchAnswer(members, cookies=hand_back(parent, response.cookies, is_page=request is not None))

    @property
    def settings(self) -> Settings:
        """The project's settings, with what this processor says in their place."""
        said = {PLACES[name]: value for name in PLACES if (value := getattr(self, name)) is not None}
        return override(get_settings(), said)


def handle_batch_request(request: HttpRequest | Request, payload: Any, *, as_user: Any = None) -> BatchAnswer:
    """The answer to a batch for a view that already has a request; the same that its sender would get over HTTP.

    With `as_user` it is the answer that this user would get. That is your word: no CSRF check and no credential
    stands behind it, and nothing of the request's sender reaches the views. What counts is the user's row and rights
    at that moment; somebody who was deleted or is not active is anonymous.

    Raises EnvelopeError for a batch that makes no sense: nothing has run. A view that is itself called in a batch
    gets NestedBatch.
    """
    if request is None:
        raise TypeError("handle_batch_request takes a view's request; without one, use get_batch_processor(user=…).")
    return BatchProcessor(user=as_user).handle(payload, request)


def get_batch_processor(
    *, user: Any = None, max_concurrent: int | None = None, cache_ttl: int | None = None
) -> BatchProcessor:
    """A processor for code without a request: a command, a task, a report.

    It asks as `user`, as `as_user` does in `handle_batch_request`; without one, as nobody. Each call makes a new one.
    """
    return BatchProcessor(user=user, max_concurrent=max_concurrent, cache_ttl=cache_ttl)


def check_number(name: str, value: Any) -> None:
    """Raises ValueError for anything but a whole number above 0, or None."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError(f"{name} must be a whole number above 0, or None for what the settings say, not {value!r}.")


def check_user(user: Any) -> None:
    """Raises TypeError or ValueError for anything but None, somebody anonymous, or a user who has a row to look up."""
    if user is None or getattr(user, "is_anonymous", False) is True:
        return
    if not isinstance(user, Model) or not hasattr(user, "is_authenticated"):
        raise TypeError(f"The user must be a row of the user model, such as request.user, not {type(user).__name__}.")
    if user.pk is None:
        raise ValueError("The user has no row yet; save it first.")


def read_payload(payload: Any, settings: Settings) -> Any:
    """The batch as the endpoint would have read it, held to the same bytes, depth and numbers.

    Raises EnvelopeError as there, and TypeError for what a client could not have sent.
    """
    if isinstance(payload, (str, bytes)):
        raise TypeError('The payload is the batch itself, {"requests": […]}, not its JSON; use json.loads first.')
    try:
        raw = write_json(payload)
    except RecursionError:
        depth = settings.limits.MAX_DEPTH
        raise TooDeep(f"A batch has at most {depth} levels of arrays and objects.") from None
    except TypeError as error:
        raise TypeError(f"The payload holds only what JSON can: {error}.") from error
    return BatchJSONParser().parse(BytesIO(raw), parser_context={"limits": settings.limits})


def write_json(payload: Any) -> bytes:
    """As few bytes as a client would need."""
    try:
        return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # Half a character: escaped, JSON can carry it.
        return json.dumps(payload, separators=(",", ":")).encode()


def override(settings: Settings, said: dict[tuple[str, str], Any]) -> Settings:
    """Settings with some values replaced, each named by its group and its name; the groups are those of conf.py."""
    for (group, name), value in said.items():
        if hasattr(settings, group):  # One whose group is not built yet has nothing to act on.
            settings = replace(settings, **{group: replace(getattr(settings, group), **{name: value})})
    return settings


def hand_back(parent: Parent, cookies: SimpleCookie, *, is_page: bool) -> SimpleCookie:
    """The cookies that are the caller's to send on.

    A page's own middleware sends those of the session and of CSRF. Those of a user whom trusted code named are
    dropped: they would log the page's reader in as that user.
    """
    if parent.as_user is not None:
        return SimpleCookie()
    if is_page:
        keep_session(parent, cookies)
        keep_csrf_secret(parent, cookies)
    return cookies


def keep_session(parent: Parent, cookies: SimpleCookie) -> None:
    """Have the page's session middleware send the cookie of a session that a sub-request has begun or changed."""
    if "session" in parent.attributes and (cookie := cookies.pop(django_settings.SESSION_COOKIE_NAME, None)):
        parent.request.session.modified |= bool(cookie.value)  # It deletes the cookie of an ended one by itself.


def keep_csrf_secret(parent: Parent, cookies: SimpleCookie) -> None:
    """A new CSRF secret becomes the page's, whose forms would else hold a token of the old one."""
    if installed(CsrfViewMiddleware) and (cookie := cookies.pop(django_settings.CSRF_COOKIE_NAME, None)):
        parent.request.META.update({"CSRF_COOKIE": cookie.value, "CSRF_COOKIE_NEEDS_UPDATE": True})
