"""In a transaction that somebody opened around the batch, each sub-request is a savepoint.

A database error in a view would otherwise end the transaction of those who know nothing of it: of all later
sub-requests, and of the code that sent the batch.
"""

import logging
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import replace
from typing import Any

from django.db import DatabaseError, connections, transaction

from batchapi.batch import Handler, SubRequest, SubResponse
from batchapi.exceptions import Crashed
from batchapi.execute import attempt
from batchapi.execute.memory import Checkpoint
from batchapi.problem import problem_response

logger = logging.getLogger("batchapi.savepoints")


def open_aliases() -> tuple[str, ...]:
    """The databases that this thread has a transaction open on."""
    return tuple(
        connection.alias for connection in connections.all(initialized_only=True) if connection.in_atomic_block
    )


class Savepoints:
    """Takes back what a view did if its database error would have ended the transaction around the batch."""

    def __init__(self, get_response: Handler, *, aliases: tuple[str, ...], checkpoint: Checkpoint) -> None:
        self.get_response = get_response
        self.aliases = aliases
        self.checkpoint = checkpoint

    def __call__(self, request: SubRequest) -> SubResponse:
        """The view's answer; a 500 where it says that all went well and the database kept nothing of it."""
        return copy_context().run(self.run, request)  # The checkpoint makes itself known to its context.

    def run(self, request: SubRequest) -> SubResponse:
        """The same, in a context of its own."""
        take_back = self.checkpoint()
        try:
            with ExitStack() as savepoints:
                for alias in self.aliases:
                    savepoints.enter_context(savepoint(alias))
                response = attempt.this().in_time_or_over(self.get_response(request))
                is_lost = any(transaction.get_rollback(using=alias) for alias in self.aliases)
        except attempt.AttemptOver:  # Its answer counts no more, and neither does what it wrote.
            take_back()
            raise
        except DatabaseError as error:  # PostgreSQL releases no savepoint after an error that the view has caught.
            logger.error("A savepoint around a sub-request was lost.", exc_info=error)
            response, is_lost = not_kept(request), True
        if not is_lost:
            return response
        take_back()
        return replace(response, cookies=()) if response.is_failure else not_kept(request)


def savepoint(alias: str) -> Any:
    """A savepoint that a view does not notice: where a test lets it ask for a durable transaction, it still may."""
    outer = transaction.get_connection(alias).atomic_blocks
    block: Any = transaction.atomic(using=alias)
    block._from_testcase = bool(outer) and outer[-1]._from_testcase
    return block


def not_kept(request: SubRequest) -> SubResponse:
    """The 500 of a view that went on after an error of the database."""
    return problem_response(request, Crashed("The database could not keep what the view wrote."))
