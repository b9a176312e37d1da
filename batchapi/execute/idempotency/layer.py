"""What a sub-request under an Idempotency-Key does, and its answer, are one transaction: both are there or neither.

What was answered before never comes here: it is given again before anything is filled in (`Run.prepare`), since what it
depends on may answer otherwise by now.
"""

import logging
from contextvars import copy_context
from dataclasses import replace

from asgiref.sync import iscoroutinefunction
from django.db import Error

from batchapi.batch import Handler, SubRequest, SubResponse
from batchapi.exceptions import Crashed, NoStoredAnswer
from batchapi.execute.attempt import AttemptOver, this
from batchapi.execute.idempotency.answers import Answers
from batchapi.execute.memory import Checkpoint
from batchapi.execute.transaction import TakeBack, UnknownEnd, refuse_broken, whole
from batchapi.execute.transient import Fault, fault_of
from batchapi.problem import problem_response

logger = logging.getLogger("batchapi.idempotency")
PASSING = frozenset({401, 403, 408, 425, 429})  # They say: not like this, or not now. A resend is to be asked again.


class Failed(TakeBack):
    """A view's answer that takes back what it wrote."""

    def __init__(self, response: SubResponse) -> None:
        super().__init__()
        self.response = response


class Recorded:
    """Runs what is covered by a key in a transaction with its answer; all else goes by."""

    def __init__(self, get_response: Handler, *, answers: Answers, checkpoint: Checkpoint) -> None:
        self.get_response = get_response
        self.answers = answers
        self.checkpoint = checkpoint
        self.unsure: set[str] = set()  # keys of sub-requests of which an attempt may have been committed

    def __call__(self, request: SubRequest) -> SubResponse:
        """The view's answer. Members of a group go by: their answers are stored at the end of their transaction."""
        if request.group is not None or not self.answers.covers(request):
            return self.get_response(request)
        with self.answers.counted():
            if wants_no_transaction(request):
                return self.run_openly(request)
            return copy_context().run(self.run, request)

    def run(self, request: SubRequest) -> SubResponse:
        """The view in one transaction with its answer; taken back as a whole where it fails or comes too late."""
        alias = self.answers.alias
        try:
            with whole(alias, request=request, checkpoint=self.checkpoint):
                self.answers.begin([request])
                response = self.found(request) or self.call(request, alias)
        except Failed as failure:
            return replace(failure.response, cookies=())
        except NoStoredAnswer as refusal:  # Nobody but a batch that has overslept gets here.
            return self.answers.read_again_or(request, refusal)
        except AttemptOver:
            this().is_flying |= request.key in self.unsure  # Its last statement says nothing of the COMMIT before.
            raise
        except UnknownEnd as unknown:
            self.unsure.add(request.key)
            return self.crash(request, fault_of(unknown.__cause__ or unknown))
        except Exception as error:
            return self.crash(request, fault_of(error))
        return response

    def found(self, request: SubRequest) -> SubResponse | None:
        """What an attempt before this one has stored, if its COMMIT came through although nobody heard of it.

        By now it has or never will: its transaction had the row of the key that `begin` has touched.
        """
        if request.key not in self.unsure:
            return None
        answer = self.answers.read_again(request)
        self.unsure.discard(request.key)
        return answer

    def call(self, request: SubRequest, alias: str) -> SubResponse:
        """The view's answer, stored unless a resend is to ask for it again. Raises Failed for a 5xx."""
        response = self.get_response(request)
        if response.status >= 500:
            raise Failed(response)
        refuse_broken(alias)
        if response.status not in PASSING:
            self.answers.finish([response])
        return response

    def crash(self, request: SubRequest, fault: Fault) -> SubResponse:
        """The 500 of what was taken back, or of what nobody knows. It is tried again where its reason may be gone."""
        error = Crashed("The database could not keep what the view wrote.")
        if request.key in self.unsure:
            error = Crashed("The database did not say whether what the view wrote was committed.")
            error.outcome = "unknown"
        return replace(problem_response(request, error), fault=fault, is_own=False)

    def run_openly(self, request: SubRequest) -> SubResponse:
        """A view that runs in no transaction, between two notes. Its 5xx is stored too: nothing of it is taken back."""
        try:
            self.answers.begin_openly(request)
        except NoStoredAnswer as refusal:
            return self.answers.read_again_or(request, refusal)
        except Error as error:
            return not_noted(request, error)
        response = self.get_response(request)
        self.answers.finish_openly(response, is_stored=response.status not in PASSING)
        return response


def not_noted(request: SubRequest, error: Error) -> SubResponse:
    """The 500 of what was not begun, since nobody would know of it afterwards."""
    logger.error("It could not be noted that a view is called, so it is not.", exc_info=error)
    crash = Crashed("What is done under its Idempotency-Key cannot be written down now; send it again.")
    crash.executed = False
    return problem_response(request, crash)


def wants_no_transaction(request: SubRequest) -> bool:
    """Whether a view says so, or is async: then its database work is done on other threads."""
    route = request.route
    return route is not None and (route.is_non_atomic or iscoroutinefunction(route.match.func))


def is_taken_back(request: SubRequest, answers: Answers) -> bool:
    """Whether a failed attempt at it has done nothing to the database, or what it did is found by the next one."""
    return answers.covers(request) and request.group is None and not wants_no_transaction(request)
