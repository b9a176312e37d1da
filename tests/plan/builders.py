"""Sub-requests for the plan, made by hand: the plan knows no Django and needs none."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from batchapi.batch import Batch, Priority, Route, SubRequest
from batchapi.policy import Policy


def make(
    key: str = "0",
    *,
    index: int = 0,
    method: str = "GET",
    path: str = "/api/things/",
    name: str = "thing-list",
    depends_on: Iterable[str] = (),
    priority: Priority | None = None,
    policy: Policy | None = None,
    group: str | None = None,
    is_known: bool = True,
) -> SubRequest:
    """One sub-request whose view has a name and a policy."""
    match: Any = SimpleNamespace(func=None, args=(), kwargs={}, view_name=name, route="")
    route = Route(
        path=path,
        path_info=path,
        query="",
        language=None,
        urlconf=None,
        match=match,
        policy=policy or Policy(),
        location=None,
    )
    return SubRequest(
        index=index,
        id=key,
        key=key,
        correlation_id=f"batch/{key}",
        method=method,
        url=path,
        headers={},
        body=b"",
        depends_on=tuple(depends_on),
        priority=priority,
        group=group,
        route=route if is_known else None,  # It has none as long as its URL must be filled in.
    )


def make_batch(*requests: dict[str, Any]) -> Batch:
    """A batch of sub-requests described by their keywords; the key is the index unless one is given."""
    return Batch(requests=tuple(make(**{"key": str(i), "index": i, **given}) for i, given in enumerate(requests)))
