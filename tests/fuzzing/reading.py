"""Bytes and URLs in; what batchapi makes of them, and what Django makes of them alone."""

import os
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.test import RequestFactory
from django.urls import Resolver404, ResolverMatch
from hypothesis import settings

from batchapi.batch import Batch
from batchapi.conf import Limits
from batchapi.exceptions import EnvelopeError
from batchapi.parent import Parent
from batchapi.parse import parse_batch
from batchapi.plan import plan_batch
from batchapi.wire.json import BatchJSONParser

HANDLER = WSGIHandler()
IS_DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
BOUNDED = settings(max_examples=settings().max_examples if IS_DEEP else min(settings().max_examples, 100))
"""For what goes through a whole request or two, so that all of it takes half a minute."""


def parent(**environ: str) -> Parent:
    """What a batch of a client with a token comes with."""
    return Parent.from_request(RequestFactory().post("/api/batch/", HTTP_AUTHORIZATION="Token a", **environ))


def read(raw: bytes, *, limits: Limits | None = None) -> tuple[Any, Batch] | None:
    """The JSON in these bytes and the batch that it is, or None where it is refused. Raises nothing on purpose."""
    limits = limits or Limits()
    try:
        data = BatchJSONParser().parse(BytesIO(raw), parser_context={"limits": limits})
        batch = parse_batch(data, parent=parent(), limits=limits)
        plan_batch(batch, rules=())
    except EnvelopeError as refusal:
        for error in refusal.errors:  # Can be written, and shortly.
            assert len(f"{error.pointer} {error.detail}".encode()) < 1000
        return None
    return data, batch


def alone(target: str, *, script_name: str = "", **environ: str) -> tuple[WSGIRequest, ResolverMatch | None]:
    """The request that Django makes of a request target, and the view that its handler finds for it.

    The environ is made as servers make it (PEP 3333): the query split off, one round of percent-decoding, the script
    name taken away.
    """
    path, _, query = target.partition("?")
    decoded = unquote_to_bytes(path).decode("latin-1")
    assert decoded.startswith(script_name + "/") or decoded == script_name
    variables = {"PATH_INFO": decoded.removeprefix(script_name), "QUERY_STRING": query, "SCRIPT_NAME": script_name}
    request = WSGIRequest(RequestFactory()._base_environ(**variables, **environ))
    try:
        return request, HANDLER.resolve_request(request)
    except Resolver404:
        return request, None
