"""Views that take too long in every way that a view can, and batches of them.

What a view does stands in its URL: `/api/do/atomic,write-a,hold/` opens a transaction, writes a row and waits until the
test lets it go.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from threading import Event, Thread
from time import monotonic
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.http import StreamingHttpResponse
from django.test import Client, override_settings
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from batchapi import batch_policy
from batchapi.execute.abandoned import abandoned
from chat.models import Session
from tests.execute.groups import Open
from tests.factories import UserFactory
from tests.rerun import IS_RERUN

LIMIT = 0.3  # seconds that a view gets that is to come too late
QUICKLY = 0.1  # seconds that the view of the same name gives itself
PATIENCE = 20.0  # seconds that a test waits for what must come
HAPPENED: list[str] = []  # what the views came to, in order

IS_POSTGRESQL = connection.vendor == "postgresql"
IS_IN_MEMORY = not IS_POSTGRESQL and not IS_RERUN
COUNT = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000000)"
SLOW = "SELECT pg_sleep(30)" if IS_POSTGRESQL else f"{COUNT} SELECT count(*) FROM n"
SLOW_ROW = (  # the second one
    "SELECT pg_sleep(CASE i WHEN 1 THEN 0 ELSE 30 END) FROM generate_series(1, 2) i"
    if IS_POSTGRESQL
    else f"{COUNT} SELECT i FROM n WHERE i = 1 OR i > 199999999"
)


class Hold:
    """Where a view waits until the test lets it go."""

    def __init__(self) -> None:
        self.is_entered, self.is_released = Event(), Event()

    def wait(self) -> None:
        self.is_entered.set()
        assert self.is_released.wait(3 * PATIENCE)


HOLDS: defaultdict[str, Hold] = defaultdict(Hold)


def let_go() -> None:
    """Let all views that wait go on, and wait for their threads."""
    for hold in [*HOLDS.values()]:
        hold.is_released.set()
    wait_until(lambda: not abandoned)
    HOLDS.clear()


def wait_until(is_so: Callable[[], bool]) -> None:
    ends_at, pause = monotonic() + PATIENCE, Event()
    while not is_so():
        assert monotonic() < ends_at, "it never came"
        pause.wait(0.01)


def in_background(work: Callable[[], Any]) -> Thread:
    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = Thread(target=run)
    thread.start()
    return thread


# -- what a view can do


def run_query(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def fetch_slowly() -> None:
    """The query is quick, its second row is not."""
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(SLOW_ROW)
        cursor.fetchone()
        cursor.fetchone()


def crash() -> None:
    raise RuntimeError("boom")


def end_process() -> None:
    raise SystemExit(3)


def write(key: str) -> None:
    Session.objects.create(owner=User.objects.earliest("pk"), key=key)


def raw_write(key: str) -> None:
    owner = User.objects.values_list("pk", flat=True).earliest("pk")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO chat_session (owner_id, key, title, created_at, updated_at)"
            " VALUES (%s, %s, '', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)",
            [owner, key],
        )


STEPS: dict[str, Callable[..., Any]] = {
    "atomic": transaction.atomic,
    "durable": lambda: transaction.atomic(durable=True),
    "manual": lambda: transaction.set_autocommit(False),
    "auto": lambda: transaction.set_autocommit(True),
    "commit": transaction.commit,
    "close": lambda: connection.close(),
    "write": write,
    "raw": raw_write,
    "read": lambda: Session.objects.count(),
    "slow": lambda: run_query(SLOW),
    "fetch": fetch_slowly,
    "pid": lambda: run_query("SELECT pg_backend_pid()") if IS_POSTGRESQL else id(connection.connection),
    "hold": lambda key="": HOLDS[key].wait(),
    "nap": lambda seconds: Event().wait(float(seconds)),
    "hook": lambda name: transaction.on_commit(lambda: HAPPENED.append(f"hook {name}")),
    "slow-hook": lambda: transaction.on_commit(lambda: run_query(SLOW)),
    "hold-hook": lambda: transaction.on_commit(HOLDS["hook"].wait),
    "twice": lambda: [write("twice"), write("twice")],
    "crash": crash,
    "exit": end_process,
}


class Do(Open):
    """Does what the URL says, step by step; after "stubborn", whatever the steps raise."""

    def get(self, request: Request, steps: str) -> Any:
        told: list[Any] = []
        self.request_of_django = request._request
        HAPPENED.append(f"called {steps}")
        with ExitStack() as blocks:
            is_stubborn = False
            for step in steps.split(","):
                name, _, argument = step.partition(":")
                is_stubborn |= name == "stubborn"
                try:
                    done = self.do(name, argument)
                    told.append(blocks.enter_context(done) if name in ("atomic", "durable") else done)
                except BaseException as error:  # As badly as a view can.
                    HAPPENED.append(f"{step} raised {type(error).__name__}")
                    if not is_stubborn:
                        raise
        HAPPENED.append(f"done {steps}")
        return self.answer(told)

    post = get

    def do(self, name: str, argument: str) -> Any:
        if name == "session":
            self.request_of_django.session["mark"] = argument
        if name in ("cookie", "stream", "session", "stubborn"):
            return vars(self).setdefault(name, argument)
        return STEPS[name](*[argument] if argument else [])

    def answer(self, told: list[Any]) -> Any:
        if "stream" in vars(self):
            response: Any = StreamingHttpResponse(self.lines(), content_type="text/plain")
        else:
            response = Response({"told": [each for each in told if isinstance(each, (int, str))]})
        if "cookie" in vars(self):
            response.set_cookie("mark", vars(self)["cookie"])
        return response

    def lines(self) -> Iterator[str]:
        yield "one"
        STEPS[vars(self)["stream"]]()


@batch_policy(timeout=QUICKLY)
class DoQuickly(Do):
    """The view's own word on how long it may take."""


