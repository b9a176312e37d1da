"""Drains a plan: runs each node when those it depends on are done, and yields each answer as it is final."""

from collections.abc import Iterator
from time import perf_counter

from batchapi.batch import Node, Plan, SubRequest, SubResponse
from batchapi.exceptions import ConditionFalse, DependencyFailed, SubRequestError
from batchapi.execute.stack import Stack
from batchapi.problem import problem_response
from batchapi.signals import batch_finished, batch_started, subrequest_finished, subrequest_started


def execute_plan(plan: Plan, stack: Stack, *, correlation_id: str) -> Iterator[SubResponse]:
    """Run a plan on the caller's thread, in effective order."""
    started, total, done = perf_counter(), len(plan.order), 0
    batch_started.send_robust(None, correlation_id=correlation_id, total=total)
    run = Run(plan, stack)
    for wave in plan.waves:
        for node in wave:
            for response in run.run_node(node):
                done += 1
                seconds = run.seconds.get(response.request.key, 0.0)  # Not every member of a group came to run.
                subrequest_finished.send_robust(None, response=response, seconds=seconds, done=done, total=total)
                yield response
    batch_finished.send_robust(None, correlation_id=correlation_id, total=total, seconds=perf_counter() - started)


class Run:
    """What is known of a batch while it runs: the answers, and who succeeded."""

    def __init__(self, plan: Plan, stack: Stack) -> None:
        self.stack = stack
        self.wanted = {binding.reference.key for request in plan.order for binding in request.bindings}
        self.succeeded: dict[str, bool] = {}  # by id, and by name of group
        self.seconds: dict[str, float] = {}

    def run_node(self, node: Node) -> list[SubResponse]:
        """The final answers of a node's members, known to all that come later."""
        if node.is_group:
            responses = self.stack.open_group().run(node.members, self.run_member)
            self.succeeded[node.key] = not any(response.is_failure for response in responses)
        else:
            responses = [self.run_member(node.members[0])]
        for response in responses:
            self.note(response)
        return responses

    def run_member(self, request: SubRequest) -> SubResponse:
        """The answer of one sub-request: 424 if it may not run, 400 if a value that it refers to is not there."""
        begun = perf_counter()
        try:
            self.check(request)
            request = self.stack.references.fill_in(request)
            subrequest_started.send_robust(None, request=request)
            response = self.stack.handler(request)
        except SubRequestError as refusal:
            response = problem_response(request, refusal)
        self.seconds[request.key] = perf_counter() - begun
        self.note(response)
        return response

    def check(self, request: SubRequest) -> None:
        """Raise DependencyFailed or ConditionFalse where a sub-request may not run.

        A condition takes the place of the success test of the one that it names.
        """
        condition = request.condition
        needed = (key for key in request.depends_on if not condition or key != condition.key)
        if not all(self.succeeded[key] for key in needed):
            raise DependencyFailed("A sub-request that this one depends on did not succeed.")
        if condition and self.succeeded[condition.key] != condition.succeeded:
            raise ConditionFalse("The outcome that this one asks for in its condition is not what came.")

    def note(self, response: SubResponse) -> None:
        """Let later sub-requests know of an answer."""
        self.succeeded[response.request.key] = response.is_success
        if response.request.key in self.wanted:
            self.stack.references.keep(response)
