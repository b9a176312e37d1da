"""How often Redis is asked, as Redis itself tells by MONITOR."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby

import pytest
from django.contrib.auth.models import Group
from django.db import transaction
from redis import Redis

from batchapi.store.shared import RedisStore
from tests.cache.asking import ask, fates

pytestmark = pytest.mark.urls("tests.cache.views")

READ = ["TIME", "HSETNX", "HGETALL", "MGET"]
Trips = Callable[[], list[list[str]]]


@contextmanager
def monitored(url: str) -> Iterator[Trips]:
    """Tells which commands came to Redis in the block: those that one client sent after each other are one list."""
    marker = Redis.from_url(url)
    marker.ping()  # Connected before anybody listens.
    with marker, Redis.from_url(url).monitor() as monitor:

        def trips() -> list[list[str]]:
            marker.echo("end")
            commands = iter(monitor.next_command, None)
            seen = []
            for command in commands:
                if command["command"].upper().startswith("ECHO"):
                    break
                seen.append(command["command"].split()[0].upper())
            return split(seen)

        yield trips


def split(commands: list[str]) -> list[list[str]]:
    """Commands by trip: a read begins with TIME; what is written after it is another trip."""
    kinds = [("read" if name in READ else "write" if name == "SET" else "move", name) for name in commands]
    return [[name for _, name in group] for _, group in groupby(kinds, key=lambda kind: kind[0])]


def test_one_read_and_one_write_per_wave(redis_store: RedisStore, redis_url: str) -> None:
    reads = [f"/api/names/?{n}" for n in range(5)]
    write = {"method": "POST", "url": "/api/names/", "body": {"name": "new"}}
    ask("/api/kept/")  # Connected, and everything imported.
    with monitored(redis_url) as trips:
        ask(*reads, write, *({"url": url, "id": f"after {url}"} for url in reads))
        first, writes, move, second, more = trips()
    assert (first, second) == (READ, READ)
    assert (writes, more) == (["SET"] * 5, ["SET"] * 5)
    assert move == ["MULTI", "HINCRBY", "EXEC"]


def test_hits_cost_one_trip(redis_store: RedisStore, redis_url: str) -> None:
    reads = [f"/api/names/?{n}" for n in range(20)]
    ask(*reads)
    with monitored(redis_url) as trips:
        assert fates(*reads) == ["hit"] * 20
        assert trips() == [READ]


def test_a_transaction_that_writes_costs_one_trip(redis_store: RedisStore, redis_url: str) -> None:
    Group.objects.create(name="before")
    with monitored(redis_url) as trips:
        with transaction.atomic():
            for name in "abc":
                group = Group.objects.create(name=name)
                group.permissions.clear()
            Group.objects.filter(name="a").delete()
        assert [trip[:1] + trip[-1:] for trip in trips()] == [["MULTI", "EXEC"]]


def test_what_only_reads_elsewhere_costs_none(redis_store: RedisStore, redis_url: str) -> None:
    ask("/api/kept/")
    with monitored(redis_url) as trips:
        assert Group.objects.count() == 0
        with transaction.atomic():
            assert not Group.objects.exists()
        ask({"method": "POST", "url": "/api/nothing/"}, "/api/not-kept/")
        assert trips() == []
