"""A Batch in, a Plan out. Decides what runs, once, in which order. Runs nothing, imports no Django."""

from collections.abc import Sequence

from batchapi.batch import Batch, Plan, PriorityRule
from batchapi.plan.dependencies import list_order
from batchapi.plan.priority import priority_order

__all__ = ["plan_batch"]


def plan_batch(batch: Batch, *, rules: Sequence[PriorityRule] | None) -> Plan:
    """Put the sub-requests into effective order; `rules=None` keeps the order of the list.

    Raises CyclicDependency.
    """
    base = list_order(batch)
    return Plan(order=base if rules is None else priority_order(base, rules=rules))
