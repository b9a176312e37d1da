"""The road of one sub-request, outermost layer first."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from django.conf import settings as django_settings
from django.db import connections

from batchapi.batch import AsyncHandler, Handler, SubRequest, SubResponse
from batchapi.conf import Settings
from batchapi.execute.atomic import Group
from batchapi.execute.bounded import is_on_callers_thread
from batchapi.execute.cache import Cache
from batchapi.execute.circuit import AsyncCircuit, Circuit, Guard
from batchapi.execute.dedupe import AsyncCopies, Copies
from batchapi.execute.dispatch import Dispatch
from batchapi.execute.idempotency.answers import Answers
from batchapi.execute.idempotency.layer import Recorded, is_taken_back
from batchapi.execute.identity import Identities
from batchapi.execute.jar import Jar
from batchapi.execute.references import References
from batchapi.execute.retry import AsyncRetry, Retries, Retry
from batchapi.execute.savepoints import Savepoints, open_aliases
from batchapi.execute.twins import InTurn
from batchapi.parent import Parent
from batchapi.problem import problem_response
from batchapi.route import find_route
from batchapi.store import Circuits, Terms, get_circuits, get_store


class Stack(NamedTuple):
    """What the runner needs of the road, and nothing of what stands along it."""

    handler: Handler
    async_handler: AsyncHandler  # for async views, several in one event loop
    references: References
    open_group: Callable[[], Group]
    answers: Answers  # what was answered before under the same Idempotency-Key
    jar: Jar  # the cookies of the batch
    outdate: Callable[[frozenset[str]], None]  # tables that were written: forgets what was looked up in them
    cache: Cache | None  # the answers that are kept from one batch to the next
    caller: Callable[[], str]  # names whoever sent the batch, without asking the database
    has_async: bool  # whether `async_handler` may be used
    has_copies: bool  # equal sub-requests may share an answer
    is_on_callers_thread: bool  # middleware may have left something there that nobody can carry to another thread
    circuits: Circuits | None  # of the views; None where none ever opens


def build_stack(parent: Parent, settings: Settings, answers: Answers) -> Stack:
    """One road for all sub-requests of a batch."""
    circuits = find_circuits(settings)
    retries = Retries(settings.failures, is_taken_back=partial(is_taken_back, answers=answers))
    dispatch = Dispatch(
        parent,
        middleware=settings.layers.SUBREQUEST_MIDDLEWARE,
        max_stream_bytes=settings.limits.MAX_STREAM_BYTES,
    )
    layers: list[Callable[[Handler], Handler]] = [Refusals, partial(Retry, retries=retries)]
    if circuits:
        layers.append(partial(Circuit, guard=Guard(circuits)))
    if answers:  # Inside whatever tries again: each attempt is a transaction of its own.
        layers.append(partial(Recorded, answers=answers, checkpoint=dispatch.checkpoint))
    layers += [InTurn, Copies]
    if aliases := open_aliases():
        layers.append(partial(Savepoints, aliases=aliases, checkpoint=dispatch.checkpoint))
    handler: Handler = dispatch
    for layer in reversed(layers):
        handler = layer(handler)
    return Stack(
        handler=handler,
        async_handler=build_async_handler(dispatch, retries, circuits),
        references=References(
            lambda request: find_route(request.url, method=request.method, headers=request.headers, parent=parent),
            max_bytes=settings.limits.MAX_REQUEST_BYTES,
        ),
        open_group=lambda: Group(settings.layers.ATOMIC_GROUP_ALIAS, checkpoint=dispatch.checkpoint, recorder=answers),
        answers=answers,
        jar=dispatch.jar,
        outdate=dispatch.memory.outdate,
        cache=build_cache(parent, settings, dispatch),
        caller=dispatch.name_caller,
        has_async=not settings.layers.SUBREQUEST_MIDDLEWARE,
        # Middleware around every sub-request may count them.
        has_copies=settings.lanes.ENABLE_DEDUPLICATION and not settings.layers.SUBREQUEST_MIDDLEWARE,
        is_on_callers_thread=is_on_callers_thread(settings),
        circuits=circuits,
    )


def build_async_handler(dispatch: Dispatch, retries: Retries, circuits: Circuits | None) -> AsyncHandler:
    """The same road for async views."""
    handler: AsyncHandler = AsyncCopies(dispatch.answer_async)
    if circuits:
        handler = AsyncCircuit(handler, guard=Guard(circuits))
    return AsyncRetry(handler, retries=retries)


def find_circuits(settings: Settings) -> Circuits | None:
    """Where it is known which views fail; None where the project does not want to know."""
    failures, caching = settings.failures, settings.caching
    if failures.CIRCUIT_THRESHOLD is None:
        return None
    terms = Terms(
        threshold=failures.CIRCUIT_THRESHOLD,
        window=failures.CIRCUIT_WINDOW,
        min_calls=failures.CIRCUIT_MIN_CALLS,
        reset=failures.CIRCUIT_RESET,
        probes=failures.CIRCUIT_PROBES,
    )
    return get_circuits(caching.CACHE_ALIAS, caching.CACHE_SIZE, terms)


def build_cache(parent: Parent, settings: Settings, dispatch: Dispatch) -> Cache | None:
    """The kept answers, where there is a store, and a view sees nothing that is not known beforehand."""
    caching, store = settings.caching, None
    if caching.ENABLE_CACHING and not settings.layers.SUBREQUEST_MIDDLEWARE and is_autocommit_everywhere():
        store = get_store(caching.CACHE_ALIAS, caching.CACHE_SIZE)
    if store is None or not any(map(store.covers, django_settings.DATABASES)):
        return None
    identities = Identities(
        parent,
        dispatch.introduce,
        ignores=settings.lanes.FINGERPRINT_IGNORES,
        allowed=settings.limits.ALLOWED_HEADERS,
    )
    return Cache(store, caching, identities, is_open=lambda: not dispatch.jar.is_changed)


def is_autocommit_everywhere() -> bool:
    """Whether no connection has a transaction open that somebody began before: its rows may be old."""
    return all(database["AUTOCOMMIT"] for database in connections.settings.values())


class Refusals:
    """Answers the sub-requests that have no view."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: SubRequest) -> SubResponse:
        """404 as a problem, or what the view says."""
        if request.refusal is not None:
            return problem_response(request, request.refusal)
        return self.get_response(request)
