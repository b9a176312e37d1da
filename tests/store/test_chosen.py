"""Which store fits a cache of the project, and that our connections go where the cache's go."""

import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import redis
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from pytest_django import Settings

from batchapi.store import Store, get_store
from batchapi.store.chosen import once
from batchapi.store.memory import MemoryStore
from batchapi.store.shared import RedisStore
from tests.servers import answers_ping, find_redis, free_port, running
from tests.store.conftest import Open
from tests.store.entries import is_fresh, keep, look, snapshot_of
from tests.store.server import Server, eventually

DJANGO = "django.core.cache.backends.redis.RedisCache"
DJANGO_REDIS = "django_redis.cache.RedisCache"


class OurRedisCache(RedisCache):
    """A project's own."""


class OurMemoryCache(LocMemCache):
    """A project's own."""


def use(settings: Settings, backend: str, location: Any = "", **options: Any) -> Store | None:
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": location, "OPTIONS": options}}
    return get_store("default", 10)


@pytest.mark.parametrize("backend", [DJANGO, DJANGO_REDIS, f"{__name__}.OurRedisCache"])
def test_redis_caches_have_a_store_on_redis(settings: Settings, redis_url: str, backend: str) -> None:
    store = use(settings, backend, redis_url)
    assert isinstance(store, RedisStore)
    keep(store)
    assert is_fresh(store)


@pytest.mark.parametrize("backend", ["django.core.cache.backends.locmem.LocMemCache", f"{__name__}.OurMemoryCache"])
def test_memory_caches_have_a_store_in_memory(settings: Settings, backend: str) -> None:
    store = use(settings, backend)
    assert isinstance(store, MemoryStore)
    assert store.size == 10


@pytest.mark.parametrize("name", ["dummy.DummyCache", "db.DatabaseCache", "filebased.FileBasedCache"])
def test_other_caches_have_none(settings: Settings, name: str, tmp_path: Path) -> None:
    assert use(settings, f"django.core.cache.backends.{name}", str(tmp_path)) is None


def test_a_cache_that_is_spread_over_servers_has_none(settings: Settings, redis_url: str) -> None:
    assert use(settings, DJANGO_REDIS, [redis_url], CLIENT_CLASS="django_redis.client.ShardClient") is None


def test_of_several_servers_it_takes_the_one_that_is_written(settings: Settings, redis_url: str) -> None:
    for backend in (DJANGO, DJANGO_REDIS):
        store = use(settings, backend, [redis_url, "redis://127.0.0.1:1/0"])
        assert store is not None
        keep(store)
        assert is_fresh(store)


def test_there_is_one_until_the_settings_change(settings: Settings, redis_url: str) -> None:
    first = use(settings, DJANGO, redis_url)
    assert get_store("default", 10) is first
    assert get_store("default", 11) is not first
    settings.BATCHAPI = {}
    second = get_store("default", 10)
    assert second is not first


def test_threads_that_make_it_at_the_same_moment_all_get_the_first_ones() -> None:
    made: dict[str, object] = {}
    together = Barrier(4)

    def make() -> object:
        together.wait(10)
        return object()

    with ThreadPoolExecutor(4) as pool:
        given = set(pool.map(lambda _: once(made, "default", make), range(4)))
    assert given == {made["default"]}


def test_a_store_that_was_forgotten_has_closed_its_connections(settings: Settings, lone_server: Server) -> None:
    store = use(settings, DJANGO, lone_server.url)
    assert store is not None
    snapshot_of(store)
    clients = partial(lone_server.ask, "CLIENT", "LIST", "TYPE", "normal")
    assert len(clients().splitlines()) == 2
    use(settings, "django.core.cache.backends.dummy.DummyCache")
    eventually(lambda: len(clients().splitlines()) == 1)


def test_a_shared_store_does_not_cover_what_is_in_the_memory_of_one_process(settings: Settings, redis_url: str) -> None:
    store = use(settings, DJANGO, redis_url)
    assert store is not None
    assert not store.covers("other")


# -- the ways to a server


def test_pools_that_block_and_clients_that_decode(settings: Settings, redis_url: str) -> None:
    """How the project waits and reads is not how we do."""
    store = use(
        settings,
        DJANGO_REDIS,
        redis_url,
        CONNECTION_POOL_CLASS="redis.BlockingConnectionPool",
        CONNECTION_POOL_KWARGS={
            "max_connections": 1,
            "timeout": 20,
            "decode_responses": True,
            "encoding": "latin-1",
            "health_check_interval": 1,
            "retry_on_timeout": True,
            "protocol": 3,
        },
    )
    assert isinstance(store, RedisStore)
    keep(store, body=b"\xff")
    assert is_fresh(store)
    kwargs = store.link.client.connection_pool.connection_kwargs
    assert kwargs["socket_timeout"] == kwargs["socket_connect_timeout"] == 0.1
    assert kwargs["retry"]._retries == 0
    assert kwargs["protocol"] == 2
    assert not {"retry_on_timeout", "decode_responses", "health_check_interval"} & kwargs.keys()


def test_a_database_a_user_and_a_password(settings: Settings, lone_server: Server) -> None:
    lone_server.ask("ACL", "SETUSER", "app", "on", ">open sesame", "~*", "+@all")
    for backend in (DJANGO, DJANGO_REDIS):
        store = use(settings, backend, f"redis://app:open%20sesame@127.0.0.1:{lone_server.port}/3")
        assert store is not None
        keep(store)
        assert is_fresh(store)
    with redis.Redis(port=lone_server.port, db=3, protocol=2) as client:
        assert client.dbsize() == 2


