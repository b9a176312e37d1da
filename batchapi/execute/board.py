"""Where lanes take nodes from and bring answers to, whatever threads they are on."""

from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from threading import Condition, Lock
from time import monotonic
from typing import NamedTuple

from asgiref.sync import iscoroutinefunction

from batchapi.batch import Node, Plan, SubRequest, SubResponse
from batchapi.conf import Lanes
from batchapi.exceptions import DeadlineBeforeStart, SubRequestError
from batchapi.execute import gate
from batchapi.execute.attempt import Attempt
from batchapi.execute.cache import NOTHING, Cache, Recollection
from batchapi.execute.dedupe import copy_for, is_comparable, view_of
from batchapi.execute.gate import Known
from batchapi.execute.lanes import Lane
from batchapi.execute.run import Run, refuse
from batchapi.execute.schedule import Schedule
from batchapi.execute.together import Together, may_be_throttled
from batchapi.execute.twins import may_throttle
from batchapi.signals import subrequest_finished, subrequest_started

LINGER = 0.01  # Seconds that a lane waits for work; longer than most writes take, after which there may be more.


class Ended(NamedTuple):
    """A final answer, and how many there were by then."""

    response: SubResponse
    seconds: float
    done: int


class Board:
    """The work of one batch."""

    def __init__(
        self, plan: Plan, run: Run, *, limits: Lanes, is_enforced: bool, has_lanes: bool, cache: Cache | None = None
    ) -> None:
        self.run = run
        self.limits = limits
        self.is_enforced = is_enforced  # whether who is late is stopped, or only told so
        self.is_relaxed = plan.is_relaxed
        self.total = len(plan.order)
        self.lock = Lock()
        self.work_came = Condition(self.lock)  # for lanes
        self.news = Condition(self.lock)  # for whoever watches over them
        self.has_lanes = has_lanes  # else the caller's own thread does everything
        self.is_stopped = False
        self.is_unwatched = False  # whoever opens lanes sleeps for longer than a tick
        self.sleeps_until = float("inf")  # whoever keeps time, by time.monotonic()
        self.failure: BaseException | None = None  # what must not be anybody's answer: SystemExit
        self.finished = self.done = 0  # nodes, and final answers
        self.schedule = Schedule(plan, is_bound=self.is_bound, is_strict=not plan.is_relaxed)
        self.ended: deque[Ended] = deque()  # for whoever collects the answers
        self.cache = cache
        self.recollection = NOTHING
        self.over: list[Recollection] = []  # of waves that are, and not written yet
        self.untold: deque[Ended] = deque()  # those that no lane was there to tell of
        self.enter_wave()

    # -- for lanes; these take the lock

    def take(self, lane: Lane) -> bool:
        """Give a lane the first node that may start; waits for one. False where there will be none for it.

        A lane beside the first does not wait for long: it has connections that others could use.
        Async views come together, all that may start: while one of them waits, the others go on.
        """
        with self.lock:
            while not (self.is_stopped or lane.is_abandoned or self.schedule.is_over):
                if monotonic() >= self.run.deadline and not self.schedule.refuse:
                    self.refuse_rest(DeadlineBeforeStart("The batch came to its deadline first."))
                elif self.schedule.has_work(is_first=lane.is_first):
                    lane.attempts = [self.begin(self.wave.take(is_first=lane.is_first))]
                    if lane.attempts[0].place in self.async_places:
                        lane.attempts += [self.begin(place) for place in self.wave.take_all(self.async_places)]
                    if self.is_unwatched and self.schedule.has_work(is_first=False):
                        self.news.notify()  # There is more to do than this lane can do at once.
                    return True
                if not self.schedule.is_over and not self.work_came.wait(None if lane.is_first else LINGER):
                    return False
            return False

    def begin(self, place: int) -> Attempt:
        """An attempt at a node."""
        node, deadline = self.wave.nodes[place], self.run.deadline
        trying = Attempt(node, place, ends_at=deadline, is_enforced=self.is_enforced, hurry=self.hurry)
        trying.is_deferred = not node.is_group  # The members of a group see each other's cookies.
        trying.line = self
        self.together.tries[place] = trying
        if node.is_safe and not node.depends_on and self.may_share(node.members[0]):
            self.together.duplicates.leader_of(place, node.members[0])  # As they are taken, so the first one leads.
        return trying

    def is_at_the_front(self, attempt: Attempt) -> bool:
        """Whether the answers of all in front are final."""
        return self.is_relaxed or self.wave.given >= attempt.place

    def is_parked(self, place: int, request: SubRequest) -> bool:
        """Whether a sub-request need not run now, since an equal one does. Notes the answer if that is done already.

        Only one in front will do: one that comes later may itself be waiting for this one.
        """
        if not self.may_share(request):
            return False
        with self.lock:
            leader = self.together.duplicates.leader_of(place, request)
            if leader >= place or self.wave.is_serial:
                return False
            self.copy_from(leader, place, request)
            if leader not in self.wave.running or leader in self.wave.void:
                return False
            self.wave.park(place, leader)
            return True

    def copy_from(self, leader: int, place: int, request: SubRequest) -> None:
        """Have a sub-request be given a copy of an answer, if that is there already."""
        if answer := self.together.duplicates.answers.get(leader):
            gate.known.set(Known(copy_for(request, answer), runs_checks=may_throttle(view_of(request))))
            self.together.tries[place].footprint = None  # It leaves no trace of its own.

    def may_share(self, request: SubRequest) -> bool:
        """Whether there may be equal ones, and one answer may do for all of them."""
        return self.run.stack.has_copies and len(self.wave.nodes) > 1 and is_comparable(request)

    def bring(self, lane: Lane, trying: Attempt, responses: list[SubResponse] | None) -> None:
        """The answers of an attempt; nobody wants them any more from one that was given up."""
        with self.lock:
            recollection = self.recollection
            self.forget(lane, trying)
            if trying.is_given_up:
                return
            if trying.is_early:
                self.schedule.put_back(trying.place)
                self.recollection.close()
                self.together.overtake(self.wave.void)
                ended = self.go_on()
            else:
                ended = [] if responses is None else self.note(trying, responses)
        self.tell(ended)
        recollection.finish(trying.place)
        self.write_kept()

    def write_kept(self) -> None:
        """Have the answers of waves that are over kept."""
        with self.lock:
            over, self.over = self.over, []
        for recollection in over:
            recollection.write()

    def recall(self, trying: Attempt) -> Known | None:
        """The answer of a sub-request from before this batch, if it is known.

        Whoever comes first looks all of the wave up, and answers for those that need nothing else.
        """
        self.look_up(trying)
        assert trying.node is not None
        if self.recollection.may_wait(trying) and may_throttle(view_of(trying.node.members[0])):
            self.together.turnstile.wait(trying.place)  # With a claim it must not wait behind one who waits for it.
        return self.prepare(trying)

    def look_up(self, trying: Attempt) -> None:
        """See `recall`: what asks the database who is asking."""
        if self.recollection.read(trying) and (givable := self.recollection.givable()):
            with self.lock:
                ended = self.give(givable)
            self.tell(ended)

    def prepare(self, trying: Attempt) -> Known | None:
        """See `recall`: what may wait for another process, and asks no database."""
        assert trying.node is not None
        return self.recollection.prepare(trying, seconds=self.run.seconds_for(trying.node.members[0]))

    def give(self, givable: frozenset[int]) -> list[Ended]:
        """Answer for nodes that may start, from what is known."""
        wave = self.wave
        for place in wave.take_all(givable):
            known = self.recollection.candidates[place].known
            assert known is not None
            subrequest_started.send_robust(None, request=known.response.request)
            self.together.cookies[place] = []
            self.run.note(wave.nodes[place], [known.response])
            self.schedule.finish(place, [known.response])
            self.finished += 1
        return self.go_on()

    # -- what both sides do, under the lock

    def forget(self, lane: Lane, *attempts: Attempt) -> None:
        """They have come back, so what comes after them may begin."""
        for trying in attempts:
            lane.attempts.remove(trying)
            if self.schedule.barrier is trying:
                self.schedule.barrier = None
                self.work_came.notify_all()
        if lane.is_abandoned:
            self.news.notify()  # It may be left behind now.

    def note(self, trying: Attempt, responses: list[SubResponse]) -> list[Ended]:
        """Keep the answers of a node, wake whoever can go on now, and return the answers that became final."""
        wave, together = self.wave, self.together
        is_noisy = together.note(trying, responses)
        if trying.place not in wave.void:
            responses = [self.recollection.settle(trying, response) for response in responses]
        self.run.note(wave.nodes[trying.place], responses)
        if trying.tables:
            self.run.stack.outdate(frozenset(trying.tables))
        if self.is_relaxed:
            together.keep_cookies(trying.place)
        self.schedule.finish(trying.place, responses, is_noisy=is_noisy)
        if wave.is_serial:
            self.recollection.close()
        if wave.void:
            together.overtake(wave.void)
        self.finished += 1
        return self.go_on()

    def refuse_rest(self, error: SubRequestError) -> None:
        """Answer for everything that has not begun."""
        self.schedule.refuse_rest(lambda node: refuse(node, error))
        self.together.leave(self.wave.done)
        self.untold.extend(self.go_on())

    def go_on(self) -> list[Ended]:
        """Wake whoever waits, and return what is final now."""
        together = self.together
        if self.schedule.wave is not self.wave:
            self.enter_wave()
        ended = []
        while self.schedule.final:
            place, responses = self.schedule.final.popleft()
            together.keep_cookies(place)
            for response in responses:
                self.done += 1
                ended.append(Ended(response, self.run.seconds.get(response.request.key, 0.0), self.done))
        self.ended.extend(ended)
        self.work_came.notify_all()
        if self.schedule.is_over:
            self.news.notify()
        return ended

    def enter_wave(self) -> None:
        """Begin anew what is kept for the length of one wave."""
        self.wave = self.schedule.wave
        self.over.append(self.recollection)
        self.recollection = self.cache.recollect(self.wave.nodes) if self.cache else NOTHING
        self.together = Together(
            self.wave.nodes,
            jar=self.run.stack.jar,
            ignores=self.limits.FINGERPRINT_IGNORES,
            is_ordered=len(self.wave.nodes) > 1 and not self.is_relaxed,
        )
        self.async_places = frozenset(place for place, node in enumerate(self.wave.nodes) if self.may_gather(node))

    def may_gather(self, node: Node) -> bool:
        """Whether a node is an async view that may run together with others. One with a record runs alone."""
        stack = self.run.stack
        return self.has_lanes and stack.has_async and has_async_view(node) and not stack.answers.covers(node.members[0])

    def is_bound(self, node: Node) -> bool:
        """Whether a node needs the first lane: what writes, and what may throttle where nobody keeps an order."""
        return not node.is_safe or node.changes_identity or (self.is_relaxed and may_be_throttled(node))

    def tell(self, ended: list[Ended]) -> None:
        """Tell the receivers of answers that are final."""
        for response, seconds, done in ended:
            subrequest_finished.send_robust(None, response=response, seconds=seconds, done=done, total=self.total)

    def hurry(self, ends_at: float) -> None:
        """Wake whoever keeps time if somebody's time ends before that."""
        with self.lock:
            if ends_at < self.sleeps_until:
                self.news.notify()

    def rest(self, until: float) -> None:
        """Under the lock, for whoever keeps time: sleep, at most until then."""
        pause = until - monotonic()
        if pause > 0 and not (self.is_stopped or self.schedule.is_over):
            self.sleeps_until = until
            self.news.wait(None if until == float("inf") else pause)

    def collect(self) -> Iterator[SubResponse]:
        """The answers that became final since the last call."""
        while self.ended:
            yield self.ended.popleft().response

    def stop(self, failure: BaseException | None = None) -> None:
        """Nothing more begins."""
        with self.lock:
            self.is_stopped = True
            self.failure = self.failure or failure
            self.work_came.notify_all()
            self.news.notify()


def has_async_view(node: Node) -> bool:
    """Whether a node is one sub-request of an async view."""
    return not node.is_group and is_async_view(view_of(node.members[0]))


@lru_cache(maxsize=4096)
def is_async_view(view: object) -> bool:
    """Whether a view is a coroutine function."""
    return iscoroutinefunction(view)
