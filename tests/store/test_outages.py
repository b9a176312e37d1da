"""Every way in which a Redis can be away: one timeout, no error, and nothing kept before a lost move is served."""

import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from batchapi.store import ALONE
from batchapi.store.outage import Outage, Standing
from tests.store.conftest import Open
from tests.store.entries import KEY, is_fresh, keep, look, make_entry, snapshot_of
from tests.store.server import PATIENCE, Server, eventually

DEAD_HOST = "127.0.0.1"


@contextmanager
def killed(server: Server) -> Iterator[None]:
    server.kill()
    yield
    server.start()


@contextmanager
def paused(server: Server) -> Iterator[None]:
    """Redis answers nobody for a while."""
    server.ask("CLIENT", "PAUSE", 3000, "ALL")
    yield
    eventually(lambda: server.ask("PING"))


@contextmanager
def writes_paused(server: Server) -> Iterator[None]:
    """As before a planned fail-over."""
    server.ask("CLIENT", "PAUSE", 600_000, "WRITE")
    yield
    server.ask("CLIENT", "UNPAUSE")


@contextmanager
def full(server: Server) -> Iterator[None]:
    server.ask("CONFIG", "SET", "maxmemory", "1")  # noeviction is Redis' own default.
    yield
    server.ask("CONFIG", "SET", "maxmemory", "0")


@contextmanager
def read_only(server: Server) -> Iterator[None]:
    server.ask("REPLICAOF", DEAD_HOST, 1)
    yield
    server.ask("REPLICAOF", "NO", "ONE")


@contextmanager
def locked(server: Server) -> Iterator[None]:
    """Another password than ours; whoever was in is thrown out."""
    with server.admin() as admin:
        admin.config_set("requirepass", "secret")
        admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        yield
        admin.config_set("requirepass", "")


@contextmanager
def forbidden(server: Server) -> Iterator[None]:
    server.ask("ACL", "SETUSER", "default", "-hset", "-hincrby", "-hsetnx")
    yield
    server.ask("ACL", "SETUSER", "default", "+@all")


@contextmanager
def another_type(server: Server) -> Iterator[None]:
    """Somebody has put a list where the generations are."""
    key = "project:1:{batchapi}:generations"
    server.ask("DEL", key)
    server.ask("LPUSH", key, "x")
    yield
    server.ask("DEL", key)


Away = Callable[[Server], AbstractContextManager[None]]
WAYS: dict[str, Away] = {
    "killed": killed,
    "hung": Server.hung,
    "paused": paused,
    "writes paused": writes_paused,
    "full": full,
    "read-only": read_only,
    "wrong password": locked,
    "not permitted": forbidden,
    "another type": another_type,
}
every_way = pytest.mark.parametrize("away", WAYS.values(), ids=WAYS)


@every_way
def test_what_was_kept_before_a_lost_move_is_never_served(lone_server: Server, open_store: Open, away: Away) -> None:
    """Also not by a process that saw nothing of it."""
    store, other = open_store(lone_server.url), open_store(lone_server.url)
    entry = keep(store)
    assert is_fresh(store)
    assert is_fresh(other)

    with away(lone_server):
        assert not store.move(["t:chat_session"])
        assert store.is_away
        assert store.read([KEY]) == (None, [None])

    eventually(lambda: not store.is_away)
    assert not is_fresh(store)
    assert not is_fresh(other)
    store.write({KEY[0]: entry})  # by a view that ran in the meantime
    assert not is_fresh(store)

    eventually(lambda: not other.is_away)
    keep(store)
    assert is_fresh(store)
    assert is_fresh(other)


@every_way
def test_a_process_that_only_reads_is_away_too(lone_server: Server, open_store: Open, away: Away) -> None:
    """A server that takes no moves may hold what another process could not outdate."""
    store = open_store(lone_server.url)
    keep(store)
    with away(lone_server):
        assert store.read([KEY]) == (None, [None])
        assert store.is_away


