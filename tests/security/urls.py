"""What an attacker finds: an API, its batch endpoint under many names, and neighbours that are none of its business."""

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path, re_path
from django.views.decorators.cache import never_cache

from batchapi.views import BatchView
from tests.security import views

api = [
    path("items/<str:name>/", views.Item.as_view(), name="item"),
    re_path(r"^raw/(?P<rest>.*)$", views.Item.as_view(), name="anything"),
    path("meta/", views.Meta.as_view()),
    path("whoami/", views.WhoAmI.as_view()),
    path("session-only/", views.SessionOnly.as_view()),
    path("token-only/", views.TokenOnly.as_view()),
    path("basic-only/", views.BasicOnly.as_view()),
    path("no-authentication/", views.NoAuthentication.as_view()),
    path("flags/", views.Flags.as_view()),
    path("closed/", views.Closed.as_view()),
    path("half-closed/", views.HalfClosed.as_view()),
    path("plain/", views.plain),
    path("batchable/", views.batchable_plain),
    path("batchable-exempt/", views.batchable_exempt),
    path("for-logged-in/", views.for_logged_in),
    path("login/", views.LogIn.as_view()),
    path("logout/", views.LogOut.as_view()),
    path("change/", views.Change.as_view()),
    path("crash/<str:place>/", views.Crash.as_view()),
    path("crash-in-renderer/", views.CrashInRenderer.as_view()),
    path("answers/", views.Raw.as_view()),
    path("bulk/", views.Bulk.as_view()),
    path("nap/<int:ms>/", views.Nap.as_view()),
    path("to-batch/", views.to_batch),
    path("redirecting/", views.Redirecting.as_view()),
    path("undecorated/", views.undecorated_batch),
    path("posting/", views.PostingBatch.as_view()),
    path("decorated/", never_cache(login_not_required(BatchView.as_view()))),
    path("mine/", views.MyBatchView.as_view()),
    path("batch/", include("batchapi.urls")),
    path("$batch", BatchView.as_view()),
]

urlpatterns = [
    path("api/", include(api)),
    path("admin/", admin.site.urls),
    path("api-admin/items/<str:name>/", views.plain),
]
