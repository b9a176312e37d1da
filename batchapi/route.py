"""Where a URL leads, seen from the parent: its host, its mount point, its URL configuration, its language."""

import logging
from collections.abc import Mapping
from functools import partial

from django.http import HttpRequest
from django.middleware.locale import LocaleMiddleware
from django.utils.translation import get_language, override

from batchapi.batch import Route
from batchapi.exceptions import BatchError, Crashed
from batchapi.middleware import installed
from batchapi.parent import Parent
from batchapi.resolve import resolve

logger = logging.getLogger("django.request")


def find_route(url: str, *, method: str, headers: Mapping[str, str], parent: Parent) -> Route:
    """Find the view that a sub-request with this URL would be answered by.

    Raises what `resolve` raises, and Crashed where a URL pattern of the project raises anything else.
    """
    try:
        return resolve(
            url,
            method=method,
            origin=parent.origin,
            script_name=parent.script_name,
            service_root=parent.service_root,
            urlconf=parent.urlconf,
            language=partial(choose_language, headers=headers, parent=parent),
        )
    except BatchError:
        raise
    except Exception as error:  # A path converter. Alone, Django answers 500; here the others are not harmed.
        logger.exception("A URL pattern raised an exception in batch %s.", parent.correlation_id)
        crash = Crashed("The URL pattern raised an exception.")
        crash.executed = False
        raise crash from error


def choose_language(path_info: str, *, headers: Mapping[str, str], parent: Parent) -> str | None:
    """The language that LocaleMiddleware would choose for a path and headers; None where it is not installed."""
    locale = installed(LocaleMiddleware)
    if locale is None:
        return None
    request = HttpRequest()
    vars(request).update(parent.attributes)  # A project's own kind of it may ask for the user or the session.
    request.path = request.path_info = path_info
    request.META, request.COOKIES = {**parent.environ, **headers}, dict(parent.cookies)
    with override(get_language()):  # what the hook activates goes no further
        locale.process_request(request)
        return get_language()
