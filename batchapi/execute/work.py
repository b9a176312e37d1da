"""What a lane does: takes nodes from the board, runs them, and brings the answers."""

import asyncio
from contextlib import suppress
from contextvars import copy_context
from functools import partial

from asgiref.sync import async_to_sync, sync_to_async

from batchapi.batch import Node, SubResponse
from batchapi.execute import gate, turns
from batchapi.execute.attempt import Attempt, AttemptOver, current
from batchapi.execute.board import Board
from batchapi.execute.connections import is_announced, is_waited_for, note_asked
from batchapi.execute.dedupe import view_of
from batchapi.execute.lanes import Lane
from batchapi.execute.twins import may_throttle
from batchapi.statements import watcher


def drain(board: Board, lane: Lane) -> None:
    """Work until there is nothing left for this lane, or others wait for its connections."""
    while board.take(lane):
        if lane.attempts[0].place in board.async_places:
            copy_context().run(async_to_sync(work_together), board, lane)
        else:
            copy_context().run(work, board, lane)
        if not lane.is_first and is_waited_for():
            return


def work(board: Board, lane: Lane) -> None:
    """Run a lane's node, in a context of its own, and bring the answers."""
    [trying] = lane.attempts
    node = enter(trying)
    try:
        responses = board.run.run_group(node, trying) if node.is_group else run_alone(board, node, trying)
    except AttemptOver:  # before the view, or after it
        responses = board.run.given_up(node, trying)
    finally:
        leave(trying)
    board.bring(lane, trying, responses)


def run_alone(board: Board, node: Node, trying: Attempt) -> list[SubResponse] | None:
    """The answer of one sub-request; None if another one asks the same at this moment and will answer for both."""
    known = board.recall(trying)
    request = board.run.prepare(node.members[0])
    if isinstance(request, SubResponse):
        return [request]
    if known:
        gate.known.set(known)
    elif board.is_parked(trying.place, request):
        return None
    if may_throttle(view_of(request)):
        turns.current.set(board.together.turn_of(trying.place))
    else:
        board.together.turnstile.leave(trying.place)
    return [board.run.call(request, trying)]


async def work_together(board: Board, lane: Lane) -> None:
    """Run async views in one event loop, each in a context of its own."""
    await asyncio.gather(*(work_async(board, lane, trying) for trying in list(lane.attempts)))


async def work_async(board: Board, lane: Lane, trying: Attempt) -> None:
    """Run one async view and bring its answer."""
    node = enter(trying)
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    trying.interrupt = partial(loop.call_soon_threadsafe, task.cancel)
    responses: list[SubResponse] | None = None
    try:
        await sync_to_async(board.look_up)(trying)
        # Who waits on the lane's thread would keep the views that others wait for from going on.
        may_wait = board.recollection.may_wait(trying)
        known = await sync_to_async(board.prepare, thread_sensitive=not may_wait)(trying)
        request = await sync_to_async(board.run.prepare)(node.members[0])
        if known:
            gate.known.set(known)
        if isinstance(request, SubResponse):
            responses = [request]
        elif known or not board.is_parked(trying.place, request):
            responses = [await board.run.call_async(request, trying)]
    except (AttemptOver, asyncio.CancelledError):
        responses = board.run.given_up(node, trying)
    finally:
        trying.finish()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)  # An interrupt may have been on its way.
        await sync_to_async(leave)(trying)
    board.bring(lane, trying, responses)


def enter(trying: Attempt) -> Node:
    """Have this context's SQL watched for an attempt, and announce the connections that it makes."""
    is_announced.set(True)
    current.set(trying)
    watcher.set(trying)
    assert trying.node is not None
    return trying.node


def leave(trying: Attempt) -> None:
    """It is done. Receivers, who come last, have time of their own."""
    trying.finish()
    trying.close_cancelled()
    if trying.used and trying.node:
        note_asked(view_of(trying.node.members[0]), [connection.alias for connection in trying.used])
    current.set(None)
    watcher.set(None)
