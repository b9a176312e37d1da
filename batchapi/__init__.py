"""Answer many requests at once: a batch endpoint for Django REST framework that calls the views in this process.

Mount it once, and any client may send its requests together:

    INSTALLED_APPS += ["batchapi"]
    urlpatterns += [path("api/batch/", include("batchapi.urls"))]

    POST /api/batch/
    {"requests": [{"id": "me", "url": "/api/users/me/"}, {"method": "POST", "url": "/api/notes/", "body": {…}}]}

A view says what a batch should know of it with the decorators below; all else is in the settings (`BATCHAPI`).
"""

from batchapi.policy import batch_exempt, batch_policy, batchable

__all__ = ["batch_exempt", "batch_policy", "batchable"]
__version__ = "0.1.0"
