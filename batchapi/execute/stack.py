"""The road of one sub-request, outermost layer first."""

from collections.abc import Callable

from batchapi.batch import Handler, SubRequest, SubResponse
from batchapi.conf import Settings
from batchapi.execute.dispatch import Dispatch
from batchapi.parent import Parent
from batchapi.problem import problem_response


def build_handler(parent: Parent, settings: Settings) -> Handler:
    """One handler for all sub-requests of a batch."""
    handler: Handler = Dispatch(
        parent,
        middleware=settings.layers.SUBREQUEST_MIDDLEWARE,
        max_stream_bytes=settings.limits.MAX_STREAM_BYTES,
    )
    layers: list[Callable[[Handler], Handler]] = [Refusals]
    for layer in reversed(layers):
        handler = layer(handler)
    return handler


class Refusals:
    """Answers the sub-requests that have no view."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: SubRequest) -> SubResponse:
        """404 as a problem, or what the view says."""
        if request.refusal is not None:
            return problem_response(request, request.refusal)
        return self.get_response(request)
