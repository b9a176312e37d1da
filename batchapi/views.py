"""The door: an HTTP request in, an HTTP response out."""

from functools import partial
from typing import Any

from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from batchapi.answer import answer_batch
from batchapi.callers import identify, identify_or_address
from batchapi.conf import get_settings
from batchapi.parent import Parent
from batchapi.parse.envelope import refuse_nested
from batchapi.places import places
from batchapi.render import render_error
from batchapi.throttling import BatchRateThrottle
from batchapi.wire.json import BatchJSONParser, BatchJSONRenderer


class BatchView(APIView):
    """Answer many requests at once."""

    is_batch_endpoint = True
    parser_classes = (BatchJSONParser,)
    renderer_classes = (BatchJSONRenderer,)
    permission_classes = (AllowAny,)  # Each view says its own 401 or 403.
    throttle_classes = (BatchRateThrottle,)  # What is sent; each view counts what reaches it itself.
    versioning_class = None

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """The view, which is in no transaction of any database: ATOMIC_REQUESTS is honoured for each sub-request."""
        view: Any = super().as_view(**initkwargs)
        view._non_atomic_requests = {*connections}
        return view

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Hold a place among the batches that run, from before the body is read until there is an answer."""
        with places.place(request) as self.place:
            return super().dispatch(request, *args, **kwargs)

    def post(self, request: Request) -> Response:
        """Parse, plan, execute, render."""
        return answer_batch(
            request.data,
            parent=self.parent,
            settings=get_settings(),
            identify=partial(identify, request),
            begun=self.place.listen,
        )

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """Read the outer request before DRF writes its own authenticated user onto it."""
        self.parent = Parent.from_request(request)
        return super().initialize_request(request, *args, **kwargs)

    def perform_authentication(self, request: Request) -> None:
        """Not before somebody asks for the user."""

    def check_throttles(self, request: Request) -> None:
        """As many batches at the same time, and then as many sub-requests, as one caller may have.

        One that is in a batch itself is refused before: it would wait for the one that it is in.
        """
        refuse_nested(self.parent)
        most = get_settings().limits.MAX_CONCURRENT_BATCHES
        places.take(self.place, most=most, identify=partial(identify_or_address, request))
        super().check_throttles(request)

    def get_parser_context(self, http_request: HttpRequest) -> dict[str, Any]:
        """Hand the limits to the parser."""
        return {**super().get_parser_context(http_request), "limits": get_settings().limits}

    def get_exception_handler(self) -> Any:
        """Every refusal is application/problem+json, whatever the project made of its other errors."""
        return render_error
