"""The door: an HTTP request in, an HTTP response out."""

from contextlib import suppress
from functools import partial
from typing import Any

from django.db import Error, connections
from django.http import HttpRequest
from rest_framework.exceptions import APIException
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from batchapi.answer import answer_batch
from batchapi.conf import get_settings
from batchapi.parent import Parent, name_caller
from batchapi.render import render_error
from batchapi.wire.json import BatchJSONParser, BatchJSONRenderer


class BatchView(APIView):
    """Answer many requests at once."""

    is_batch_endpoint = True
    parser_classes = (BatchJSONParser,)
    renderer_classes = (BatchJSONRenderer,)
    permission_classes = (AllowAny,)  # Each view says its own 401 or 403.
    throttle_classes = ()  # Each view counts each sub-request itself.
    versioning_class = None

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """The view, which is in no transaction of any database: ATOMIC_REQUESTS is honoured for each sub-request."""
        view: Any = super().as_view(**initkwargs)
        view._non_atomic_requests = {*connections}
        return view

    def post(self, request: Request) -> Response:
        """Parse, plan, execute, render."""
        return answer_batch(
            request.data, parent=self.parent, settings=get_settings(), identify=partial(identify, request)
        )

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """Read the outer request before DRF writes its own authenticated user onto it."""
        self.parent = Parent.from_request(request)
        return super().initialize_request(request, *args, **kwargs)

    def perform_authentication(self, request: Request) -> None:
        """Not before somebody asks for the user."""

    def get_parser_context(self, http_request: HttpRequest) -> dict[str, Any]:
        """Hand the limits to the parser."""
        return {**super().get_parser_context(http_request), "limits": get_settings().limits}

    def get_exception_handler(self) -> Any:
        """Every refusal is application/problem+json, whatever the project made of its other errors."""
        return render_error


def identify(request: Request) -> str:
    """Who sent a batch: the user of the first authenticator that succeeds, else the address; also while the database
    is away.
    """
    user = None
    with suppress(APIException, Error):
        user = request.user
    return name_caller(user, request._request)
