"""What batches stand on here: servers under our hands, on one database and one Redis, some of them behind relays."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.cache.relay import Relay, relay
from tests.faults.postgres import Postgres, postgres
from tests.serving.server import environment_of, prepare
from tests.store.server import Server as Redis
from tests.store.server import server as redis_server

DATABASE = "faults"
ROWS = "SELECT username, content FROM chat_message m JOIN chat_session s ON s.id = m.session_id"
ROWS += " JOIN auth_user u ON u.id = s.owner_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything that a fault can be done to."""

    redis: Redis
    postgres: Postgres
    redis_relay: Relay
    postgres_relay: Relay

    def environment(self, name: str, *, is_relayed: bool = False, pool_size: int = 0) -> dict[str, str]:
        """For a server process that works here, directly or through the relays, and is known by this name here."""
        port = self.postgres_relay.port if is_relayed else None
        redis_port = self.redis_relay.port if is_relayed else self.redis.port
        return environment_of(
            self.postgres.url(DATABASE, port=port),
            PGAPPNAME=name,
            REDIS_URL=f"redis://127.0.0.1:{redis_port}/0?client_name={name}",
            DATABASE_POOL_SIZE=str(pool_size),
            DJANGO_SETTINGS_MODULE="tests.faults.settings",
        )

    def connections(self, name: str) -> dict[str, int]:
        """How many a server process has, as PostgreSQL and Redis count them."""
        sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        with self.redis.admin() as admin:
            on_redis = [client for client in admin.client_list() if client["name"] == name]
        return {"postgresql": self.postgres.ask(sql, name)[0][0], "redis": len(on_redis)}

    def rows(self) -> list[tuple[str, str]]:
        """Owner and content of every message."""
        return [(owner, content) for owner, content in self.postgres.ask(ROWS, database=DATABASE)]


@contextmanager
def set_stage() -> Iterator[Stage]:
    """A PostgreSQL and a Redis with callers in it, for the length of a block."""
    with (
        postgres() as database,
        redis_server() as redis,
        relay("127.0.0.1", database.port) as to_database,
        relay("127.0.0.1", redis.port) as to_redis,
    ):
        database.ask(f"CREATE DATABASE {DATABASE}")
        stage = Stage(redis=redis, postgres=database, redis_relay=to_redis, postgres_relay=to_database)
        prepare(stage.environment("prepare"))
        yield stage
