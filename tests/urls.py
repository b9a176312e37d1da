"""The project's routes, and those of tests/views/ under /api/t/."""

from django.urls import include, path

from project.urls import urlpatterns as of_the_project
from tests.views import answers, asking, identity, sessions, writing

MODULES = (answers, asking, identity, sessions, writing)
zoo = [pattern for module in MODULES for pattern in module.urlpatterns]

urlpatterns = [path("api/t/", include(zoo)), *of_the_project]
