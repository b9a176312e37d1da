"""Every route of the monolith: the admin, the probes, the chat API and its batch endpoint under two names."""

from django.contrib import admin
from django.urls import include, path

from batchapi.views import BatchView
from project.health import livez, readyz
from project.home import home

urlpatterns = [
    path("", home, name="home"),
    path("livez", livez, name="livez"),
    path("readyz", readyz, name="readyz"),
    path("admin/", admin.site.urls),
    path("api/batch/", include("batchapi.urls")),
    path("api/$batch", BatchView.as_view()),  # OData clients know it by this name.
    path("api/", include("chat.urls")),
]
