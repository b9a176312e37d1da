"""A Batch in, a Plan out. Decides what runs, once, in which order. Runs nothing, imports no Django."""

from collections.abc import Sequence

from batchapi.batch import Batch, Plan, PriorityRule
from batchapi.plan.barriers import cut_into_waves
from batchapi.plan.dependencies import list_order
from batchapi.plan.nodes import make_nodes
from batchapi.plan.priority import priority_order

__all__ = ["plan_batch"]


def plan_batch(batch: Batch, *, rules: Sequence[PriorityRule] | None) -> Plan:
    """Put the sub-requests into effective order and cut it where a write must stand alone.

    `rules=None` keeps the order of the list. Linear in the number of sub-requests and dependencies, but for the
    logarithm of a heap. Raises CyclicDependency.
    """
    order = list_order(make_nodes(batch), pointer=batch.pointer)
    if rules is not None:
        order = priority_order(order, rules=rules)
    return Plan(waves=cut_into_waves(order, is_relaxed=batch.is_relaxed), is_relaxed=batch.is_relaxed)
