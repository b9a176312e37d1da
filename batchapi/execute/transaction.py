"""What views do and what is kept with it are one transaction: its block in; out, whether it is there, gone, or unknown.

No exception: it is committed, and stays so. UnknownEnd: the connection was lost while COMMIT was on its way. Any other
one: nothing of it is there.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from django.db.transaction import TransactionManagementError

from batchapi.batch import SubRequest, running
from batchapi.exceptions import SubRequestError
from batchapi.execute.attempt import AttemptOver, this
from batchapi.execute.memory import Checkpoint
from batchapi.statements import writable_alias

logger = logging.getLogger("batchapi.transaction")


class TakeBack(Exception):
    """Ends a transaction whose views have failed; they have said why."""


class UnknownEnd(Exception):
    """COMMIT was sent, and nobody heard whether it came through. Its cause is what the database raised."""


class Commit:
    """What is known of the COMMIT of one transaction."""

    is_done = False

    def note(self) -> None:
        """From here on nothing is taken back, so hooks may write where they like."""
        self.is_done = True
        writable_alias.set(None)


@contextmanager
def whole(alias: str, *, request: SubRequest, checkpoint: Checkpoint) -> Iterator[None]:
    """A block whose writes to one database, cookies and logins are kept together, or taken back together.

    Hooks that run at its end are the doing of `request`; what they raise is logged. Raises UnknownEnd, else what the
    block or COMMIT raised. It says to the context what it is, so it wants a copy of its own.
    """
    take_back, commit = checkpoint(), Commit()
    running.set(request)
    writable_alias.set(alias)
    try:
        with transaction.atomic(using=alias):
            transaction.on_commit(commit.note, using=alias)  # first of all hooks
            yield
    except (Exception, AttemptOver) as error:
        if not isinstance(error, AttemptOver | TakeBack | SubRequestError):
            logger.error("A transaction was ended by an exception.", exc_info=error)
        if commit.is_done:  # Only a hook failed, or came too late.
            return
        is_unknown = isinstance(error, Exception) and this().outcome == "unknown"
        take_back()
        if is_unknown:
            raise UnknownEnd from error
        raise


def refuse_broken(alias: str) -> None:
    """After a view. Raises TransactionManagementError where Django would now drop its writes without a word."""
    if transaction.get_rollback(using=alias):
        raise TransactionManagementError("The view went on after an error of the database.")
