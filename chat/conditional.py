"""A detail view in, the same with strong ETags out (RFC 9110, section 13): 304 for a copy that is still good, and
412 for a write on a row that is no longer what the client saw.
"""

from hashlib import sha256
from typing import Any

from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpResponseNotModified
from django.http.response import HttpResponseBase
from django.utils.http import parse_etags, quote_etag
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.status import HTTP_412_PRECONDITION_FAILED

WRITES = {"update", "partial_update", "destroy"}


class PreconditionFailed(APIException):
    status_code = HTTP_412_PRECONDITION_FAILED
    default_detail = _("This is not the version that If-Match or If-None-Match asks for.")
    default_code = "precondition_failed"


def make_etag(request: Request, data: Any) -> str:
    """An indented answer has other bytes, so it needs another strong ETag: the media type counts too."""
    body = JSONRenderer().render(data)
    return quote_etag(sha256(b"\n".join([request.accepted_media_type.encode(), body])).hexdigest()[:32])


# Not Django's get_conditional_response(): its 412 is a blank page, and it lets If-Match through if it can't read it.
def is_unmatched(request: Request, etag: str | None) -> bool:
    """Does If-Match ask for another version than this one (None: there is none)?"""
    wanted = request.headers.get("If-Match")
    return wanted is not None and (etag is None or not {"*", etag} & set(parse_etags(wanted)))


def is_known(request: Request, etag: str | None) -> bool:
    """Does If-None-Match name this version? Weakly, as RFC 9110 says of this header."""
    known = {tag.removeprefix("W/") for tag in parse_etags(request.headers.get("If-None-Match", ""))}
    return etag is not None and bool({"*", etag} & known)


def check_write(request: Request, etag: str | None) -> None:
    """Raise PreconditionFailed unless the request may change what has this ETag (None: there is nothing yet)."""
    if is_unmatched(request, etag) or is_known(request, etag):
        raise PreconditionFailed


class ETagMixin:
    """Goes before ModelViewSet or its mixins. A write locks its row first, so that the check still holds after it."""

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = self.tag(super().retrieve(request, *args, **kwargs))
        etag = response.get("ETag")
        if is_unmatched(request, etag):
            raise PreconditionFailed
        return HttpResponseNotModified(headers={"ETag": etag}) if is_known(request, etag) else response

    @transaction.atomic
    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response = super().update(request, *args, **kwargs)
        # Not for PUT (RFC 9110, section 9.3.4): what is stored is not byte for byte what was sent.
        return self.tag(response) if request.method == "PATCH" else response

    @transaction.atomic
    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().destroy(request, *args, **kwargs)

    def filter_queryset(self, queryset: QuerySet[Model]) -> QuerySet[Model]:
        queryset = super().filter_queryset(queryset)
        return queryset.select_for_update(of=("self",)) if self.action in WRITES else queryset

    def perform_update(self, serializer: BaseSerializer[Model]) -> None:
        self.check_write(serializer.instance)
        super().perform_update(serializer)

    def perform_destroy(self, instance: Model) -> None:
        self.check_write(instance)
        super().perform_destroy(instance)

    def check_write(self, instance: Model) -> None:
        check_write(self.request, make_etag(self.request, self.get_serializer(instance).data))

    def tag(self, response: Response) -> Response:
        """Name the version that an answer carries. The browsable page has none: each of its renderings differs."""
        if isinstance(self.request.accepted_renderer, JSONRenderer):
            response["ETag"] = make_etag(self.request, response.data)
        return response
