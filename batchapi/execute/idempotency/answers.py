"""What was answered under an Idempotency-Key: stored in the transaction of what was done, and given again.

An answer has a place that is taken once, so not even a batch that has lost its key can store a second one.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any

from django.db import Error, IntegrityError, transaction
from django.utils import timezone

from batchapi.batch import Batch, SubRequest, SubResponse
from batchapi.callers import is_user, name_caller
from batchapi.conf import Settings
from batchapi.exceptions import Crashed, KeyInUse, NoStoredAnswer
from batchapi.execute.bounded import do_in_time, is_on_callers_thread
from batchapi.execute.idempotency.hold import Hold, Rows
from batchapi.execute.idempotency.scope import KEY_HEADER, Part, find_parts
from batchapi.parent import Parent
from batchapi.problem import problem_response
from batchapi.statements import unwatched

GRACE = 5.0  # seconds after its DEADLINE that a batch may still be at work: its last rows, its answer
RELEASE_SECONDS = 1.0  # that an answer waits for its keys to be given back
LONGEST = 300.0  # seconds that a batch without a DEADLINE is waited for
REPLAYED = ("Idempotent-Replayed", "true")
UNKNOWN = "It was sent before, and nobody knows how far it came. Look for what it should have made before sending anew."
COMMITTED = (
    "It was done before, and its answer was one that is never stored: it set a cookie, or changed who is asking."
)
NOT_TOLD = "The database does not say whether this key is in use; send the batch again."
TAKEN = "Another batch with the same Idempotency-Key has taken it over; send it again to learn how it ended."

logger = logging.getLogger("batchapi.idempotency")


class Answers:
    """The answers of one batch, under the keys that it holds."""

    def __init__(self, parts: Mapping[str, Part], *, alias: str, ttl: int = 0, seconds: float = 0) -> None:
        self.parts = parts  # by the keys of sub-requests
        claims = {part.claim.identity: part.claim for part in parts.values()}
        self.hold = Hold(claims, alias=alias, ttl=ttl, seconds=seconds)
        self.alias = alias
        self.rows: Rows = {}  # of sub-requests that were answered before

    def __bool__(self) -> bool:
        return bool(self.parts)

    def take_keys(self) -> None:
        """Take the keys, and look up what was answered under them. Raises KeyReused or KeyInUse."""
        self.rows = self.hold.take(part.identity for part in self.parts.values())

    def answer_to(self, request: SubRequest) -> SubResponse | None:
        """The answer that was given before, or why there is none; None for what may run."""
        part = self.parts.get(request.key)
        row = self.rows.get(part.identity) if part else None
        return None if row is None else replay(row, request)

    def answers_to(self, members: Sequence[SubRequest]) -> list[SubResponse]:
        """The answers of a group that is done; none for one that may run."""
        return [answer for member in members if (answer := self.answer_to(member)) is not None]

    def covers(self, request: SubRequest) -> bool:
        """Whether its answer is stored. One whose URL was not known may prove to be a login, whose is not."""
        return request.key in self.parts and not (request.group is None and request.policy.changes_identity)

    def counted(self) -> AbstractContextManager[None]:
        """A block that may have a transaction with an answer."""
        return self.hold.counted() if self else nullcontext()

    def begin(self, requests: Iterable[SubRequest]) -> None:
        """First in a transaction: see that the keys are still ours, and stay so until it ends.

        Raises NoStoredAnswer where somebody has taken them over.
        """
        if not self.hold.touch(self.parts[request.key].claim.identity for request in requests if self.covers(request)):
            raise NoStoredAnswer(TAKEN, outcome="unknown")

    def finish(self, responses: Iterable[SubResponse]) -> None:
        """Last in it: store the answers. Raises NoStoredAnswer where one has been stored meanwhile."""
        rows = [self.row_for(answer.request, contents(answer)) for answer in responses if self.covers(answer.request)]
        if not rows:
            return
        try:
            self.hold.table.bulk_create(rows)
        except IntegrityError:
            raise NoStoredAnswer(TAKEN, outcome="unknown") from None

    def row_for(self, request: SubRequest, columns: dict[str, Any]) -> Any:
        """A row for one sub-request."""
        part = self.parts[request.key]
        return self.hold.table.model(
            identity=part.identity,
            caller=part.claim.caller,
            key=part.claim.key,
            part=part.name,
            token=self.hold.token,
            created=timezone.now(),
            expires=self.hold.expires[part.claim.identity],
            **columns,
        )

    def row_of(self, request: SubRequest) -> Any:
        """A query for the row of one sub-request."""
        return self.hold.table.filter(identity=self.parts[request.key].identity)

    def read_again(self, request: SubRequest) -> SubResponse | None:
        """What another batch has stored for a sub-request while this one ran."""
        row = self.row_of(request).first()
        return row and replay(row, request)

    def read_again_or(self, request: SubRequest, refusal: NoStoredAnswer) -> SubResponse:
        """The same; the refusal if there is nothing, or the database cannot tell."""
        with suppress(Error):
            if answer := self.read_again(request):
                return answer
        return problem_response(request, refusal)

    def keep(self, response: SubResponse) -> SubResponse:
        """Store the answer of a sub-request whose condition does not hold.

        The next time it may, because of what was done since, and both branches would be done.
        """
        request = response.request
        if request.group is not None or not self.covers(request):
            return response
        try:
            with self.counted(), transaction.atomic(using=self.alias):
                self.begin([request])
                self.finish([response])
        except NoStoredAnswer as refusal:
            return self.read_again_or(request, refusal)
        except Error as error:
            logger.error("It could not be stored that a condition did not hold.", exc_info=error)
            crash = Crashed("It cannot be written down now that it was not to run; send it again.")
            crash.executed = False
            return problem_response(request, crash)
        return response

    def begin_openly(self, request: SubRequest) -> None:
        """Note that a view which runs in no transaction is called.

        Raises NoStoredAnswer where somebody else has the key, or has called it.
        """
        try:
            with transaction.atomic(using=self.alias):
                self.begin([request])
                self.hold.table.bulk_create([self.row_for(request, {"state": "running"})])
        except IntegrityError:
            raise NoStoredAnswer(UNKNOWN, outcome="unknown") from None

    def finish_openly(self, response: SubResponse, *, is_stored: bool) -> None:
        """Note its answer, or that it may run again. If that fails, its end stays unknown."""
        row = self.row_of(response.request).filter(token=self.hold.token, state="running")
        try:
            with unwatched():  # What is done is done, however late.
                row.update(**contents(response)) if is_stored else row.delete()
        except Error as error:
            logger.error("The answer of a view that has run could not be stored.", exc_info=error)


NOTHING = Answers({}, alias="")  # of a batch without a key


@contextmanager
def hold_keys(
    batch: Batch, *, parent: Parent, settings: Settings, identify: Callable[[], str], until: float
) -> Iterator[Answers]:
    """The answers of a batch, whose keys are held while the block runs. Raises KeyReused or KeyInUse before that.

    KeyInUse as well where the database does not tell, or not by `until` (time.monotonic()). Without a key nobody is
    asked for anything. Keys of callers without a user are ignored: an address is many people.
    """
    if batch.idempotency_key is None and not any(request.idempotency_key for request in batch.requests):
        yield NOTHING
        return
    sender = name_caller(None, parent.request)
    is_here = is_on_callers_thread(settings)
    take = partial(take_keys, batch, parent=parent, settings=settings, identify=identify)
    answers = do_in_time(take, until=until, sender=sender, is_here=is_here)
    if answers is None:
        raise KeyInUse(NOT_TOLD, header=KEY_HEADER)
    try:
        yield answers
    finally:
        if answers:
            do_in_time(answers.hold.release, until=monotonic() + RELEASE_SECONDS, sender=sender, is_here=is_here)


def take_keys(batch: Batch, *, parent: Parent, settings: Settings, identify: Callable[[], str]) -> Answers:
    """See `hold_keys`: the keys are taken, and what was answered under them is known."""
    try:
        caller = identify()
        sent_to = [parent.origin(), parent.script_name, parent.service_root, parent.urlconf]
        parts = find_parts(batch, caller=caller, sent_to=sent_to) if is_user(caller) else {}
        if not parts:
            return NOTHING
        seconds = (settings.lanes.DEADLINE or LONGEST) + GRACE
        ttl = settings.failures.IDEMPOTENCY_TTL
        answers = Answers(parts, alias=settings.layers.ATOMIC_GROUP_ALIAS, ttl=ttl, seconds=seconds)
        answers.take_keys()
    except Error as error:
        logger.error("Idempotency keys could not be looked up.", exc_info=error)
        raise KeyInUse(NOT_TOLD, header=KEY_HEADER) from error
    return answers


def contents(response: SubResponse) -> dict[str, Any]:
    """The columns of an answer; of one that holds a credential, only that it was given."""
    request = response.request
    if response.cookies or request.policy.changes_identity:
        return {"state": "committed", "status": response.status}
    return {
        "state": "done",
        "status": response.status,
        "headers": json.dumps(response.headers),
        "body": response.body,
        "is_json": response.is_json,
        "url": (request.route and request.route.location) or request.url,
    }


def replay(row: Any, request: SubRequest) -> SubResponse:
    """A stored answer, marked; or the reason why there is none."""
    if row.state == "committed":
        return problem_response(request, NoStoredAnswer(COMMITTED, outcome="committed"))
    if row.state != "done":
        return problem_response(request, NoStoredAnswer(UNKNOWN, outcome="unknown"))
    return SubResponse(
        # Later ones may refer to the URL that it was asked for in the end.
        request=request if request.route is not None else replace(request, url=row.url),
        status=row.status,
        headers=(*((name, value) for name, value in json.loads(row.headers)), REPLAYED),
        body=bytes(row.body),
        is_json=row.is_json,
        is_skipped=row.status == 424,  # A condition did not hold. A group whose member fails is not stored.
    )
