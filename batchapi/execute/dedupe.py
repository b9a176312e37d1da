"""The same question asked twice in one wave is answered once; the others get copies.

Only where nobody could tell: what wrote, set a cookie or crashed is not shared. Throttles count each sub-request, so a
view that may throttle is called for each as far as its handler.
"""

from collections.abc import Hashable, Iterable
from dataclasses import replace

from batchapi.batch import AsyncHandler, Handler, SubRequest, SubResponse
from batchapi.execute import gate
from batchapi.execute.kept import ATTEMPTS, mark
from batchapi.execute.twins import is_plain, may_throttle
from batchapi.fingerprint import question, unseen_names

COLLAPSED = "fwd=miss; collapsed"  # RFC 9211, section 2.4


class Duplicates:
    """The questions of one wave, and who asked first. Whoever calls it holds the lock."""

    def __init__(self, *, ignores: Iterable[str]) -> None:
        self.unseen = unseen_names(tuple(ignores))
        self.leaders: dict[Hashable, int] = {}
        self.found: dict[int, int] = {}  # the leader of each place that has asked
        self.answers: dict[int, SubResponse] = {}  # that may be copied

    def leader_of(self, place: int, request: SubRequest) -> int:
        """The place that asked this question first; a place of its own if nobody did."""
        if place not in self.found:
            self.found[place] = self.leaders.setdefault(question(request, unseen=self.unseen), place)
        return self.found[place]

    def keep(self, place: int, response: SubResponse) -> None:
        """Let others have copies: not of what a view sets, nor of a fault or refusal that may be gone the next time."""
        if response.status < 500 and response.status != 429 and not response.cookies:
            self.answers[place] = response

    def forget(self) -> None:
        """Somebody has written: who asks from now on is the first."""
        self.leaders.clear()
        self.answers.clear()


class Copies:
    """Gives a copy of the answer that is known to whoever the view lets in."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: SubRequest) -> SubResponse:
        """The copy; or the answer of the view, if it refuses or does not ask for one."""
        known = gate.known.get()
        if known is not None and not known.runs_checks:
            return known.response
        try:
            return self.get_response(request)
        except gate.Answered:
            assert known is not None
            return known.response


class AsyncCopies:
    """The same for async views, which have no throttles of DRF's."""

    def __init__(self, get_response: AsyncHandler) -> None:
        self.get_response = get_response

    async def __call__(self, request: SubRequest) -> SubResponse:
        """The copy, or the answer of the view."""
        known = gate.known.get()
        return known.response if known is not None else await self.get_response(request)


def is_comparable(request: SubRequest) -> bool:
    """Whether a sub-request may be answered by a copy, as far as one can tell before anything has run."""
    if request.route is None or not request.is_safe or request.policy.dedupe is False:
        return False
    return not may_throttle(view_of(request)) or is_plain(view_of(request))


def copy_for(request: SubRequest, answer: SubResponse) -> SubResponse:
    """An answer, for another who asked the same; marked."""
    headers = tuple(header for header in answer.headers if header[0] != ATTEMPTS)
    return replace(mark(replace(answer, headers=headers), COLLAPSED), request=request)


def view_of(request: SubRequest) -> object:
    """The view behind a sub-request."""
    return request.route.match.func if request.route else None
