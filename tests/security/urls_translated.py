"""The same API under a language prefix, with batch endpoints inside and outside of it."""

from django.conf.urls.i18n import i18n_patterns
from django.urls import include, path

from tests.security.urls import api

urlpatterns = [
    path("batch/", include("batchapi.urls")),
    *i18n_patterns(path("api/", include(api))),
]