@every_way
def test_it_costs_one_timeout_and_then_nothing(lone_server: Server, open_store: Open, away: Away) -> None:
    store = open_store(lone_server.url, window=600.0, timeout=0.1)
    entry = keep(store)
    with away(lone_server):
        started = time.monotonic()
        assert look(store) is None
        first = time.monotonic() - started
        started = time.monotonic()
        for _ in range(100):
            assert store.read([KEY, KEY]) == (None, [None, None])
            assert not store.move(["t:chat_session"])
            assert not store.renew()
            assert store.claim("k", 30) == ALONE
            store.release("k", ALONE)
            store.write({KEY[0]: entry})
            assert list(store.scan()) == []
        rest = time.monotonic() - started
    assert first < 1.0  # 0.1 of it is the timeout
    assert rest < 1.0  # of 700 calls


def test_a_hung_server_costs_less_than_two_timeouts_of_a_longer_kind(lone_server: Server, open_store: Open) -> None:
    """One is waited for, not one for each address, step and attempt."""
    store = open_store(lone_server.url, timeout=2.0)
    keep(store)
    with lone_server.hung():
        started = time.monotonic()
        assert not store.move(["t:chat_session"])
        assert 1.9 < time.monotonic() - started < 3.9


def test_a_first_connection_to_a_hung_server_costs_one_timeout(lone_server: Server, open_store: Open) -> None:
    store = open_store(lone_server.url, timeout=2.0)
    with lone_server.hung():
        started = time.monotonic()
        assert look(store) is None
        assert time.monotonic() - started < 3.9


def test_a_server_that_was_never_there_comes_to_be(lone_server: Server, open_store: Open) -> None:
    store = open_store(lone_server.url)
    with killed(lone_server):
        assert look(store) is None
    eventually(lambda: not store.is_away)
    keep(store)
    assert is_fresh(store)


# -- connections and servers


def test_connections_that_were_closed_between_two_steps_are_no_outage(lone_server: Server, open_store: Open) -> None:
    store = open_store(lone_server.url)
    keep(store)
    lone_server.cut_off()
    assert is_fresh(store)
    lone_server.cut_off()
    assert store.move(["t:chat_session"])
    assert not is_fresh(store)
    assert not store.is_away


def test_a_restart_that_nobody_noticed_outdates_everything(lone_server: Server, open_store: Open) -> None:
    """The older state that it comes back with lacks moves that were certain; it has another run id."""
    store, other = open_store(lone_server.url), open_store(lone_server.url)
    keep(store, key="early")
    keep(store)
    lone_server.ask("SAVE")
    assert store.move(["t:chat_session"])
    lone_server.kill()
    lone_server.start()
    assert lone_server.ask("EXISTS", store.entry_key(KEY[0])), "the dump was not loaded"

    assert not is_fresh(store)
    assert not is_fresh(other, ("early", KEY[1]))
    assert not store.is_away
    keep(store)
    assert is_fresh(other)


def test_a_replica_that_takes_over_outdates_everything(
    lone_server: Server, second_server: Server, open_store: Open
) -> None:
    """It may not have got the last moves."""
    store = open_store(lone_server.url)
    keep(store)
    second_server.ask("REPLICAOF", "127.0.0.1", lone_server.port)
    there = open_store(second_server.url)
    eventually(lambda: second_server.ask("EXISTS", store.entry_key(KEY[0])))
    second_server.ask("REPLICAOF", "NO", "ONE")
    assert not is_fresh(there)
    keep(there)
    assert is_fresh(there)


def test_a_new_connection_to_the_same_server_changes_nothing(lone_server: Server, open_store: Open) -> None:
    keep(open_store(lone_server.url))
    epochs = {snapshot_of(open_store(lone_server.url)).epoch for _ in range(3)}
    assert len(epochs) == 1
    assert is_fresh(open_store(lone_server.url))


# -- what is said of it


