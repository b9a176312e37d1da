"""Views that use what a browser carries: sessions, cookies, CSRF tokens, messages."""

from django.contrib import messages
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token, rotate_token
from django.urls import path
from django.views.decorators.csrf import csrf_exempt, csrf_protect, ensure_csrf_cookie
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from batchapi import batchable


@api_view(["GET", "POST", "PUT", "DELETE"])
@permission_classes([AllowAny])
def counter(request: Request) -> Response:
    """GET reads the session, POST writes it, PUT changes it without saying so, DELETE flushes it."""
    session = request.session
    if request.method == "POST":
        session["n"] = session.get("n", 0) + 1
        session["list"] = [session["n"]]
    elif request.method == "PUT":
        session.get("list", []).append("unsaid")
    elif request.method == "DELETE":
        session.flush()
    return Response({"n": session.get("n"), "list": session.get("list"), "names": sorted(session.keys())})


@batchable
@csrf_exempt
def shape(request: HttpRequest, how: str) -> JsonResponse:
    """Everything that a session can do besides."""
    session = request.session
    if how == "expire":
        session.set_expiry(60)
    elif how == "browser":
        session["b"] = 1
        session.set_expiry(0)
    elif how == "cycle":
        session.cycle_key()
    elif how == "save":
        session["saved"] = True
        session.save()
        session["after"] = True
    elif how == "clear":
        session.clear()
    elif how == "pop":
        session.pop("n", None)
    elif how == "test":
        session.set_test_cookie()
    elif how == "crash":
        session["crashed"] = True
        raise RuntimeError("after a change to the session")
    elif how == "vanish":
        session["vanished"] = True
        Session.objects.filter(session_key=session.session_key).delete()
    elif how == "nothing":
        return JsonResponse({})
    is_same = session.session_key == request.COOKIES.get("sessionid")
    return JsonResponse({"same": is_same, "empty": session.is_empty(), "age": session.get_expiry_age()})


@api_view(["POST"])
@permission_classes([AllowAny])
def end_sessions(request: Request) -> Response:
    """Log out everywhere: deletes the rows of all sessions."""
    return Response({"ended": Session.objects.all().delete()[0]})


@batchable
@csrf_exempt
def cookie(request: HttpRequest, how: str) -> HttpResponse:
    """Sets, changes and deletes cookies in every way that browsers treat differently."""
    response = HttpResponse(request.COOKIES.get("flavour", "none"), content_type="text/plain")
    if how == "set":
        response.set_cookie("flavour", "vanilla", max_age=60, httponly=True, samesite="Lax")
    elif how == "odd":
        response.set_cookie("flavour", 'a;b, "c" \\ ä')
    elif how == "empty":
        response.set_cookie("flavour", "")
    elif how == "signed":
        response.set_signed_cookie("flavour", "salt", salt="s")
    elif how == "delete":
        response.delete_cookie("flavour")
    elif how == "elsewhere":
        response.set_cookie("flavour", "far", path="/api/sessions/")
    elif how == "near":
        response.set_cookie("flavour", "near", path="/api/t/")
    elif how == "delete-elsewhere":
        response.delete_cookie("flavour", path="/api/sessions/")
    elif how == "here":
        response.set_cookie("flavour", "here", path=None)
    elif how == "past":
        response.set_cookie("flavour", "old", expires="Thu, 01 Jan 1970 00:00:00 GMT")
    elif how == "secure":
        response.set_cookie("flavour", "secret", secure=True)
    elif how == "many":
        for name in ("one", "two", "flavour"):
            response.set_cookie(name, name)
    elif how == "speak":
        response.set_cookie("django_language", "de")
    return response


@batchable
def guarded(request: HttpRequest) -> HttpResponse:
    """A plain view: Django's CSRF middleware stands before it."""
    if request.method == "POST":
        Group.objects.create(name="guarded")
    return HttpResponse("ok", content_type="text/plain")


@batchable
@csrf_exempt
@csrf_protect
def protected(request: HttpRequest) -> HttpResponse:
    """Guards itself, whatever the middleware says."""
    return HttpResponse("ok", content_type="text/plain")


@batchable
@ensure_csrf_cookie
def give_token(request: HttpRequest) -> HttpResponse:
    """Has a CSRF cookie set."""
    return HttpResponse("ok", content_type="text/plain")


@api_view(["GET"])
@permission_classes([AllowAny])
def use_token(request: Request) -> Response:
    """A DRF view that makes a CSRF token and says whether it is one."""
    return Response({"length": len(get_token(request._request))})


@batchable
@csrf_exempt
def new_token(request: HttpRequest) -> HttpResponse:
    """Rotates the CSRF token, as login does."""
    rotate_token(request)
    return HttpResponse("ok", content_type="text/plain")


@api_view(["GET", "POST"])
@authentication_classes([])
@permission_classes([AllowAny])
def notes(request: Request) -> Response:
    """POST leaves two messages, GET reads them all."""
    if request.method == "POST":
        messages.info(request._request, "Saved.")
        messages.error(request._request, "Or not, ä.", extra_tags="x")
        return Response({"left": 2})
    return Response([[note.level, str(note.message), note.tags] for note in messages.get_messages(request._request)])


urlpatterns = [
    path("counter/", counter),
    path("session/<str:how>/", shape),
    path("end-sessions/", end_sessions),
    path("cookie/<str:how>/", cookie),
    path("guarded/", guarded),
    path("protected/", protected),
    path("give-token/", give_token),
    path("use-token/", use_token),
    path("new-token/", new_token),
    path("notes/", notes),
]
