"""A decoded batch in, its answer out: the whole story, told once for all doors."""

from collections.abc import Callable
from contextlib import closing
from math import inf
from time import monotonic
from typing import Any

from rest_framework.response import Response

from batchapi.conf import Settings
from batchapi.execute.idempotency.answers import hold_keys
from batchapi.execute.runner import execute_plan
from batchapi.execute.stack import build_stack
from batchapi.parent import Parent
from batchapi.parse import parse_batch
from batchapi.plan import plan_batch
from batchapi.render import render_batch


def nobody_listens(_caller: Callable[[], str]) -> None:
    """For doors that count no batches."""


def answer_batch(
    data: Any,
    *,
    parent: Parent,
    settings: Settings,
    identify: Callable[[], str],
    begun: Callable[[Callable[[], str]], None] = nobody_listens,
) -> Response:
    """Parse, plan, execute, render. Raises EnvelopeError, before anything has run.

    `identify` names the caller; it is asked only when the caller's limits or keys come into play. `begun` is given what
    names the caller as far as the views have found out.
    """
    deadline = monotonic() + (settings.lanes.DEADLINE or inf)
    batch = parse_batch(data, parent=parent, limits=settings.limits)
    plan = plan_batch(batch, rules=settings.rules)
    with hold_keys(batch, parent=parent, settings=settings, identify=identify, until=deadline) as earlier:
        stack = build_stack(parent, settings, earlier)
        begun(stack.caller)
        running = execute_plan(
            plan,
            stack,
            correlation_id=parent.correlation_id,
            limits=settings.lanes,
            identify=identify,
            deadline=deadline,
        )
        with closing(running) as responses:  # Whatever happens to the answer, no lane is left behind.
            return render_batch(batch, responses, parent=parent, limits=settings.limits)
