"""A DRF view class and its twin: the same view, whose look-ups are remembered and whose throttles wait their turn."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from batchapi.batch import Handler, SubRequest, SubResponse
from batchapi.execute import attempt, credentials, gate, memory, turns


class Twin:
    """Mixed into a view class, in front of it."""

    def get_authenticators(self) -> list[BaseAuthentication]:
        """The view's own fresh authenticators, with the batch's memory."""
        authenticators: list[BaseAuthentication] = super().get_authenticators()  # type: ignore[misc]
        return credentials.remember(authenticators)

    def check_throttles(self, request: Request) -> None:
        """The view's own checks, in turn."""
        check = partial(super().check_throttles, request)  # type: ignore[misc]
        turn = turns.current.get()
        if turn is None:
            check()
        else:
            turn.take(check)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """All that the view does before its handler. Whoever gets a copy of an answer gets no further."""
        super().initial(request, *args, **kwargs)  # type: ignore[misc]
        if remembered := memory.current.get():
            remembered.note_user(getattr(request, "_user", None))
        gate.stop_if_answered(getattr(request, "_user", None), getattr(request, "_auth", None))


@lru_cache(maxsize=4096)
def twin_of(view: Any) -> Any:
    """The same view with a twin of its class, if DRF's own `as_view` made it; else the view itself.

    `login_required(V.as_view())` has a `cls` too, and building from that would drop the decorator.
    """
    if not is_plain(view):
        return view
    view_class: Any = view.cls
    # DRF shows the name and the docstring of a view: in the answer to OPTIONS, and on the browsable page.
    names = {name: getattr(view_class, name) for name in ("__module__", "__qualname__", "__doc__")}
    twin_class = type(view_class)(view_class.__name__, (Twin, view_class), names)
    initkwargs = view.initkwargs
    actions = getattr(view, "actions", None)
    twin: Callable[..., Any] = (
        twin_class.as_view(actions, **initkwargs) if actions else twin_class.as_view(**initkwargs)
    )
    for name, value in vars(view).items():
        vars(twin).setdefault(name, value)
    return twin


@lru_cache(maxsize=4096)
def is_plain(view: Any) -> bool:
    """Whether a callback is exactly what `as_view` of APIView or ViewSet returns, and its class may be subclassed."""
    if layers(view) not in (layers(APIView.as_view()), layers(ViewSet.as_view({"get": "list"}))):
        return False
    if type(view.cls) is not type:  # A metaclass may count or refuse subclasses.
        return False
    return not any("__init_subclass__" in vars(parent) for parent in view.cls.__mro__[:-1])


@lru_cache(maxsize=4096)
def may_throttle(view: Any) -> bool:
    """Whether a view may refuse a caller who asks too often, by DRF's means."""
    view_class = getattr(view, "cls", None)
    if not (isinstance(view_class, type) and issubclass(view_class, APIView)):
        return False
    is_untouched = all(
        getattr(view_class, name) is getattr(APIView, name) for name in ("get_throttles", "check_throttles")
    )
    given = getattr(view, "initkwargs", {}).get("throttle_classes", view_class.throttle_classes)
    return bool(given) or not is_untouched


class InTurn:
    """Has a view that may throttle, and cannot be looked into, run in turn as a whole."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: SubRequest) -> SubResponse:
        """Raises TooEarly where somebody in front is not done."""
        turn = turns.current.get()
        if turn is not None and request.route is not None:
            view = request.route.match.func
            turn.begin()
            if not is_plain(view):
                attempt.this().need_turn()  # Run twice, it would count twice.
        return self.get_response(request)


def layers(view: Callable[..., Any] | None) -> list[object]:
    """The code of a function and of all that it wraps."""
    codes = []
    while view is not None:
        codes.append(getattr(view, "__code__", view))
        view = getattr(view, "__wrapped__", None)
    return codes
