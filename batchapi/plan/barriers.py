"""Which nodes may run together: those that only read, between two that write."""

from collections.abc import Iterable
from itertools import groupby

from batchapi.batch import Node


def cut_into_waves(order: Iterable[Node], *, is_relaxed: bool = False) -> tuple[tuple[Node, ...], ...]:
    """An order, cut so that each node that writes stands alone: it is a barrier, whatever comes later waits for it.

    A node that may change who is asking is a barrier too, even where its method is safe; the only one in a batch whose
    client accepts any order.
    """
    waves: list[tuple[Node, ...]] = []
    for is_free, nodes in groupby(order, key=lambda node: (node.is_safe or is_relaxed) and not node.changes_identity):
        if is_free:
            waves.append(tuple(nodes))
        else:
            waves.extend((node,) for node in nodes)
    return tuple(waves)
