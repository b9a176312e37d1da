"""What a child that was forked has of its parent's store, and what a process does at its end. Real processes."""

import json
from pathlib import Path

import pytest

from tests.project.processes import python
from tests.store.conftest import Open
from tests.store.entries import is_fresh, keep
from tests.store.server import Server, eventually

BEGIN = """
import json, os, signal, sqlite3, sys, threading, time
import django; django.setup()
from tests.store.entries import is_fresh, keep, look, snapshot_of
from tests.store.server import eventually, store_at

def in_child(work):
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if work() else 3
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

told = {}
"""
END = "\nprint(json.dumps(told))"


def run(code: str, **environment: str) -> dict[str, object]:
    """The module's Python, in a process of its own; what it told."""
    forks = "ignore:This process:DeprecationWarning"  # Python 3.12 warns of what is under test here.
    done = python("-W", "error", "-W", forks, "-c", BEGIN + code + END, **environment)
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_a_child_has_connections_of_its_own(lone_server: Server) -> None:
    """Also where the parent forks while other threads of it hold connections and locks."""
    told = run(f"""
store = store_at("{lone_server.url}")
keep(store)
stop = threading.Event()
def go_on():
    while not stop.is_set():
        store.read([("k", "x")]); store.move(["t:other"])
threads = [threading.Thread(target=go_on) for _ in range(4)]
for thread in threads: thread.start()
told["children"] = [in_child(lambda: is_fresh(store) and store.move(["t:another"])) for _ in range(20)]
stop.set()
for thread in threads: thread.join()
told["parent"] = is_fresh(store)
told["away"] = store.is_away
told["outages"] = store.link.outage.number
""")
    assert told == {"children": [0] * 20, "parent": True, "away": False, "outages": 0}


def test_a_child_of_one_that_is_away_begins_away_and_comes_back(lone_server: Server) -> None:
    """What the parent lost the child must not serve. It has no healer but its own."""
    told = run(f"""
store = store_at("{lone_server.url}", window=0.3)
keep(store)
pid = {lone_server.pid}
os.kill(pid, signal.SIGSTOP)
store.move(["t:chat_session"])
def work():
    began_away = store.is_away and look(store) is None
    os.kill(pid, signal.SIGCONT)
    eventually(lambda: not store.is_away)
    return began_away and not is_fresh(store)
told["child"] = in_child(work)
eventually(lambda: not store.is_away)
told["parent"] = is_fresh(store)
""")
    assert told == {"child": 0, "parent": False}


def test_at_its_end_a_process_tells_the_others_what_it_lost(lone_server: Server, open_store: Open) -> None:
    """A command is over long before the next look for the server."""
    other = open_store(lone_server.url)
    keep(other)
    told = run(f"""
store = store_at("{lone_server.url}", window=600)
pid = {lone_server.pid}
os.kill(pid, signal.SIGSTOP)
told["moved"] = store.move(["t:chat_session"])
os.kill(pid, signal.SIGCONT)
""")
    assert told == {"moved": False}
    eventually(lambda: not other.is_away)
    assert not is_fresh(other)


def test_a_process_that_lost_nothing_leaves_the_others_alone(lone_server: Server, open_store: Open) -> None:
    other = open_store(lone_server.url)
    keep(other)
    run(f'store = store_at("{lone_server.url}"); snapshot_of(store); store.move(["t:unknown"])')
    assert is_fresh(other)


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_child_watches_files_by_itself(tmp_path: Path, journal: str) -> None:
    path = tmp_path / "db.sqlite3"
    told = run(
        f"""
from batchapi.store.memory import MemoryStore
from batchapi.store import monitor
tags = ("t:chat_session", "@default")
def write(words):
    connection = sqlite3.connect("{path}", isolation_level=None)
    connection.execute(words)
    connection.close()
write("PRAGMA journal_mode={journal}")
write("CREATE TABLE t (x)")
store = MemoryStore(10)
keep(store, tags)
told["before"] = is_fresh(store)
def work():
    if look(store) is not None or len(monitor.abandoned) != 1:
        return False
    keep(store, tags)
    if not is_fresh(store):
        return False
    write("INSERT INTO t VALUES (1)")
    return not is_fresh(store)
told["child"] = in_child(work)
told["after"] = is_fresh(store)
store.close()
""",
        DATABASE_URL=f"sqlite:///{path}",
    )
    assert told == {"before": True, "child": 0, "after": False}
