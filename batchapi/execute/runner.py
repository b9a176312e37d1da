"""Drains a plan, on lanes or on the caller's own thread, and yields each answer as it is final."""

from collections.abc import Callable, Generator
from contextvars import copy_context
from functools import partial
from time import monotonic, perf_counter

from django.db import connections

from batchapi.batch import Plan, SubResponse
from batchapi.conf import Lanes
from batchapi.exceptions import NoLane
from batchapi.execute.board import Board
from batchapi.execute.connections import is_callers
from batchapi.execute.crew import Crew, keep_time
from batchapi.execute.lanes import Lane, open_caches
from batchapi.execute.retry import budget
from batchapi.execute.run import Run
from batchapi.execute.stack import Stack
from batchapi.execute.threads import pool
from batchapi.execute.work import work
from batchapi.signals import batch_finished, batch_started
from batchapi.uncommitted import is_in_transaction


def execute_plan(
    plan: Plan, stack: Stack, *, correlation_id: str, limits: Lanes, identify: Callable[[], str], deadline: float
) -> Generator[SubResponse]:
    """Run a plan and yield the answers in effective order, each as soon as nothing can change it any more.

    The batch ends by the deadline (time.monotonic()). `identify` names the caller, for the count of threads that do not
    come back; asked only while there are some.
    """
    started, total = perf_counter(), len(plan.order)
    batch_started.send_robust(None, correlation_id=correlation_id, total=total)
    is_held = any(is_callers(connection) for connection in connections.all(initialized_only=True))
    has_lanes = not (is_held or stack.is_on_callers_thread)
    run = Run(plan, stack, limits=limits, deadline=deadline)
    is_inside = is_held or any(map(is_in_transaction, connections.all(initialized_only=True)))  # by raw SQL
    cache = stack.cache if has_lanes and not is_inside else None  # There, nobody knows how old its rows are.
    board = Board(plan, run, limits=limits, is_enforced=not is_held, has_lanes=has_lanes, cache=cache)
    budget.expect(total, now=monotonic())
    try:
        if not has_lanes:
            yield from run_here(board, is_timed=not is_held)
        else:
            yield from Crew(board, stack, limits=limits).run(identify)
    finally:
        if stack.circuits:
            stack.circuits.tell()
    board.tell([*board.untold])
    batch_finished.send_robust(None, correlation_id=correlation_id, total=total, seconds=perf_counter() - started)


def run_here(board: Board, *, is_timed: bool) -> Generator[SubResponse]:
    """Run one node after the other on the caller's thread.

    Where somebody around the batch holds a transaction; and where unknown middleware may have left something on this
    thread or its connections. Then another thread keeps time (`is_timed`), and cancels what the database takes too long
    for; a connection that is closed for that cannot be made again as the middleware had left it.
    """
    open_caches()
    lane = Lane({})
    if is_timed:
        pool.start(partial(keep_time, board, lane))
    try:
        while board.take(lane):
            [trying] = lane.attempts
            copy_context().run(work, board, lane)
            if trying.cancelled:
                with board.lock:
                    board.refuse_rest(NoLane("The connection that the batch came with had to be closed."))
            yield from board.collect()
        yield from board.collect()
    finally:
        board.stop()
