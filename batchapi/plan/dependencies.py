"""Who waits for whom: orders that respect every dependency, most urgent first where there is a choice."""

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from batchapi.batch import Batch, SubRequest
from batchapi.exceptions import CyclicDependency

Edges = Mapping[str, Iterable[str]]  # key of a sub-request: keys of those that go before it


def list_order(batch: Batch) -> tuple[SubRequest, ...]:
    """The order of the list, but dependencies first. Raises CyclicDependency."""
    edges = {request.key: request.depends_on for request in batch.requests}
    try:
        return sort(batch.requests, edges=edges, rank=lambda request: request.index)
    except CycleError as error:
        cycle = error.args[1]
        index = {request.key: request.index for request in batch.requests}
        raise CyclicDependency(
            "It waits for itself." if len(cycle) == 2 else f"{len(cycle) - 1} sub-requests wait for each other.",
            pointer=f"{batch.pointer}/{min(index[key] for key in cycle)}",
        ) from error


def sort(requests: Sequence[SubRequest], *, edges: Edges, rank: Callable[[SubRequest], Any]) -> tuple[SubRequest, ...]:
    """Repeatedly take, among those whose predecessors are taken, the one of the lowest rank.

    Raises graphlib.CycleError.
    """
    by_key = {request.key: request for request in requests}
    sorter = TopologicalSorter(edges)
    sorter.prepare()
    ready: list[tuple[Any, int, str]] = []
    order = []
    while sorter.is_active():
        for key in sorter.get_ready():
            heapq.heappush(ready, (rank(by_key[key]), by_key[key].index, key))
        key = heapq.heappop(ready)[2]
        order.append(by_key[key])
        sorter.done(key)
    return tuple(order)
