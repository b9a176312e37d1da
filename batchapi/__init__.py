"""Answer many requests at once: a batch endpoint for Django REST framework that calls the views in this process.

Mount it once, and any client may send its requests together:

    INSTALLED_APPS += ["batchapi"]
    urlpatterns += [path("api/batch/", include("batchapi.urls"))]

    POST /api/batch/
    {"requests": [{"id": "me", "url": "/api/users/me/"}, {"method": "POST", "url": "/api/notes/", "body": {…}}]}

A view says what a batch should know of it with the decorators below; all else is in the settings (`BATCHAPI`). Code
that has no need of HTTP calls `handle_batch_request` or `get_batch_processor`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from batchapi.exceptions import EnvelopeError
from batchapi.policy import batch_exempt, batch_policy, batchable

if TYPE_CHECKING:
    from batchapi.invalidation import invalidate
    from batchapi.processor import get_batch_processor, handle_batch_request

__all__ = [
    "EnvelopeError",
    "batch_exempt",
    "batch_policy",
    "batchable",
    "get_batch_processor",
    "handle_batch_request",
    "invalidate",
]
__version__ = "0.1.0"

LATER = {
    "get_batch_processor": "batchapi.processor",
    "handle_batch_request": "batchapi.processor",
    "invalidate": "batchapi.invalidation",
}


def __getattr__(name: str) -> Any:
    """What needs settings to be imported, when it is first asked for (PEP 562); the decorators need none."""
    if name in LATER:
        return getattr(import_module(LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