def test_what_the_project_does_on_a_new_connection_is_done(settings: Settings, redis_url: str) -> None:
    greeted = []

    def greet(connection: Any) -> None:
        connection.on_connect()
        greeted.append(connection)

    store = use(settings, DJANGO, redis_url, redis_connect_func=greet)
    assert store is not None
    keep(store)
    assert is_fresh(store)
    assert len(greeted) == 1


def test_a_connection_whose_greeting_was_cut_short_is_greeted_again(redis_url: str, open_store: Open) -> None:
    """By whatever: unasked, nobody would know which server it leads to."""
    greeted = []

    def greet(connection: Any) -> None:
        connection.on_connect()
        greeted.append(connection)
        if len(greeted) == 1:
            raise ValueError("the project's own mistake")

    store = open_store(redis_url, OPTIONS={"redis_connect_func": greet})
    assert look(store) is None
    assert store.is_away
    eventually(lambda: not store.is_away)
    assert len(greeted) == 2


@contextmanager
def serving(*options: str, port: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="batchapi-redis-") as folder:
        command = [str(find_redis()), *options, "--dir", folder]
        with running(command, is_ready=partial(answers_ping, port), folder=Path(folder)):
            yield Path(folder)


def test_a_unix_socket(settings: Settings, tmp_path: Path) -> None:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/redis.sock"
        with serving("--port", str(port), "--unixsocket", path, "--save", "", port=port):
            for backend in (DJANGO, DJANGO_REDIS):
                store = use(settings, backend, f"unix://{path}?db=1")
                assert store is not None
                keep(store)
                assert is_fresh(store)
        eventually(lambda: look(store) is None)
        use(settings, "django.core.cache.backends.dummy.DummyCache")


def test_tls(settings: Settings, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*make, *names], check=True, capture_output=True)
    plain, port = free_port(), free_port()
    options = ["--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    options += ["--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no"]
    with serving("--port", str(plain), "--save", "", *options, port=plain):
        kwargs = {"ssl_ca_certs": str(certificate)}
        store = use(settings, DJANGO_REDIS, f"rediss://127.0.0.1:{port}/0", CONNECTION_POOL_KWARGS=kwargs)
        assert store is not None
        keep(store)
        assert is_fresh(store)
        use(settings, "django.core.cache.backends.dummy.DummyCache")


@contextmanager
def sentinel(folder: Path, port: int, master: int) -> Iterator[redis.Redis]:
    """A Redis Sentinel that watches a master called `chats`, and a client to ask it."""
    config = folder / "sentinel.conf"
    lines = [f"port {port}", f"dir {folder}", f"sentinel monitor chats 127.0.0.1 {master} 1"]
    lines += ["sentinel down-after-milliseconds chats 300", "sentinel failover-timeout chats 3000"]
    config.write_text("\n".join(lines))
    command = [str(find_redis()), str(config), "--sentinel"]
    with (
        running(command, is_ready=partial(answers_ping, port), folder=folder),
        redis.Redis(port=port, protocol=2) as client,
    ):
        yield client


def test_sentinels_lead_to_the_server_that_took_over(settings: Settings, tmp_path: Path) -> None:
    """Nothing that was kept before is served there. The project's own pool is not touched by any of it."""
    first, second, port = Server(tmp_path / "1"), Server(tmp_path / "2"), free_port()
    with ExitStack() as stack:
        for server in (first, second):
            server.folder.mkdir()
            server.start()
            stack.push(server.stack)
        second.ask("REPLICAOF", "127.0.0.1", first.port)
        eventually(lambda: second.info("replication")["master_link_status"] == "up")
        watcher = stack.enter_context(sentinel(tmp_path, port, first.port))
        eventually(lambda: watcher.sentinel_master("chats")["num-slaves"] == 1)
        store = use(
            settings,
            DJANGO_REDIS,
            "redis://chats/0",
            CLIENT_CLASS="django_redis.client.SentinelClient",
            CONNECTION_POOL_CLASS="redis.sentinel.SentinelConnectionPool",
            CONNECTION_FACTORY="django_redis.pool.SentinelConnectionFactory",
            SENTINELS=[("127.0.0.1", port)],
        )
        assert isinstance(store, RedisStore)
        theirs, ours = store.link.their_pool, store.link.client.connection_pool
        asked = [client.connection_pool.connection_kwargs for client in ours.sentinel_manager.sentinels]
        assert [(kwargs["port"], kwargs["socket_timeout"]) for kwargs in asked] == [(port, 0.1)]
        caches["default"].set("theirs", 1)
        before = (
            theirs.proxy.master_address,
            theirs.connection_kwargs["connection_pool"],
            theirs._available_connections,
        )
        keep(store)
        assert is_fresh(store)
        eventually(lambda: second.ask("EXISTS", store.entry_key("k")))

        first.kill()
        eventually(lambda: watcher.sentinel_get_master_addr_by_name("chats")[1] == second.port)
        eventually(lambda: store.read([])[0])
        assert second.ask("EXISTS", store.entry_key("k"))
        assert not is_fresh(store)
        keep(store)
        assert is_fresh(store)
        assert before == (
            theirs.proxy.master_address,
            theirs.connection_kwargs["connection_pool"],
            theirs._available_connections,
        )
        use(settings, "django.core.cache.backends.dummy.DummyCache")