def test_it_says_once_that_it_is_away_and_once_that_it_is_back(
    lone_server: Server, open_store: Open, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(lone_server.url)
    with caplog.at_level(logging.INFO, logger="batchapi.store"):
        with killed(lone_server):
            for _ in range(50):
                look(store)
                time.sleep(0.005)  # so that the healer tries, too
        eventually(lambda: not store.is_away)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "refused" in caplog.records[0].getMessage()


def test_one_thread_looks_for_it_and_ends(lone_server: Server, open_store: Open) -> None:
    store = open_store(lone_server.url)
    with killed(lone_server):
        look(store)
        healer = store.link.outage.healer
        assert healer is not None
        assert healer.daemon
        look(store)
        assert store.link.outage.healer is healer
    eventually(lambda: not healer.is_alive())
    assert not store.is_away


def test_a_store_that_is_closed_looks_no_more(lone_server: Server, open_store: Open) -> None:
    store = open_store(lone_server.url)
    with killed(lone_server):
        look(store)
        healer = store.link.outage.healer
        assert healer is not None
        store.close()
        eventually(lambda: not healer.is_alive())


def test_whoever_is_stopped_in_the_middle_of_a_move_has_lost_it(lone_server: Server, open_store: Open) -> None:
    """Ctrl-C, or a worker's timeout: nobody knows whether Redis got it."""
    store = open_store(lone_server.url, timeout=PATIENCE)
    keep(store)

    class Stopped(BaseException):
        """What stops a thread from outside."""

    def stop(*_: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGALRM, stop)
    try:
        with lone_server.hung():
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(Stopped):
                store.move(["t:chat_session"])
    finally:
        signal.signal(signal.SIGALRM, before)
    assert store.is_away
    eventually(lambda: not store.is_away)
    assert not is_fresh(store)


def test_an_answer_that_an_outage_overtook_is_not_given(lone_server: Server, open_store: Open) -> None:
    """Another thread may have lost a move while this one was waiting."""
    keep(open_store(lone_server.url))
    outages = [lambda: store.link.outage.begin(ConnectionError("another thread's"))]

    def connect(connection: Any) -> None:
        connection.on_connect()
        if outages:
            outages.pop()()

    store = open_store(lone_server.url, window=600.0, OPTIONS={"redis_connect_func": connect})
    assert store.read([KEY]) == (None, [None])
    assert outages == []


# -- the way back


def test_moves_come_back_between_two_new_epochs_and_all_else_after_them() -> None:
    """What is lost up to the first move that gets through is covered by the second."""
    let: list[tuple[bool, bool]] = []

    def renew() -> bool:
        let.append((outage.lets(Standing.RETURNING), outage.lets(Standing.HERE)))
        return True

    outage = Outage(renew, window=0.01, is_away=True)
    assert not outage.lets(Standing.HERE)
    eventually(lambda: outage.standing is Standing.HERE)
    assert let == [(False, False), (True, False)]


def test_what_fails_between_the_two_starts_it_again() -> None:
    calls = []

    def renew() -> bool:
        calls.append(outage.standing)
        if len(calls) == 2:
            outage.begin(ConnectionError("somebody's move"))
        return True

    outage = Outage(renew, window=0.01, is_away=True)
    assert not outage.lets(Standing.HERE)
    eventually(lambda: outage.standing is Standing.HERE)
    assert calls == [Standing.AWAY, Standing.RETURNING] * 2


def test_a_store_on_its_way_back_takes_moves_and_tells_nothing(lone_server: Server, open_store: Open) -> None:
    store, other = open_store(lone_server.url), open_store(lone_server.url)
    keep(store)
    store.link.outage.standing = Standing.RETURNING
    assert store.read([KEY]) == (None, [None])
    assert store.move(["t:chat_session"])
    assert not is_fresh(other)
    assert store.is_away


def test_a_move_that_fails_on_the_way_back_starts_it_again(lone_server: Server, open_store: Open) -> None:
    """A thread writes without end while the server comes and goes; what it lost is never served."""
    store, other = open_store(lone_server.url, window=0.01), open_store(lone_server.url, window=0.01)
    for _ in range(10):
        eventually(lambda: not (store.is_away or other.is_away))
        keep(other)
        with full(lone_server):
            assert not store.move(["t:chat_session"])
        while store.is_away:
            before = other.read([])[0]
            if not store.move(["t:chat_session"]) and before:
                other.write({KEY[0]: make_entry(before)})
        assert not is_fresh(store)


@pytest.fixture
def second_server(tmp_path: Path) -> Iterator[Server]:
    one = Server(tmp_path)
    one.start()
    yield one
    one.stack.close()
