"""As urls_translated, but the default language has no prefix."""

from django.conf.urls.i18n import i18n_patterns
from django.urls import include, path

from tests.security.urls import api

urlpatterns = [
    path("batch/", include("batchapi.urls")),
    *i18n_patterns(path("api/", include(api)), prefix_default_language=False),
]
