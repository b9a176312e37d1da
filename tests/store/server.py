"""A real Redis of one test's own, which can be killed, hung, and started again on the same port."""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import redis
from django.core.cache.backends.redis import RedisCache

from batchapi.store.chosen import pool_of
from batchapi.store.shared import RedisStore
from tests.servers import answers_ping, find_redis, free_port, running

PATIENCE = 20.0  # Seconds; a loaded machine takes its time.


class Server:
    """Started and stopped by hand. `admin` is a client for whoever does the harm."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.stack = ExitStack()
        self.pid = 0

    def start(self, *options: str) -> None:
        command = [str(find_redis()), "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        command += ["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0", *options]
        self.stack.enter_context(running(command, is_ready=partial(answers_ping, self.port), folder=self.folder))
        with self.admin() as admin:
            eventually(lambda: admin.info("persistence")["loading"] == 0)
            self.pid = admin.info("server")["process_id"]

    @contextmanager
    def admin(self) -> Iterator[redis.Redis]:
        with redis.Redis(port=self.port, protocol=2, client_name="admin") as client:
            yield client

    def ask(self, *command: Any) -> Any:
        with self.admin() as admin:
            return admin.execute_command(*command)

    def info(self, section: str) -> dict[str, Any]:
        with self.admin() as admin:
            told: dict[str, Any] = admin.info(section)
        return told

    def kill(self) -> None:
        """As the kernel would when memory runs out."""
        os.kill(self.pid, signal.SIGKILL)
        self.stack.close()

    @contextmanager
    def hung(self) -> Iterator[None]:
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def cut_off(self) -> None:
        """End every connection but the one that asks for it."""
        self.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


@contextmanager
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="batchapi-redis-") as folder:
        one = Server(Path(folder))
        try:
            one.start()
            yield one
        finally:
            with suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGCONT)
            one.stack.close()


def eventually(is_so: Callable[[], object]) -> None:
    """Wait until something is so, or fail."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.005)


def cache_at(url: str, **options: Any) -> RedisCache:
    return RedisCache(url, {"KEY_PREFIX": "project", **options})


def store_at(url: str, *, window: float = 0.05, timeout: float = 1.0, **options: Any) -> RedisStore:
    """A store as a process of its own would have it, but patient: a machine under load is no outage."""
    cache = cache_at(url, **options)
    pool = pool_of(cache)
    assert pool is not None
    return RedisStore(cache, pool, window=window, timeout=timeout)
