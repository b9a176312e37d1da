"""What can happen to a PostgreSQL, or on the way to it; each lasts as long as its block."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial

import psycopg

from tests.faults.again import again_and_again
from tests.faults.redis_faults import Fault
from tests.faults.stage import DATABASE, Stage
from tests.serving.server import Server
from tests.store.server import eventually

LOCK = (
    "SELECT 1 FROM chat_session s JOIN auth_user u ON u.id = s.owner_id"
    " WHERE username = 'caller-0' AND key = %s FOR UPDATE OF s"
)


@contextmanager
def killed(stage: Stage) -> Iterator[None]:
    """All of its processes at once; started again it has what was committed."""
    stage.postgres.kill()
    try:
        yield
    finally:
        stage.postgres.start()


@contextmanager
def deadlocked(stage: Stage) -> Iterator[None]:
    """Somebody locks the sessions of a caller in the order opposite to that of atomic groups, and waits longer."""
    before = deadlocks(stage)
    with psycopg.connect(stage.postgres.url(DATABASE), options="-c deadlock_timeout=60s") as connection:

        def lock_the_other_way() -> None:
            for key in ("attic", "home"):
                connection.execute(LOCK, [key])
                time.sleep(0.05)
            connection.rollback()

        with again_and_again(lock_the_other_way, every=0.05):
            yield
    eventually(lambda: deadlocks(stage) > before)


def deadlocks(stage: Stage) -> int:
    """How many there have been."""
    [(count,)] = stage.postgres.ask("SELECT deadlocks FROM pg_stat_database WHERE datname = %s", DATABASE)
    return int(count)


@contextmanager
def serializable(stage: Stage) -> Iterator[None]:
    """Transactions that meet on a row fail, all but one."""
    stage.postgres.ask(f"ALTER DATABASE {DATABASE} SET default_transaction_isolation TO serializable")
    stage.postgres.terminate(DATABASE)
    try:
        yield
    finally:
        stage.postgres.ask(f"ALTER DATABASE {DATABASE} RESET default_transaction_isolation")
        stage.postgres.terminate(DATABASE)


@contextmanager
def taken(stage: Stage) -> Iterator[None]:
    """Others have all connections that there are, and those of batches end."""
    with ExitStack() as others:
        stage.postgres.terminate(DATABASE)
        with suppress(psycopg.OperationalError):
            while True:
                others.enter_context(closing(psycopg.connect(stage.postgres.url())))
        yield


@contextmanager
def slow(stage: Stage) -> Iterator[None]:
    """Each statement takes 60 ms on its way."""
    stage.postgres_relay.delay = 0.03
    try:
        yield
    finally:
        stage.postgres_relay.delay = 0.0


@contextmanager
def stalled(stage: Stage) -> Iterator[None]:
    """Connections stay open, and nothing comes through any more."""
    stage.postgres_relay.flows.clear()
    try:
        yield
    finally:
        stage.postgres_relay.flows.set()


@contextmanager
def unreachable(stage: Stage) -> Iterator[None]:
    """Connections end, and new ones end at once."""
    stage.postgres_relay.is_cut = True
    stage.postgres_relay.cut()
    try:
        yield
    finally:
        stage.postgres_relay.is_cut = False


@contextmanager
def lost_answers(stage: Stage) -> Iterator[None]:
    """It does as it is told, and its answers to COMMIT do not come back."""
    stage.postgres_relay.cut_at = b"COMMIT"
    try:
        yield
    finally:
        stage.postgres_relay.cut_at = None


def exhausting(server: Server) -> Fault:
    """Other callers have slow queries on all connections of the pool."""
    queries = [{"url": f"/api/query/150/?n={n}"} for n in range(12)]

    @contextmanager
    def exhausted(_stage: Stage) -> Iterator[None]:
        with ExitStack() as others:
            for caller in ("caller-2", "caller-3", "caller-4"):
                others.enter_context(again_and_again(partial(server.post, *queries, token=caller)))
            yield

    return exhausted


DIRECT: dict[str, Fault] = {
    "PostgreSQL killed": killed,
    "PostgreSQL connections terminated": lambda stage: again_and_again(
        lambda: stage.postgres.terminate(DATABASE), every=0.1
    ),
    "Deadlocks": deadlocked,
    "Serialization failures": serializable,
    "PostgreSQL connections all taken": taken,
}
RELAYED: dict[str, Fault] = {
    "PostgreSQL slow": slow,
    "PostgreSQL stands still": stalled,
    "PostgreSQL out of reach": unreachable,
    "PostgreSQL connections cut": lambda stage: again_and_again(stage.postgres_relay.cut, every=0.1),
    "Answers to COMMIT lost": lost_answers,
}
