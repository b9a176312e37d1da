"""One sub-request or group in, its answers out: may it run, with which values, and what if its time is over."""

from asyncio import CancelledError
from time import perf_counter

from asgiref.sync import sync_to_async

from batchapi.batch import Node, Plan, SubRequest, SubResponse
from batchapi.conf import Lanes
from batchapi.exceptions import ConditionFalse, DependencyFailed, SubRequestError, TimedOut
from batchapi.execute.atomic import rolled_back
from batchapi.execute.attempt import Attempt, AttemptOver, TooEarly
from batchapi.execute.stack import Stack
from batchapi.problem import problem_response
from batchapi.signals import subrequest_started


class Run:
    """What is known of a batch while it runs: the answers, and who succeeded."""

    def __init__(self, plan: Plan, stack: Stack, *, limits: Lanes, deadline: float) -> None:
        self.stack = stack
        self.wanted = {binding.reference.key for request in plan.order for binding in request.bindings}
        self.succeeded: dict[str, bool] = {}  # by id, and by name of group
        self.seconds: dict[str, float] = {}
        self.timeout = limits.TIMEOUT or float("inf")
        self.deadline = deadline  # by time.monotonic()

    def note(self, node: Node, responses: list[SubResponse]) -> None:
        """Let later nodes know of the answers."""
        if node.is_group:
            self.succeeded[node.key] = not any(response.is_failure for response in responses)
        for response in responses:
            self.note_one(response)

    def note_one(self, response: SubResponse) -> None:
        """Let later sub-requests know of an answer."""
        self.succeeded[response.request.key] = response.is_success
        if response.request.key in self.wanted:
            self.stack.references.keep(response)

    def run_group(self, node: Node, attempt: Attempt) -> list[SubResponse]:
        """The answers of a group's members."""
        if answers := self.stack.answers.answers_to(node.members):
            return answers

        def run_member(request: SubRequest) -> SubResponse:
            filled = self.prepare(request)
            response = filled if isinstance(filled, SubResponse) else self.call(filled, attempt)
            self.note_one(response)
            return response

        return self.stack.open_group().run(node.members, run_member)

    def prepare(self, request: SubRequest) -> SubRequest | SubResponse:
        """The sub-request with every value in its place; or why it may not run, or cannot.

        Or what it was answered before, whatever those that it depends on say this time.
        """
        if (answer := self.stack.answers.answer_to(request)) is not None:
            return answer
        try:
            self.check(request)
            return self.stack.references.fill_in(request)
        except ConditionFalse as refusal:
            return self.stack.answers.keep(problem_response(request, refusal))
        except SubRequestError as refusal:
            return problem_response(request, refusal)

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

    def call(self, request: SubRequest, attempt: Attempt) -> SubResponse:
        """The answer of its view, or 504 where that comes too late."""
        begun = self.begin(request, attempt)
        try:
            response = attempt.in_time_or_over(self.stack.handler(request))
        except TooEarly:
            raise
        except AttemptOver:
            response = self.timed_out(request, attempt)
        return self.end(response, attempt, begun=begun)

    async def call_async(self, request: SubRequest, attempt: Attempt) -> SubResponse:
        """The same for an async view, which is cancelled where it waits."""
        begun = await sync_to_async(self.begin)(request, attempt)
        try:
            response = attempt.in_time_or_over(await self.stack.async_handler(request))
        except TooEarly:
            raise
        except (AttemptOver, CancelledError):
            response = self.timed_out(request, attempt)
        return self.end(response, attempt, begun=begun)

    def begin(self, request: SubRequest, attempt: Attempt) -> float:
        """Its time begins."""
        seconds = self.seconds_for(request)
        attempt.begin_request(request, seconds=seconds, is_shortened=seconds < self.server_seconds_for(request))
        subrequest_started.send_robust(None, request=request)
        return perf_counter()

    def end(self, response: SubResponse, attempt: Attempt, *, begun: float) -> SubResponse:
        """It is answered. The COMMIT of a group may still come, and is bounded by the batch's own time."""
        attempt.end_request(ends_at=self.deadline)
        self.seconds[response.request.key] = perf_counter() - begun
        return response

    def seconds_for(self, request: SubRequest) -> float:
        """What one attempt may take: the least that server, view and client say."""
        return min(self.server_seconds_for(request), request.timeout or float("inf"))

    def server_seconds_for(self, request: SubRequest) -> float:
        """The same without the client."""
        return min(self.timeout, request.policy.timeout or float("inf"))

    def timed_out(self, request: SubRequest, attempt: Attempt) -> SubResponse:
        """504, and what became of what it wrote."""
        return problem_response(request, TimedOut(f"It was not done by {attempt.limit}.", outcome=attempt.outcome))

    def given_up(self, node: Node, attempt: Attempt) -> list[SubResponse]:
        """The answers of a node whose thread did not come back."""
        running = attempt.request  # Read once: its thread may go on meanwhile.
        called = [member for member in node.members if member.key in self.seconds]
        if attempt.is_flying or (running is None and len(called) == len(node.members)):  # The COMMIT of a group hangs.
            return [self.timed_out(member, attempt) for member in node.members]
        late = running or (called or node.members)[-1]
        return [
            self.timed_out(running or member, attempt)
            if member.key == late.key
            else rolled_back(member, executed=member in called)
            for member in node.members
        ]


def refuse(node: Node, error: SubRequestError) -> list[SubResponse]:
    """One answer for all members of a node."""
    return [problem_response(member, error) for member in node.members]
