"""What a sub-request under an Idempotency-Key does, and its answer, are one transaction: both are there or neither.

What was answered before never comes here: it is given again before anything is filled in (`Run.prepare`), since what it
depends on may answer otherwise by now.
"""

import logging
from contextvars import copy_context
from dataclasses import replace

from asgiref.sync import iscoroutinefunction
from django.db import transaction
from django.db.transaction import TransactionManagementError

from batchapi.batch import Handler, SubRequest, SubResponse, running
from batchapi.exceptions import Crashed, NoStoredAnswer
from batchapi.execute.attempt import AttemptOver
from batchapi.execute.memory import Checkpoint
from batchapi.execute.records import Records
from batchapi.execute.transient import fault_of
from batchapi.problem import problem_response
from batchapi.statements import writable_alias

PASSING = frozenset({401, 403, 408, 425, 429})  # They say: not like this, or not now. A resend is to be asked again.

logger = logging.getLogger("batchapi.idempotency")


class FailedError(Exception):
    """Ends the transaction of a view whose answer takes back what it wrote."""

    def __init__(self, response: SubResponse) -> None:
        super().__init__()
        self.response = response


class Recorded:
    """Runs what has a record in a transaction with it; all else goes by."""

    def __init__(self, get_response: Handler, *, records: Records, checkpoint: Checkpoint) -> None:
        self.get_response = get_response
        self.records = records
        self.checkpoint = checkpoint

    def __call__(self, request: SubRequest) -> SubResponse:
        """The view's answer. Members of a group go by: their answers are stored at the end of their transaction."""
        if request.group is not None or not self.records.has(request):
            return self.get_response(request)
        with self.records.counted():
            if wants_no_transaction(request):
                return self.run_openly(request)
            return copy_context().run(self.run, request)  # The checkpoint makes itself known to its context.

    def run(self, request: SubRequest) -> SubResponse:
        """The view in one transaction with its record; taken back as a whole where it fails or comes too late."""
        take_back = self.checkpoint()
        running.set(request)
        commit, alias = Commit(), self.records.alias
        writable_alias.set(alias)
        try:
            with transaction.atomic(using=alias):
                transaction.on_commit(commit.note, using=alias)  # first of all hooks
                self.records.begin([request])
                commit.response = self.call(request, alias)
        except FailedError as failure:
            commit.response = failure.response
        except NoStoredAnswer as refusal:  # Nobody but a batch that has overslept gets here.
            commit.response = self.records.read_again(request) or problem_response(request, refusal)
        except AttemptOver:
            if not commit.is_done:
                take_back()
                raise
        except Exception as error:  # COMMIT did not succeed; or it did, and then a hook may raise anything.
            logger.error("The transaction of a sub-request was ended by an exception.", exc_info=error)
            if not commit.is_done:
                crash = problem_response(request, Crashed("The database could not keep what the view wrote."))
                commit.response = replace(crash, fault=fault_of(error))
        else:
            commit.is_done = True
        assert commit.response is not None
        if commit.is_done:
            return commit.response
        take_back()
        return replace(commit.response, cookies=())

    def call(self, request: SubRequest, alias: str) -> SubResponse:
        """The view's answer, stored unless a resend is to ask for it again. Raises FailedError for a 5xx."""
        response = self.get_response(request)
        if response.status >= 500:
            raise FailedError(response)
        if transaction.get_rollback(using=alias):  # Django would now drop its writes without a word.
            raise TransactionManagementError("The view went on after an error of the database.")
        if response.status not in PASSING:
            self.records.finish([response])
        return response

    def run_openly(self, request: SubRequest) -> SubResponse:
        """A view that runs in no transaction, between two notes. Its 5xx is stored too: nothing of it is taken back."""
        try:
            self.records.begin_openly(request)
        except NoStoredAnswer as refusal:
            return self.records.read_again(request) or problem_response(request, refusal)
        response = self.get_response(request)
        self.records.finish_openly(response, is_stored=response.status not in PASSING)
        return response


class Commit:
    """What is known of one transaction."""

    def __init__(self) -> None:
        self.response: SubResponse | None = None
        self.is_done = False

    def note(self) -> None:
        """From here on nothing is taken back, so hooks may write where they like."""
        self.is_done = True
        writable_alias.set(None)


def wants_no_transaction(request: SubRequest) -> bool:
    """Whether a view says so, or is async: then its database work is done on other threads."""
    route = request.route
    return route is not None and (route.is_non_atomic or iscoroutinefunction(route.match.func))


def is_taken_back(request: SubRequest, records: Records) -> bool:
    """Whether a failed attempt at it has done nothing to the database, so that an unsafe one may be tried again."""
    return records.has(request) and request.group is None and not wants_no_transaction(request)
