"""Who waits for whom: orders that respect every dependency, most urgent first where there is a choice."""

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from batchapi.batch import Node
from batchapi.exceptions import CyclicDependency

Edges = Mapping[str, Iterable[str]]  # key of a node: keys of those that go before it


def list_order(nodes: Sequence[Node], *, pointer: str) -> tuple[Node, ...]:
    """The order of the list, but dependencies first. Raises CyclicDependency."""
    edges = {node.key: node.depends_on for node in nodes}
    try:
        return sort(nodes, edges=edges, rank=lambda node: node.index)
    except CycleError as error:
        cycle = set(error.args[1])
        first = next(member for node in nodes if node.key in cycle for member in node.members if member.depends_on)
        raise CyclicDependency(
            "It waits for itself." if len(cycle) == 1 else f"{len(cycle)} sub-requests wait for each other.",
            pointer=f"{pointer}/{first.index}",
        ) from error


def sort(nodes: Sequence[Node], *, edges: Edges, rank: Callable[[Node], Any]) -> tuple[Node, ...]:
    """Repeatedly take, among those whose predecessors are taken, the one of the lowest rank.

    Raises graphlib.CycleError.
    """
    by_key = {node.key: node for node in nodes}
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
