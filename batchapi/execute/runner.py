"""Drains a plan: runs each sub-request when those it depends on are done, and yields each answer as it is final."""

from collections.abc import Iterator
from time import perf_counter

from batchapi.batch import Handler, Plan, SubRequest, SubResponse
from batchapi.exceptions import DependencyFailed
from batchapi.problem import problem_response
from batchapi.signals import batch_finished, batch_started, subrequest_finished, subrequest_started


def execute_plan(plan: Plan, handler: Handler, *, correlation_id: str) -> Iterator[SubResponse]:
    """Run a plan on the caller's thread, in effective order.

    `handler` must answer whatever happens; exceptions of views are its business.
    """
    started, total = perf_counter(), len(plan.order)
    batch_started.send_robust(None, correlation_id=correlation_id, total=total)
    succeeded: dict[str, bool] = {}
    for done, request in enumerate(plan.order, start=1):
        begun = perf_counter()
        response = run(request, handler, succeeded)
        succeeded[request.key] = response.is_success
        seconds = perf_counter() - begun
        subrequest_finished.send_robust(None, response=response, seconds=seconds, done=done, total=total)
        yield response
    batch_finished.send_robust(None, correlation_id=correlation_id, total=total, seconds=perf_counter() - started)


def run(request: SubRequest, handler: Handler, succeeded: dict[str, bool]) -> SubResponse:
    """The answer of one sub-request, 424 if one that it depends on did not succeed."""
    if not all(succeeded[key] for key in request.depends_on):
        return problem_response(request, DependencyFailed("A sub-request that this one depends on did not succeed."))
    subrequest_started.send_robust(None, request=request)
    return handler(request)
