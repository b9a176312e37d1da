"""What a view may say about itself, and how it is read from a resolved view. Imports no Django.

    @batch_policy(priority="critical", changes_identity=True)
    class LoginView(APIView): ...

    @batchable          # a plain Django view (or an async one) that may be called in a batch
    def version(request): ...

    @batch_exempt       # a DRF view that must not
    class ExportView(APIView): ...

The decorators go on a view class, on a view function (above or below `@api_view`), on a handler method or an action.
What a method says goes before what its class says.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])

ATTRIBUTE = "_batch_policy"
API_VIEW_HANDLER = "api_view.<locals>.decorator.<locals>.handler"
PRIORITIES = ("critical", "high", "normal", "low", "background")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A view's word on how it is batched. None means that the view says nothing."""

    batchable: bool | None = None  # True opens a plain Django view, False closes a DRF view
    priority: str | None = None  # one of PRIORITIES
    changes_identity: bool | None = None  # login, logout: nothing is moved past it
    timeout: float | None = None  # seconds that one attempt may take; never more than TIMEOUT
    dedupe: bool | None = None  # False: each of several equal sub-requests runs, as where a GET counts its calls
    cache: bool | str | None = None  # False: never kept. True: also where it is not known which tables it was read from
    # A name: as True, and what several ask for at the same time is computed once, for all processes.
    ttl: int | None = None  # seconds that an answer is fresh, in place of CACHE_TTL
    public: bool | None = None  # True: the answer is the same for everybody whom the view's permissions let in
    stale: bool | str | None = None  # False: no old answer in place of a failure. "outdated": one of old rows as well
    retry: bool | tuple[type[Exception], ...] | None = None  # False: never again. Exceptions: they pass as well
    circuit: bool | None = None  # False: it is called however often it fails

    def over(self, other: "Policy") -> "Policy":
        """This policy, with what it leaves open taken from another."""
        said = {f.name: v for f in fields(self) if (v := getattr(self, f.name)) is not None}
        return replace(other, **said)


def batch_policy(
    *,
    batchable: bool | None = None,
    priority: str | None = None,
    changes_identity: bool | None = None,
    timeout: float | None = None,
    dedupe: bool | None = None,
    cache: bool | str | None = None,
    ttl: int | None = None,
    public: bool | None = None,
    stale: bool | str | None = None,
    retry: bool | tuple[type[Exception], ...] | None = None,
    circuit: bool | None = None,
) -> Callable[[View], View]:
    """Say how a view is batched; `Policy` tells what each word means.

    Raises ValueError for a priority that does not exist, for seconds that are no number above 0, and for a word of
    `cache` or `stale` that means nothing.
    """
    if priority is not None and priority not in PRIORITIES:
        raise ValueError(f"{priority!r} is not a priority; use one of {', '.join(PRIORITIES)}.")
    if timeout is not None and not timeout > 0:
        raise ValueError(f"A timeout is a number of seconds above 0, not {timeout!r}.")
    if ttl is not None and not (isinstance(ttl, int) and ttl > 0):
        raise ValueError(f"A ttl is a whole number of seconds above 0, not {ttl!r}; cache=False keeps nothing.")
    if cache is not None and not isinstance(cache, bool) and not (isinstance(cache, str) and cache):
        raise ValueError(f"cache is True, False or a name, not {cache!r}.")
    if stale not in (None, True, False, "outdated"):
        raise ValueError(f'stale is True, False or "outdated", not {stale!r}.')
    if retry not in (None, True, False) and not are_exceptions(retry):
        raise ValueError(f"retry is True, False or a tuple of exception classes, not {retry!r}.")
    policy = Policy(
        batchable=batchable,
        priority=priority,
        changes_identity=changes_identity,
        timeout=timeout,
        dedupe=dedupe,
        cache=cache,
        ttl=ttl,
        public=public,
        stale=stale,
        retry=retry,
        circuit=circuit,
    )

    def decorate(view: View) -> View:
        setattr(view, ATTRIBUTE, policy.over(getattr(view, ATTRIBUTE, Policy())))
        return view

    return decorate


def are_exceptions(value: object) -> bool:
    """Whether a value is what `except` takes: a tuple of exception classes."""
    return isinstance(value, tuple) and all(isinstance(kind, type) and issubclass(kind, Exception) for kind in value)


def batchable(view: View) -> View:
    """Let a plain Django view be called in a batch. CSRF and login-required middleware guard it there too."""
    return batch_policy(batchable=True)(view)


def batch_exempt(view: View) -> View:
    """Never call this view in a batch."""
    return batch_policy(batchable=False)(view)


@lru_cache(maxsize=4096)  # Every URL of a batch asks, and a view does not change its mind.
def read_policy(callback: Callable[..., Any], method: str) -> Policy:
    """What a resolved view says of itself for one method: its handler, then the callback, then its class."""
    view_class = getattr(callback, "cls", None) or getattr(callback, "view_class", None)
    name = getattr(callback, "actions", {}).get(method.lower(), method.lower())
    handler = getattr(view_class, name, None)
    if handler is None and method == "HEAD":  # Django and DRF answer it with `get`, which speaks for it then.
        return read_policy(callback, "GET")
    policy = Policy()
    for speaker in (view_class, callback, *behind(handler), handler):
        policy = getattr(speaker, ATTRIBUTE, Policy()).over(policy)
    return policy


def behind(handler: Any) -> tuple[Any, ...]:
    """The function that `@api_view` was put on. DRF keeps it in a closure and copies no attribute of ours from it."""
    if getattr(handler, "__qualname__", "") != API_VIEW_HANDLER:
        return ()
    return tuple(cell.cell_contents for cell in handler.__closure__ or ())
