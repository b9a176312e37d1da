"""The batch endpoint. Include it once; an alias such as `api/$batch` is a path to BatchView itself."""

from django.urls import path

from batchapi.views import BatchView

app_name = "batchapi"
urlpatterns = [path("", BatchView.as_view(), name="batch")]
