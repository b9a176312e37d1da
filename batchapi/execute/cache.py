"""Answers from before: looked up once for a whole wave, given to those who ask the same, and kept at the wave's end.

Nothing is looked up and kept across a barrier, so what a batch writes, its later sub-requests see.
"""

import logging
from collections.abc import Callable, Iterable
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from math import floor
from threading import Lock
from typing import cast

from batchapi.batch import Node, SubRequest, SubResponse
from batchapi.conf import Caching
from batchapi.execute.attempt import Attempt, AttemptOver
from batchapi.execute.describe import IndescribableError
from batchapi.execute.flight import take_claim
from batchapi.execute.footprint import Footprint
from batchapi.execute.gate import Known
from batchapi.execute.identity import Identities, Identity
from batchapi.execute.kept import age_when_kept, answer_again, mark
from batchapi.execute.manners import Manners, manners_of
from batchapi.freshness import ORIGIN_ONLY, Terms, Wish, read_terms, read_wish
from batchapi.store import Entry, Found, Snapshot, Store
from batchapi.store.tags import alias_tag, route_tag, table_tag, user_tag

logger = logging.getLogger("batchapi.cache")


class Cache:
    """The kept answers, for one batch."""

    def __init__(self, store: Store, caching: Caching, identities: Identities, *, is_open: Callable[[], bool]) -> None:
        self.store = store
        self.caching = caching
        self.identities = identities
        self.is_open = is_open  # False once a cookie was set: then the identities are not those of the batch any more

    def recollect(self, nodes: Iterable[Node]) -> "Recollection":
        """What may be known of a wave's answers; nothing is asked yet.

        Where one that writes may run at the same time, nobody knows what is old.
        """
        nodes = tuple(nodes)
        is_quiet = self.is_open() and all(node.is_safe for node in nodes)
        requests = {place: node.members[0] for place, node in enumerate(nodes) if is_quiet and is_askable(node)}
        return Recollection(self, requests)

    def wish_of(self, request: SubRequest) -> Wish:
        """What the client says of kept answers, for this one or for the whole batch."""
        return read_wish(request.headers, self.identities.parent.environ)

    def ttl_for(self, request: SubRequest) -> int:
        """Seconds that an answer is fresh at most."""
        return request.policy.ttl or self.caching.CACHE_TTL


@dataclass(slots=True)
class Candidate:
    """A sub-request whose answer may be known, or kept."""

    request: SubRequest
    manners: Manners
    identity: Identity
    wish: Wish
    found: Found | None = None
    known: Known | None = None  # the answer to give
    token: str | None = None  # of the claim to compute it for everybody

    @property
    def may_be_stale(self) -> bool:
        """Whether an old answer may stand in for a failure."""
        return self.wish.may_read and self.request.policy.stale is not False

    @property
    def is_claimed(self) -> bool:
        """Whether it is computed once for all who ask at the same time, in all processes."""
        return self.identity.is_public or isinstance(self.request.policy.cache, str)


