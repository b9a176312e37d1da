"""Who is asking: session, user, messages and language of each sub-request, as the project's middleware would say.

Middleware itself does not run again. What carries identity does, one by one and by Django's own code: the session is
opened from the cookie that a browser would send by now and saved as soon as a view changed it, the user is looked up
from it, the CSRF secret is read from the cookies again, the language is chosen anew.
"""

from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib import auth
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.messages.storage import default_storage
from django.contrib.sessions.middleware import SessionMiddleware
from django.db.models import Model
from django.http import HttpRequest, HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.locale import LocaleMiddleware
from django.utils.cache import has_vary_header
from django.utils.functional import LazyObject, SimpleLazyObject
from django.utils.module_loading import import_string

from batchapi.execute import attempt
from batchapi.execute.jar import Jar, Kept
from batchapi.execute.memory import Memory
from batchapi.middleware import installed
from batchapi.parent import Parent

AUTHENTICATION_MIDDLEWARE = "django.contrib.auth.middleware"


class Caller:
    """The one who sent the batch, as it changes from one sub-request to the next."""

    def __init__(self, parent: Parent, *, jar: Jar, memory: Memory) -> None:
        self.parent = parent
        self.jar = jar
        self.memory = memory
        self.session_middleware = installed(SessionMiddleware)
        self.csrf_middleware = installed(CsrfViewMiddleware)
        self.locale_middleware = installed(LocaleMiddleware)
        self.message_middleware = installed(MessageMiddleware)
        self.user = ParentUser(parent)
        keep_session_of(parent, jar)

    def introduce(self, request: HttpRequest) -> None:
        """Before the view: tell a sub-request who is asking."""
        self.jar.put_into(request)
        has = self.parent.attributes
        if "session" in has:
            self.open_session(request)
        if self.csrf_middleware:
            self.csrf_middleware.process_request(request)
        if self.parent.as_user is not None:
            self.vouch(request)
        elif "user" in has:
            vars(request)["user"] = SimpleLazyObject(partial(self.user_of, request))
            request.auser = partial(sync_to_async(self.user_of), request)
        if "_messages" in has:
            vars(request)["_messages"] = default_storage(request)
        if self.locale_middleware:
            self.locale_middleware.process_request(request)

    def part(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """After the view: keep what it changed, before anybody else asks.

        Raises SessionInterrupted if the session was deleted meanwhile, as Django does.
        """
        if "_messages" in self.parent.attributes and self.message_middleware:
            response = self.message_middleware.process_response(request, response)
        if self.csrf_middleware:
            response = self.csrf_middleware.process_response(request, response)
        session = getattr(request, "session", None)
        trace(session, response)
        if (
            session is not None
            and self.session_middleware
            and (session.accessed or settings.SESSION_SAVE_EVERY_REQUEST)
        ):
            if session.modified or settings.SESSION_SAVE_EVERY_REQUEST:
                attempt.this().need_turn()
            attempt.this().has_effects |= session.modified
            response = self.session_middleware.process_response(request, response)
        with (trying := attempt.this()).in_time():  # Too late, it would leave a cookie that the client never gets.
            trying.cookies += self.jar.read(request, response)
            if not trying.is_deferred:
                self.jar.keep(*trying.cookies)
        return response

    def vouch(self, request: HttpRequest) -> None:
        """Tell a sub-request that trusted code named its user: who that is now, whatever happened in between.

        DRF looks for these flags, which otherwise only test clients set. Nobody is named to it if the row is gone or
        inactive, so that the view's own authenticators find nothing and say its 401 or 403.
        """
        user = self.memory.recall("as_user", partial(current_row, self.parent.as_user), keep=lambda _: True)
        vars(request)["user"] = user
        request.auser = sync_to_async(lambda: user)
        vars(request)["_dont_enforce_csrf_checks"] = True
        if user.is_authenticated:
            vars(request)["_force_auth_user"] = user

    def open_session(self, request: HttpRequest) -> None:
        """A session store of the sub-request's own; what it loads is remembered."""
        store = type(self.parent.attributes["session"])
        session = store(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
        session.load = partial(self.load, session)
        request.session = session

    def load(self, session: Any) -> dict[str, Any]:
        """What a session holds. Not kept if the key proved to be unknown: then Django gives the session up."""
        key = session.session_key
        data: dict[str, Any] = self.memory.recall(
            ("session", key), partial(type(session).load, session), keep=lambda _: session.session_key == key
        )
        return data

    def user_of(self, request: HttpRequest) -> Any:
        """The user that the middleware would find; whether the view has touched the session is still told apart."""
        session: Any = getattr(request, "session", None)
        was_touched = getattr(session, "accessed", False)
        user = self.find_user(request)
        if session is not None and not was_touched:
            session.accessed, session.is_asked_for_user = False, session.accessed
        return user

    def find_user(self, request: HttpRequest) -> Any:
        """A clean instance, without relations that a view has loaded."""
        if not self.user.is_of_session(request):
            return self.memory.recall("user", self.user.look_up, keep=lambda _: True, tables=self.user.tables)
        session = request.session
        key = tuple(session.get(name) for name in (auth.SESSION_KEY, auth.BACKEND_SESSION_KEY, auth.HASH_SESSION_KEY))
        return self.memory.recall(key, partial(auth.get_user, request), keep=lambda user: bool(user.is_authenticated))


def trace(session: Any, response: HttpResponseBase) -> None:
    """After a view: note whether it touched the session itself, and varies its answer by cookies itself."""
    if footprint := attempt.this().footprint:
        footprint.varies_by_cookie = has_vary_header(response, "Cookie")
        footprint.has_touched_session = getattr(session, "accessed", False)
    if getattr(session, "is_asked_for_user", False):
        session.accessed = True


class ParentUser:
    """The user that the parent's middleware computed, before DRF authenticated anybody."""

    def __init__(self, parent: Parent) -> None:
        self.user = parent.attributes.get("user")
        self.session = parent.attributes.get("session")
        self.is_outdated = False

    def is_of_session(self, request: HttpRequest) -> bool:
        """Whether the session says who the user is; else some other middleware does.

        Somebody who logs in or out inside the batch is from then on who the session says.
        """
        if self.session is None:
            return False
        if is_lazy_session_user(self.user):
            return True
        before = self.session.get(auth.SESSION_KEY)
        is_same_user = str(getattr(self.user, "pk", None)) == before
        return is_same_user or bool(before != request.session.get(auth.SESSION_KEY))

    @property
    def tables(self) -> frozenset[str]:
        """The table that this user's row is in, if it has one."""
        return frozenset({self.user._meta.db_table}) if isinstance(self.user, Model) else frozenset()

    def look_up(self) -> Any:
        """The middleware's user; the second time somebody has written to its table, so the row is read anew."""
        if not self.is_outdated or not isinstance(self.user, Model):
            self.is_outdated = True
            return self.user
        rows = self.user.__class__._base_manager.using(self.user._state.db)
        return rows.filter(pk=self.user.pk).first() or nobody()


def current_row(user: Any) -> Any:
    """A user as the database has it now, found as Django's own backend finds it; nobody if gone or inactive."""
    if not isinstance(user, Model):
        return user  # AnonymousUser has no row.
    rows: Any = user.__class__._default_manager.using(user._state.db)
    found = rows.filter(pk=user.pk).first()
    return found if found and getattr(found, "is_active", True) else nobody()


def nobody() -> Any:
    """AnonymousUser; its module can only be imported where django.contrib.auth is installed."""
    return import_string("django.contrib.auth.models.AnonymousUser")()


def is_lazy_session_user(user: object) -> bool:
    """Whether Django's own AuthenticationMiddleware put this user on the request, evaluated or not."""
    return isinstance(user, LazyObject) and bool(user._setupfunc.__module__ == AUTHENTICATION_MIDDLEWARE)


def keep_session_of(parent: Parent, jar: Jar) -> None:
    """Save what the parent's middleware wrote into the session, so that the sub-requests find it."""
    session = parent.attributes.get("session")
    if session is not None and session.modified and not session.is_empty():
        session.save()
        jar.keep(Kept(settings.SESSION_COOKIE_NAME, session.session_key, settings.SESSION_COOKIE_PATH))
