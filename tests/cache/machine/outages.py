"""Every way in which a Redis is lost for a while."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.store.server import Server

DEAD_HOST = "127.0.0.1"


@contextmanager
def killed(server: Server) -> Iterator[None]:
    """Started again it has nothing."""
    server.kill()
    try:
        yield
    finally:
        server.start()


@contextmanager
def read_only(server: Server) -> Iterator[None]:
    """It gives what it has and takes nothing."""
    server.ask("REPLICAOF", DEAD_HOST, 1)
    try:
        yield
    finally:
        server.ask("REPLICAOF", "NO", "ONE")


@contextmanager
def full(server: Server) -> Iterator[None]:
    """It takes no more."""
    server.ask("CONFIG", "SET", "maxmemory", "1")
    try:
        yield
    finally:
        server.ask("CONFIG", "SET", "maxmemory", "0")


OUTAGES: dict[str, Callable[[Server], AbstractContextManager[None]]] = {
    "killed": killed,
    "hung": Server.hung,
    "read-only": read_only,
    "full": full,
}
GENERATIONS = "*generations"


def evict_generations(server: Server) -> None:
    """What Redis may do where memory is short."""
    with server.admin() as admin:
        for key in admin.keys(GENERATIONS):
            admin.delete(key)


def flush(server: Server) -> None:
    server.ask("FLUSHALL")


LOSSES: dict[str, Callable[[Server], None]] = {"flushed": flush, "evicted": evict_generations}
