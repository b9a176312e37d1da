"""The store in memory: what it keeps was read from SQLite files, and any commit to those, by anybody, outdates it."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connections
from pytest_django import Settings

from batchapi.store.memory import MemoryStore
from batchapi.store.monitor import Monitor
from tests.store.entries import KEY, is_fresh, keep, look, make_entry, snapshot_of

TAGS = ("t:chat_session", "@default")


@pytest.fixture(params=["delete", "wal"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A database file, in both ways that SQLite keeps its journal."""
    return make_file(tmp_path / "a file.sqlite3", request.param)


def make_file(path: Path, journal: str = "delete") -> Path:
    with connected(path) as connection:
        connection.execute(f"PRAGMA journal_mode={journal}")
        connection.execute("CREATE TABLE chat_session (title)")
    return path


class connected:  # noqa: N801  # a context manager that reads as a word
    """A connection that is closed at the end: sqlite3's own `with` only commits."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)

    def __enter__(self) -> sqlite3.Connection:
        return self.connection

    def __exit__(self, *_: object) -> None:
        self.connection.close()


@pytest.fixture
def use() -> Iterator[Callable[[str], None]]:
    """Have `default` lie elsewhere for a test; nobody connects to it here."""
    database = connections["default"].settings_dict
    before = database["NAME"]

    def use_name(name: str) -> None:
        database["NAME"] = name

    yield use_name
    database["NAME"] = before


@pytest.fixture
def store(path: Path, use: Callable[[str], None]) -> Iterator[MemoryStore]:
    use(str(path))
    one = MemoryStore(100)
    snapshot_of(one)
    yield one
    one.close()


def write(path: Path) -> None:
    with connected(path) as connection:
        connection.execute("INSERT INTO chat_session VALUES ('x')")


def test_what_was_kept_comes_back(store: MemoryStore) -> None:
    entry = keep(store, TAGS, body=b"\x00\n")
    found = look(store)
    assert found is not None
    assert found.entry == entry
    assert found.is_fresh
    assert not store.is_shared


def test_a_commit_in_this_process_outdates_it(store: MemoryStore, path: Path) -> None:
    keep(store, TAGS)
    write(path)
    assert not is_fresh(store)
    keep(store, TAGS)
    assert is_fresh(store)


def test_a_commit_in_another_process_outdates_it(store: MemoryStore, path: Path) -> None:
    keep(store, TAGS)
    insert = (
        f"c = sqlite3.connect({str(path)!r}); c.execute('INSERT INTO chat_session VALUES (1)'); c.commit(); c.close()"
    )
    subprocess.run([sys.executable, "-c", f"import sqlite3; {insert}"], check=True)
    assert not is_fresh(store)


def test_a_commit_while_the_view_ran_outdates_it(store: MemoryStore, path: Path) -> None:
    before = snapshot_of(store)
    write(path)
    store.write({KEY[0]: make_entry(before, TAGS)})
    assert not is_fresh(store)


def test_what_is_rolled_back_outdates_nothing(store: MemoryStore, path: Path) -> None:
    keep(store, TAGS)
    with connected(path) as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO chat_session VALUES ('x')")
        connection.execute("ROLLBACK")
    assert is_fresh(store)


def test_moves_and_new_epochs_outdate_too(store: MemoryStore) -> None:
    keep(store, TAGS)
    assert store.move(["t:auth_user"])
    assert is_fresh(store)
    assert store.move(["t:chat_session"])
    assert not is_fresh(store)
    for outdate in (store.renew, lambda: store.move(["*"])):
        entry = keep(store, TAGS)
        assert outdate()
        store.write({KEY[0]: entry})
        assert not is_fresh(store)


# -- a file that cannot be asked


def test_a_writer_that_locks_the_file_holds_nobody_up(store: MemoryStore, path: Path) -> None:
    """Where a reader would have to wait, nothing is fresh; with a write-ahead log nobody has to wait."""
    keep(store, TAGS)
    with connected(path) as connection:
        is_wal = connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.execute("BEGIN EXCLUSIVE")
        started = time.monotonic()
        answers = [is_fresh(store) for _ in range(20)]
        assert time.monotonic() - started < 1.0
        assert answers == [is_wal] * 20
        if not is_wal:
            keep(store, TAGS, key="unseen")
        connection.execute("ROLLBACK")
    assert not is_fresh(store, ("unseen", KEY[1])), "kept under a version that nobody could read"


def test_a_file_that_was_replaced_outdates_everything(store: MemoryStore, path: Path, tmp_path: Path) -> None:
    keep(store, TAGS)
    os.replace(make_file(tmp_path / "new.sqlite3"), path)
    assert not is_fresh(store)
    assert not is_fresh(store)
    keep(store, TAGS)
    assert is_fresh(store)
    write(path)
    assert not is_fresh(store)


def test_a_file_that_is_gone_makes_nothing_fresh(store: MemoryStore, path: Path) -> None:
    keep(store, TAGS)
    path.unlink()
    for _ in range(3):
        assert not is_fresh(store)
        keep(store, TAGS)
    assert not path.exists(), "to look at a file must not make it"
    make_file(path)
    snapshot_of(store)
    keep(store, TAGS)
    assert is_fresh(store)


def test_numbers_of_two_connections_to_a_file_never_meet(path: Path) -> None:
    numbers = []
    for _ in range(3):
        monitor = Monitor(str(path))
        numbers += [monitor.version(), monitor.version()]
        monitor.drop()
        numbers.append(monitor.version())
        monitor.drop()
    assert numbers[0] == numbers[1]
    assert len(set(numbers)) == 6
    assert 0 not in numbers


def test_a_uri_is_a_name_too(path: Path) -> None:
    monitor = Monitor(f"{path.as_uri()}?mode=rwc&cache=private")
    before = monitor.version()
    assert monitor.version() == before
    write(path)
    assert monitor.version() != before
    assert monitor.uri.endswith("?cache=private&mode=ro")
    monitor.drop()


# -- what it takes


def test_an_answer_without_a_file_is_not_kept(store: MemoryStore) -> None:
    keep(store, ("t:chat_session",))
    assert look(store) is None
    keep(store, ("t:chat_session", "@default", "@other"))  # `other` is in memory
    assert look(store) is None


def test_it_covers_files_alone(store: MemoryStore, settings: Settings) -> None:
    assert store.covers("default")
    assert not store.covers("other")


@pytest.mark.parametrize("name", [":memory:", "file:memorydb_default?mode=memory&cache=shared"])
def test_it_does_not_cover_memory(store: MemoryStore, use: Callable[[str], None], name: str) -> None:
    use(name)
    assert not store.covers("default")
    assert "@default" not in snapshot_of(store).generations


def test_those_used_last_stay(path: Path, use: Callable[[str], None]) -> None:
    use(str(path))
    store = MemoryStore(3)
    for key in "abc":
        keep(store, TAGS, key=key)
    assert is_fresh(store, ("a", KEY[1]))
    keep(store, TAGS, key="d")
    assert [is_fresh(store, (key, KEY[1])) for key in "abcd"] == [True, False, True, True]
    store.close()


def test_an_answer_to_another_question_is_a_miss(store: MemoryStore) -> None:
    keep(store, TAGS)
    assert look(store, (KEY[0], "another")) is None


def test_past_its_time_it_is_a_miss(store: MemoryStore) -> None:
    keep(store, TAGS, stored=snapshot_of(store).now - 100, ttl=60.0, stale=30.0)
    assert look(store) is None
    keep(store, TAGS, stored=snapshot_of(store).now - 100, ttl=60.0, stale=3000.0)
    found = look(store)
    assert found is not None
    assert not found.is_fresh


def test_claims_are_had_by_one_at_a_time(store: MemoryStore) -> None:
    token = store.claim("k", 30)
    assert token
    assert store.claim("k", 30) is None
    store.release("k", "not the token")
    assert store.claim("k", 30) is None
    store.release("k", token)
    assert store.claim("k", 1e-9)
    time.sleep(0.001)
    assert store.claim("k", 30)


def test_a_scan_tells_of_all_entries(store: MemoryStore) -> None:
    keep(store, TAGS, key="a", user="1")
    store.move(["t:chat_session"])
    keep(store, TAGS, key="b", user="2")
    assert [(found.entry.user, found.is_fresh, found.entry.body) for found in store.scan()] == [
        ("1", False, b""),
        ("2", True, b""),
    ]


def test_threads_do_not_harm_each_other(store: MemoryStore, path: Path) -> None:
    """What is fresh has every row whose commit had returned before the store was asked."""
    written, wrong, hits = [0], [], [0]

    def write_on() -> None:
        for _ in range(50):
            write(path)
            written[0] += 1
            time.sleep(0.001)

    def use_on() -> None:
        with connected(path) as connection:
            while writer.is_alive():
                done = written[0]
                snapshot, [found] = store.read([KEY])
                assert snapshot is not None
                if found and found.is_fresh:
                    hits[0] += 1
                    wrong.extend([found.entry.body] if int(found.entry.body) < done else [])
                else:
                    rows = connection.execute("SELECT count(*) FROM chat_session").fetchone()[0]
                    store.write({KEY[0]: make_entry(snapshot, TAGS, body=str(rows).encode())})

    writer = threading.Thread(target=write_on)
    users = [threading.Thread(target=use_on) for _ in range(4)]
    for thread in (writer, *users):
        thread.start()
    for thread in (writer, *users):
        thread.join()
    assert written == [50]
    assert hits != [0]
    assert not wrong