class Recollection:
    """What is known of the answers of one wave. Its methods are called by several lanes."""

    def __init__(self, cache: Cache, requests: dict[int, SubRequest]) -> None:
        self.cache = cache
        self.requests = requests
        self.lock = Lock()  # held while the store is read
        self.is_read = not requests
        self.is_closed = False
        self.candidates: dict[int, Candidate] = {}
        self.snapshot: Snapshot | None = None
        self.entries: dict[str, Entry] = {}  # to be kept, by key

    # -- before the views

    def read(self, trying: Attempt) -> bool:
        """Look everything up, once; whoever comes meanwhile waits. True for the one that did it.

        Raises AttemptOver where time is over before that.
        """
        if self.is_read:
            return False
        if not self.lock.acquire(timeout=trying.remaining()):
            raise AttemptOver
        try:
            if self.is_read:
                return False
            copy_context().run(self.look_up)  # Who is asking may bring its language along.
            return True
        finally:
            self.is_read = True  # Not before: whoever sees it goes on without the lock.
            self.lock.release()

    def look_up(self) -> None:
        """Ask the store for all candidates."""
        try:
            candidates = self.find_candidates()
        except Exception:  # A field of the project's own, or its database: the views will tell, in their answers.
            logger.exception("It could not be found out who is asking; nothing is cached.")
            return
        if not candidates:
            return
        asked = [(candidate.identity.key, candidate.identity.text) for candidate in candidates.values()]
        self.snapshot, found = self.cache.store.read(asked)
        if self.snapshot is None:
            return  # The store is away.
        for candidate, one in zip(candidates.values(), found, strict=True):
            candidate.found = one
            candidate.known = self.known_by(candidate)
        self.candidates = candidates

    def find_candidates(self) -> dict[int, Candidate]:
        """The sub-requests that may be answered from the store, or kept in it."""
        if not self.cache.is_open():  # By now the cookies of all waves before this one count.
            return {}
        self.cache.identities.enter_wave()
        candidates = {}
        for place, request in self.requests.items():
            assert request.route is not None
            manners, wish = manners_of(request.route.match.func), self.cache.wish_of(request)
            if manners is None or not (wish.may_read or wish.may_keep):
                continue
            if request.method == "HEAD" and manners.has_own_head:
                continue
            try:
                identity = self.cache.identities.of(request, manners)
            except IndescribableError:
                continue
            candidates[place] = Candidate(request, manners, identity, wish)
        return candidates

    def known_by(self, candidate: Candidate) -> Known | None:
        """The answer to give, if what was found is fresh."""
        found, request = candidate.found, candidate.request
        if found is None or found.is_outdated:
            return None
        ttl = min(found.entry.ttl, self.cache.ttl_for(request))
        before = age_when_kept(found.entry)  # Its ttl has begun when we had it.
        if not candidate.wish.accepts(age=found.age + before, ttl=ttl + before):
            return None
        response = answer_again(request, found, said=f"hit; ttl={int(ttl - found.age)}")
        who = found.entry.who if candidate.identity.is_checked else None
        return Known(response, who=who, runs_checks=candidate.manners.runs_checks or candidate.identity.is_public)

    def givable(self) -> frozenset[int]:
        """The places whose answers can be given as they are: nothing has to run, or to succeed, before."""
        return frozenset(
            place
            for place, candidate in self.candidates.items()
            if candidate.known is not None and not candidate.known.runs_checks and not candidate.request.depends_on
        )

    def may_wait(self, trying: Attempt) -> bool:
        """Whether `prepare` may wait for another process."""
        candidate = self.candidates.get(trying.place)
        return candidate is not None and candidate.known is None and candidate.is_claimed

    def prepare(self, trying: Attempt, *, seconds: float) -> Known | None:
        """The answer of a place, if it is known; else have its view leave a trace.

        May wait for another process, for as many seconds as its view may take. Raises AttemptOver after that.
        """
        candidate = self.candidates.get(trying.place)
        if candidate is None or self.is_closed:
            return None
        trying.footprint = Footprint(tells_who=candidate.identity.is_checked)
        if self.may_wait(trying) and candidate.wish.may_read:
            assert self.snapshot is not None
            candidate.token = take_claim(
                self.cache.store,
                candidate.identity.key,
                trying,
                seconds=seconds,
                since=self.snapshot.taken_at,
                is_known=partial(self.look_again, candidate),
            )
        return candidate.known

    def look_again(self, candidate: Candidate) -> bool:
        """Whether the answer is known by now."""
        _, [candidate.found] = self.cache.store.read([(candidate.identity.key, candidate.identity.text)])
        candidate.known = self.known_by(candidate)
        return candidate.known is not None

    # -- after them

    def settle(self, trying: Attempt, response: SubResponse) -> SubResponse:
        """The answer to give in the end: the view's own, marked; or an old one in place of a failure.

        Notes what is to be kept. Quick: whoever calls it holds the lock of the board.
        """
        candidate = self.candidates.get(trying.place)
        footprint = trying.footprint
        if candidate is None or footprint is None or self.is_closed:
            return response
        if candidate.known is not None and response is candidate.known.response:
            return response
        if response.status >= 500:
            return self.instead_of(response, candidate, trying)
        terms = self.judge(candidate, trying, footprint, response)
        way = "request" if not candidate.wish.may_read else "stale" if candidate.found else "miss"
        if isinstance(terms, str):
            return mark(response, f"fwd={way}" + (f"; detail={terms}" if terms else ""))
        self.entries[candidate.identity.key] = self.entry(candidate, footprint, response, terms)
        return mark(response, f"fwd={way}; stored")

    def judge(self, candidate: Candidate, trying: Attempt, footprint: Footprint, response: SubResponse) -> Terms | str:
        """How an answer may be kept, or the word for why not."""
        caching, policy = self.cache.caching, candidate.request.policy
        if candidate.request.method != "GET" or response.status != 200:
            return ""
        if trying.has_effects or response.cookies or not self.cache.is_open():
            return "wrote"
        if not candidate.wish.may_keep:
            return "request"
        if response.is_streamed:
            return "stream"
        if len(response.body) > caching.CACHE_MAX_BODY:
            return "large"
        if candidate.identity.is_checked and not footprint.who:
            return "user"
        if not policy.cache and (objection := footprint.objection()):
            return objection
        if candidate.identity.is_public and footprint.has_touched_session:  # It says the same to all, and does not.
            return "session"
        store = self.cache.store
        if not all(map(store.covers, footprint.aliases)) or not (footprint.aliases or store.is_shared):
            return "database"
        is_public = candidate.identity.is_public

        def is_seen(header: str) -> bool:
            if is_public and header == "cookie":  # It may only be there because somebody looked up who is asking.
                return not footprint.varies_by_cookie
            return self.cache.identities.is_seen(header, is_public=is_public)

        stale = 0.0 if policy.stale is False else caching.STALE_IF_ERROR
        return read_terms(response.headers, ttl=self.cache.ttl_for(candidate.request), stale=stale, is_seen=is_seen)

    def entry(self, candidate: Candidate, footprint: Footprint, response: SubResponse, terms: Terms) -> Entry:
        """An answer with all that it was made from, as far as that was known before its view ran."""
        assert self.snapshot is not None
        route, user = candidate.request.route_name, footprint.user or candidate.identity.user
        tags = [route_tag(route), user_tag(user), *map(alias_tag, footprint.aliases)]
        return Entry(
            epoch=self.snapshot.epoch,
            generations=self.snapshot.generations_of([*tags, *map(table_tag, footprint.tables)]),
            stored=self.snapshot.clock(),
            identity=candidate.identity.text,
            who=footprint.who,
            status=response.status,
            headers=response.headers,
            body=response.body,
            is_json=response.is_json,
            ttl=terms.ttl,
            stale=terms.stale,
            route=route,
            user=user,
        )

    def instead_of(self, response: SubResponse, candidate: Candidate, trying: Attempt) -> SubResponse:
        """An answer that is too old, but not outdated, in place of a failure; marked (RFC 5861, section 4).

        Only for somebody who has passed the checks of the view, where those run on every hit; and where rows have been
        written since: they may have been those that let them in.
        """
        found, policy, footprint = candidate.found, candidate.request.policy, trying.footprint
        if found is None or footprint is None or not candidate.may_be_stale or trying.has_effects:
            return response
        manners = candidate.manners
        has_to_pass = manners.runs_checks or candidate.identity.is_public or (found.is_outdated and manners.has_checks)
        is_same = not candidate.identity.is_checked or found.entry.who == footprint.who
        is_current = not found.is_outdated or policy.stale == "outdated"
        is_young = found.age <= found.entry.ttl + found.entry.stale
        if not (is_current and is_young and is_same and (footprint.has_passed or not has_to_pass)):
            return response
        left = floor(found.entry.ttl - found.age)  # Below 0 for one that is too old (RFC 9211, section 2.6).
        return answer_again(
            candidate.request, found, said=f"fwd=stale; fwd-status={response.status}; ttl={left}; detail=stale-if-error"
        )

    def finish(self, place: int) -> None:
        """A place is answered: let those go on who wait for it in other processes."""
        candidate = self.candidates.get(place)
        if candidate is None or candidate.token is None:
            return
        key, token, candidate.token = candidate.identity.key, candidate.token, None
        if entry := self.entries.pop(key, None):
            self.cache.store.write({key: entry})
        self.cache.store.release(key, token)

    def close(self) -> None:
        """Somebody wrote, or set a cookie: nothing of this wave is given or kept any more."""
        self.is_closed = True
        self.entries.clear()

    def write(self) -> None:
        """The wave is over: keep its answers."""
        entries, self.entries = self.entries, {}
        if entries:
            self.cache.store.write(entries)


NOTHING = Recollection(cast(Cache, None), {})  # where nothing is kept; it never asks its cache


def is_askable(node: Node) -> bool:
    """Whether a node is a GET or HEAD that a kept answer may do for, as far as one knows before it is filled in."""
    if node.is_group:
        return False
    request = node.members[0]
    is_plain = request.method in ("GET", "HEAD") and request.route is not None and not request.bindings
    return is_plain and request.policy.cache is not False and not any(name in request.headers for name in ORIGIN_ONLY)
