"""All or nothing: the members of a group in listed order, in one transaction, each in a savepoint."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from contextvars import copy_context
from dataclasses import replace
from typing import Protocol

from django.db import transaction

from batchapi.batch import SubRequest, SubResponse
from batchapi.exceptions import Crashed, RolledBack, SubRequestError, TimedOut
from batchapi.execute.attempt import AttemptOver
from batchapi.execute.memory import Checkpoint
from batchapi.execute.transaction import TakeBack, UnknownEnd, refuse_broken, whole
from batchapi.execute.transient import fault_of
from batchapi.problem import problem_response

Run = Callable[[SubRequest], SubResponse]


class Recorder(Protocol):
    """Keeps the answers of groups under an Idempotency-Key, in the transaction of what they did."""

    def counted(self) -> AbstractContextManager[None]:
        """A block that may have that transaction open."""

    def begin(self, requests: Iterable[SubRequest]) -> None:
        """First in the transaction. Raises SubRequestError for what must not run."""

    def finish(self, responses: Iterable[SubResponse]) -> None:
        """Last in it."""


class Group:
    """One transaction on one database alias."""

    def __init__(self, alias: str, *, checkpoint: Checkpoint, recorder: Recorder) -> None:
        self.alias = alias
        self.checkpoint = checkpoint
        self.recorder = recorder
        self.responses: list[SubResponse] = []
        self.has_conflict = False

    def run(self, members: Sequence[SubRequest], run: Run) -> list[SubResponse]:
        """The answers of all members if every one succeeded, else the failing one's and 424 for the others.

        500 with `outcome: unknown` for all, where the connection is lost while COMMIT is on its way.

        Runs once more where the database gave up for a reason that may be gone: a deadlock, a serialization failure.
        """
        is_own = not transaction.get_connection(self.alias).in_atomic_block  # else it is not ours to begin again
        responses = copy_context().run(self.attempt, members, run)
        if self.has_conflict and is_own:
            responses = copy_context().run(self.attempt, members, run)
        return responses

    def attempt(self, members: Sequence[SubRequest], run: Run) -> list[SubResponse]:
        """One transaction, in a context of its own: hooks that run at its end are the last member's doing."""
        self.responses, self.has_conflict = [], False
        try:
            with self.recorder.counted(), whole(self.alias, request=members[-1], checkpoint=self.checkpoint):
                self.recorder.begin(members)
                for member in members:
                    self.run_in_savepoint(member, run)
                self.recorder.finish(self.responses)
        except TakeBack:
            self.has_conflict = self.responses[-1].fault == "conflict"
        except UnknownEnd:
            return [nobody_knows(member) for member in members]
        except AttemptOver:
            late = TimedOut("Its atomic group was not done in time.", outcome="rolled_back")
            late.executed = bool(self.responses)
            self.blame(late, members)
        except SubRequestError as refusal:  # of the recorder
            self.blame(refusal, members)
        except Exception as error:
            self.has_conflict = fault_of(error) == "conflict"
            crash = Crashed("The transaction of its atomic group could not be kept.")
            crash.executed = bool(self.responses)
            self.blame(crash, members)
        else:
            return self.responses
        return self.after_failure(members)

    def run_in_savepoint(self, member: SubRequest, run: Run) -> None:
        """One member; a failure leaves its savepoint and the transaction by an exception."""
        with transaction.atomic(using=self.alias):
            response = run(member)
            self.responses.append(response)
            if response.is_failure:
                raise TakeBack
            refuse_broken(self.alias)

    def blame(self, error: SubRequestError, members: Sequence[SubRequest]) -> None:
        """The transaction could not begin, or the end of it or of a savepoint raised: whoever ran last is told so."""
        blamed = self.responses.pop().request if self.responses else members[0]
        self.responses.append(problem_response(blamed, error))

    def after_failure(self, members: Sequence[SubRequest]) -> list[SubResponse]:
        """The last answer is the one that failed and is kept, without its cookies; all others are 424."""
        *called, failed = self.responses
        keys = {response.request.key for response in called if not response.is_skipped}
        return [
            replace(failed, cookies=())
            if member.key == failed.request.key
            else rolled_back(member, executed=member.key in keys)
            for member in members
        ]


def rolled_back(member: SubRequest, *, executed: bool) -> SubResponse:
    """The 424 of a member that did not fail itself; `executed` if its view had been called by then."""
    error = RolledBack("Another member of its atomic group failed, and nothing of the group was kept.")
    error.executed = executed
    return problem_response(member, error)


def nobody_knows(member: SubRequest) -> SubResponse:
    """The 500 of each member of a group whose COMMIT was sent, and whose end nobody heard of."""
    error = Crashed("The database did not say whether its atomic group was committed.")
    error.outcome = "unknown"
    return problem_response(member, error)