class FreeForAll(BaseThrottle):
    """Lets everybody through, one after the other."""

    def allow_request(self, request: Request, view: Any) -> bool:
        return True


class DoInTurn(Do):
    """One that may throttle."""

    throttle_classes = (FreeForAll,)


class Marks(Open):
    """What a client would have of earlier answers."""

    def get(self, request: Request) -> Response:
        return Response({"cookie": request.COOKIES.get("mark"), "session": request.session.get("mark")})


urlpatterns = [
    path("api/do/<str:steps>/", Do.as_view()),
    path("api/quickly/<str:steps>/", DoQuickly.as_view()),
    path("api/in-turn/<str:steps>/", DoInTurn.as_view()),
    path("api/marks/", Marks.as_view()),
    path("api/batch/", include("batchapi.urls")),
]


# -- batches of them


class Told(NamedTuple):
    status: int
    code: str | None = None
    fact: Any = None  # the outcome of what was late, else whether it was executed


LATE, NO_LANE = Told(504, "timed_out", "none"), Told(503, "no_lane", False)


class Answers(list[Told]):
    """The records of a batch, and how long it took."""

    records: list[dict[str, Any]]
    seconds: float


def read_record(record: dict[str, Any]) -> Told:
    body = record["body"] if isinstance(record["body"], dict) else {}
    return Told(record["status"], body.get("code"), body.get("outcome", body.get("executed")))


def do(steps: str, method: str = "POST", **more: Any) -> dict[str, Any]:
    return {"method": method, "url": f"/api/do/{steps}/", **more}


def group(*steps: str) -> list[dict[str, Any]]:
    """All or nothing."""
    return [do(each, id=str(place), atomicityGroup="g") for place, each in enumerate(steps)]


def late(steps: str, method: str = "POST", **more: Any) -> dict[str, Any]:
    """One that has little time."""
    return do(steps, method, timeout=LIMIT, **more)


def ask(*requests: dict[str, Any], client: Client | None = None, ordering: str = "serial", **limits: Any) -> Answers:
    """Post a batch; there is always a user that owns what is written."""
    if not User.objects.exists():
        UserFactory(username="owner")
    client = client or Client(raise_request_exception=False)
    begun = monotonic()
    with override_settings(BATCHAPI={**settings.BATCHAPI, "DEADLINE": PATIENCE, **limits}):
        payload = json.dumps({"requests": requests, "ordering": ordering})
        response = client.post("/api/batch/", payload, content_type="application/json")
    assert response.status_code == 200, response.content
    found = response.json()["responses"]
    answers = Answers(map(read_record, found))
    answers.records, answers.seconds = found, monotonic() - begun
    return answers


def hooks() -> list[str]:
    """Those that ran after a commit."""
    return [line for line in HAPPENED if line.startswith("hook")]


def kept() -> set[str]:
    return set(Session.objects.values_list("key", flat=True))


def logged_in(name: str) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.filter(username=name).first() or UserFactory(username=name))
    return client
