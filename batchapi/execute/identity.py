"""Who is asking, and everything else that a view can see of a request: what a kept answer is found by.

It holds credentials, and under some servers the environment of the process; so that part is kept as an HMAC.
"""

import re
from collections.abc import Callable, Iterable
from functools import cached_property
from hashlib import blake2b
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.middleware.locale import LocaleMiddleware
from django.utils import timezone, translation
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from batchapi.batch import SubRequest
from batchapi.execute.credentials import remember
from batchapi.execute.describe import IndescribableError, describe, describe_auth, key_of, seal
from batchapi.execute.manners import Manners
from batchapi.fingerprint import cgi_name, question, unseen_names
from batchapi.freshness import CONDITIONS, CONTROLS
from batchapi.middleware import installed
from batchapi.parent import Parent

SERVER_NAMES = frozenset({"REMOTE_PORT", "UNIQUE_ID", "REQUEST_TIME", "REQUEST_TIME_FLOAT"})  # of one request each
SERVER_ROOMS = (  # What servers and tracers put into the environ for themselves; WSGI's scheme is told apart elsewhere.
    *("wsgi.", "asgi.", "gunicorn.", "uwsgi.", "mod_wsgi.", "waitress.", "werkzeug."),
    *("opentelemetry-instrumentor-", "sentry.", "newrelic.", "datadog."),
)
TOLD_APART = frozenset({"session", "user", "auser", "_messages"})  # attributes: by who is asking
FORCED = frozenset({"_force_auth_user", "_force_auth_token", "_dont_enforce_csrf_checks"})
OF_CALLER = re.compile(  # Variables that tell callers apart, and browsers, but not what they may be told.
    r"REMOTE_\w+|AUTH_TYPE|SSL_\w+|HTTP_(?:AUTHORIZATION|PROXY_AUTHORIZATION|COOKIE|X_CSRFTOKEN|ORIGIN|DNT|VIA|FORWARDED"
    r"|X_FORWARDED_FOR|X_REAL_IP|X_CLIENT_IP|TRUE_CLIENT_IP|CF_CONNECTING_IP|X_CLUSTER_CLIENT_IP|X_REQUESTED_WITH"
    r"|SEC_\w+|CONNECTION|KEEP_ALIVE|CACHE_CONTROL|PRAGMA|UPGRADE_INSECURE_REQUESTS)"
)
SEEN_BY_ALL = frozenset({"accept", "accept-language", "content-type", "host", "prefer", "priority"})


class Identity(NamedTuple):
    """What a kept answer is found by."""

    key: str
    text: str  # compared when it is found
    user: str  # primary key of whoever asks; "" for nobody in particular
    is_public: bool  # the same for everybody
    is_checked: bool  # the view itself says who is asking, so that has to be compared as well


class Identities:
    """The identities of the sub-requests of one batch. `open_request` makes the request that a view would be given."""

    def __init__(
        self,
        parent: Parent,
        open_request: Callable[[SubRequest], HttpRequest],
        *,
        ignores: tuple[str, ...],
        allowed: Iterable[str],
    ) -> None:
        self.parent = parent
        self.open_request = open_request
        self.unseen = unseen_names(ignores) | CONDITIONS | CONTROLS
        self.allowed = frozenset(map(str.lower, allowed))
        # LocaleMiddleware chooses anew for each sub-request, from what is told apart anyway.
        self.language = None if installed(LocaleMiddleware) else translation.get_language()
        self.zone = timezone.get_current_timezone_name()
        self.callers: dict[tuple[Any, ...] | None, tuple[str, str]] = {}

    def enter_wave(self) -> None:
        """Ask again who is asking: a write may have changed that."""
        self.callers.clear()

    def of(self, request: SubRequest, manners: Manners) -> Identity:
        """The identity of a sub-request. Raises IndescribableError where there is no telling."""
        is_public = bool(request.policy.public) and manners.may_be_public
        whose, user = (self.place, "") if is_public else self.caller_for(request, manners)
        language = request.route and request.route.language  # Some kinds of LocaleMiddleware ask for the user.
        text = f"{whose}{language!r}{question(request, unseen=self.unseen, method='GET')!r}"
        return Identity(
            key=blake2b(text.encode(), digest_size=20).hexdigest(),
            text=text,
            user=user,
            is_public=is_public,
            is_checked=not is_public and not manners.is_opaque and manners.authenticators is None,
        )

    def caller_for(self, request: SubRequest, manners: Manners) -> tuple[str, str]:
        """An HMAC of the surroundings and whoever is asking this view; and the primary key of the user."""
        if manners.authenticators not in self.callers:
            asking, user = self.ask(request, manners.authenticators)
            text = describe([self.surroundings, asking])
            self.callers[manners.authenticators] = seal(text), user
        return self.callers[manners.authenticators]

    def ask(self, subrequest: SubRequest, authenticators: tuple[Any, ...] | None) -> tuple[str, str]:
        """Who is asking: the user's whole row, as just authenticated, and what the session holds.

        Views that nobody can ask beforehand are asked as far as the project's middleware knows.
        """
        request = self.open_request(subrequest)
        session = getattr(request, "session", None)
        content = dict(session.items()) if session is not None else None
        if authenticators is None:
            user, auth = getattr(request, "user", None), None
        else:
            asked = Request(request, authenticators=remember([kind() for kind in authenticators]))
            try:
                user, auth = asked.user, asked.auth
            except (APIException, PermissionDenied) as refusal:
                raise IndescribableError("The view will refuse it.") from refusal
        return f"{describe(content)}{describe(user)}{describe_auth(auth)}", key_of(user)

    @cached_property
    def surroundings(self) -> str:
        """Everything in the environ and on the request that is the same for all sub-requests.

        Raises IndescribableError where WSGI middleware has put something into the environ that cannot be described.
        """
        return f"{describe(self.environ)}{self.setting}"

    @cached_property
    def environ(self) -> dict[str, Any]:
        """The variables that a view can see, but for those that count for nobody."""
        return {
            name: value
            for name, value in self.parent.environ.items()
            if name not in self.unseen and name not in SERVER_NAMES and not name.startswith(SERVER_ROOMS)
        }

    @cached_property
    def place(self) -> str:
        """What is left of the surroundings for whom it does not matter who is asking."""
        environ = {name: value for name, value in self.environ.items() if not OF_CALLER.fullmatch(name)}
        language = self.parent.cookies.get(settings.LANGUAGE_COOKIE_NAME)
        return seal(f"{describe([environ, language, self.parent.origin()])}{self.setting}")

    @cached_property
    def setting(self) -> str:
        """Scheme, language, time zone, URL configuration, and what middleware hung on the request."""
        attributes = {
            name: value
            for name, value in self.parent.attributes.items()
            if name not in TOLD_APART and name not in FORCED
        }
        scheme = self.parent.environ.get("wsgi.url_scheme")
        return describe([scheme, self.language, self.zone, self.parent.urlconf, attributes])

    def is_seen(self, header: str, *, is_public: bool) -> bool:
        """Whether a header, by its lower-case name, is part of the identity."""
        if is_public:
            return header in SEEN_BY_ALL or header in self.allowed
        return header != "*" and cgi_name(header) not in self.unseen
