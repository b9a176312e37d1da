"""What can happen to a Redis, or on the way to it; each lasts as long as its block."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.cache.machine.outages import full, killed, read_only
from tests.faults.again import again_and_again
from tests.faults.stage import Stage

Fault = Callable[[Stage], AbstractContextManager[object]]


@contextmanager
def paused(stage: Stage) -> Iterator[None]:
    """It takes everything and answers nobody."""
    stage.redis.ask("CLIENT", "PAUSE", 600_000, "WRITE")
    try:
        yield
    finally:
        stage.redis.ask("CLIENT", "UNPAUSE")


@contextmanager
def locked(stage: Stage) -> Iterator[None]:
    """It asks for a password from now on, also those who are in."""
    with stage.redis.admin() as admin:
        admin.config_set("requirepass", "secret")
        admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        try:
            yield
        finally:
            admin.config_set("requirepass", "")


@contextmanager
def slow(stage: Stage) -> Iterator[None]:
    """Each way takes longer than an answer may."""
    stage.redis_relay.delay = 0.08
    try:
        yield
    finally:
        stage.redis_relay.delay = 0.0


@contextmanager
def unreachable(stage: Stage) -> Iterator[None]:
    """Connections end, and new ones end at once."""
    stage.redis_relay.is_cut = True
    stage.redis_relay.cut()
    try:
        yield
    finally:
        stage.redis_relay.is_cut = False


DIRECT: dict[str, Fault] = {
    "Redis killed": lambda stage: killed(stage.redis),
    "Redis stopped (SIGSTOP)": lambda stage: stage.redis.hung(),
    "Redis paused": paused,
    "Redis drops its clients": lambda stage: again_and_again(stage.redis.cut_off, every=0.05),
    "Redis full": lambda stage: full(stage.redis),
    "Redis read-only": lambda stage: read_only(stage.redis),
    "Redis wants a password": locked,
}
RELAYED: dict[str, Fault] = {
    "Redis slow": slow,
    "Redis out of reach": unreachable,
    "Redis connections cut": lambda stage: again_and_again(stage.redis_relay.cut, every=0.05),
}
