"""What is compared: a batch, the same requests one by one, and the floor under both."""

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.test import RequestFactory, override_settings
from django.urls import get_resolver

from batchapi.batch import Batch, Plan, Priority, SubRequest
from batchapi.exceptions import NotFound
from batchapi.plan import plan_batch
from batchapi.views import BatchView

BATCH_VIEW = BatchView.as_view()


def urls(count: int) -> list[str]:
    """That many different URLs of the trivial view."""
    return [f"/api/trivial/{number}/" for number in range(count)]


def body_of(paths: list[str]) -> bytes:
    """The JSON of a batch of GETs."""
    return json.dumps({"requests": [{"id": str(n), "url": url} for n, url in enumerate(paths)]}).encode()


def batch(paths: list[str]) -> Callable[[], object]:
    """One call of the batch view, JSON in and JSON out, without the project's middleware."""
    body, factory = body_of(paths), RequestFactory()

    def run() -> bytes:
        request = factory.post("/api/batch/", body, content_type="application/json")
        response = BATCH_VIEW(request)
        response.render()
        assert response.status_code == 200, response.content
        return bytes(response.content)

    return run


def under(run: Callable[[], object], **given: object) -> Callable[[], object]:
    """The same under other settings; to be compared with one that is under some as well."""

    def run_under() -> object:
        with override_settings(BATCHAPI={**settings.BATCHAPI, **given}):
            return run()

    return run_under


def direct(paths: list[str], *, user: Any = None) -> Callable[[], object]:
    """The floor: a loop that copies an environ, resolves, calls and renders each view in this process.

    With a `user` its requests are as the authentication middleware would have left them, for nothing.
    """
    environ = RequestFactory().get("/").environ

    def run() -> list[bytes]:
        bodies = []
        for path in paths:
            request = WSGIRequest(
                {**environ, "PATH_INFO": path, "QUERY_STRING": "", "REQUEST_METHOD": "GET", "wsgi.input": BytesIO()}
            )
            match = get_resolver().resolve(request.path_info)
            request.resolver_match = match
            if user is not None:
                request.user = user
            response: Any = match.func(request, *match.args, **match.kwargs)
            bodies.append(response.render().content)
        return bodies

    return run


def times(count: int, run: Callable[[], object]) -> Callable[[], object]:
    """The same, so many times."""

    def run_each() -> None:
        for _ in range(count):
            run()

    return run_each


def plans(repeats: int, count: int) -> Callable[[], object]:
    """That many plans of a batch in which everybody has a priority and waits for somebody; every tenth writes."""
    made = Batch(requests=tuple(sub_request(index) for index in range(count)))

    def run() -> list[Plan]:
        return [plan_batch(made, rules=()) for _ in range(repeats)]

    return run


def sub_request(index: int) -> SubRequest:
    """One of the list, which waits for the one at half its index."""
    return SubRequest(
        index=index,
        id=str(index),
        key=str(index),
        correlation_id="",
        method="GET" if index % 10 else "POST",
        url="/",
        headers={},
        body=b"",
        depends_on=(str(index // 2),) if index else (),
        priority=Priority(index % 5),
        refusal=NotFound("Never run."),
    )


def call(handler: WSGIHandler, environ: dict[str, Any]) -> bytes:
    """One request through a whole Django handler, as a WSGI server would make it."""
    status: list[str] = []
    response = handler(environ, lambda line, *_: status.append(line))
    body = b"".join(response)
    response.close()
    assert status[0].startswith("200"), (status, body)
    return body
