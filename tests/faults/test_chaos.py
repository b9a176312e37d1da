"""Several processes, several callers, and whatever can happen at random: nothing is lost, doubled or told wrongly.

BATCHAPI_CHAOS_SECONDS   how long (default 10; 20 in CI)
BATCHAPI_CHAOS_SEED      which run to do again; a failure prints it
"""

import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from tests.faults.harness import clients, wait_for
from tests.faults.ledger import Ledger
from tests.faults.stage import DATABASE, Stage
from tests.serving.prepare import CALLERS
from tests.serving.server import Server, started

SECONDS = float(os.environ.get("BATCHAPI_CHAOS_SECONDS") or (20 if os.environ.get("BATCHAPI_CI") == "1" else 10))
SEED = int(os.environ.get("BATCHAPI_CHAOS_SEED") or random.SystemRandom().randrange(10**6))
WORKERS = 4
CROWD = [f"caller-{number % (CALLERS - 2)}" for number in range(4)]  # Some callers send two batches at a time,
KEYED = [f"caller-{number % (CALLERS - 2)}" for number in range(2, 6)]  # and some of them under keys.
LONGEST = 10.0  # Seconds: DEADLINE of the settings, and a wait for a process that has to be begun anew.
REST = 6.0  # seconds between two of them that are killed: with none left, who waits does not wait for us

Harm = Callable[[], object]


def kill_redis(stage: Stage) -> None:
    stage.redis.kill()
    time.sleep(0.3)
    stage.redis.start()


def stop_redis(stage: Stage) -> None:
    with stage.redis.hung():
        time.sleep(0.5)


def restart_postgres(stage: Stage) -> None:
    stage.postgres.kill()
    stage.postgres.start()


def stall(stage: Stage) -> None:
    """Nothing comes through for a moment, and then all of it."""
    stage.postgres_relay.flows.clear()
    time.sleep(0.7)
    stage.postgres_relay.flows.set()


def lose_commits(stage: Stage) -> None:
    stage.postgres_relay.cut_at = b"COMMIT"
    time.sleep(0.3)
    stage.postgres_relay.cut_at = None


class Killer:
    """Kills whichever process answers; the server begins another in its place."""

    def __init__(self, server: Server) -> None:
        self.server, self.may_at = server, 0.0

    def kill(self) -> None:
        if time.monotonic() < self.may_at:
            return
        with suppress(OSError, ProcessLookupError):
            os.kill(self.server.get("/api/counts/")["process"], signal.SIGKILL)
        self.may_at = time.monotonic() + REST


def harms(stage: Stage, server: Server) -> dict[str, Harm]:
    """What can happen."""
    return {
        "redis killed": partial(kill_redis, stage),
        "redis stopped": partial(stop_redis, stage),
        "redis connections cut": stage.redis_relay.cut,
        "postgresql connections terminated": partial(stage.postgres.terminate, DATABASE),
        "postgresql connections cut": stage.postgres_relay.cut,
        "postgresql killed": partial(restart_postgres, stage),
        "postgresql stands still": partial(stall, stage),
        "answers to COMMIT lost": partial(lose_commits, stage),
        "process killed": Killer(server).kill,
    }


def do_harm(possible: dict[str, Harm], *, seconds: float) -> Counter[str]:
    """One thing after the other at random for so long, with a breath in between; how often each was done."""
    chance = random.Random(SEED)
    names, done = sorted(possible), Counter[str]()
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        name = chance.choice(names)
        possible[name]()
        done[name] += 1
        time.sleep(chance.uniform(0.05, 0.6))
    return done


def test_whatever_happens_the_database_is_as_clients_were_told(stage: Stage) -> None:
    """Every write that was acknowledged is there once, groups are whole, and nobody saw anything of somebody else's.

    Whoever sends a batch again under its key comes to have every write of it done, and done once.
    """
    sys.stdout.write(f"BATCHAPI_CHAOS_SEED={SEED}\n")
    ledger = Ledger()
    environment = stage.environment("chaos", is_relayed=True)
    with started("gunicorn", environment, "--workers", str(WORKERS)) as server:
        with clients(server, ledger, callers=CROWD, keyed=KEYED) as crowd:
            done = do_harm(harms(stage, server), seconds=SECONDS)
            wait_for(ledger, lambda trip: trip.is_good, since=time.monotonic())
        eventually_quiet(stage)
    seen = sum((trip.seen for trip in ledger.trips), Counter())
    good = sum(trip.is_good for trip in ledger.trips)
    told = f"{len(ledger.trips)} batches, {good} all right, {ledger.resent} resent, slowest {ledger.slowest:.1f} s"
    sys.stdout.write(f"{told}\n{done}\n{seen}\n")
    sys.stdout.write(f"done {len(ledger.done)}, gone {len(ledger.gone)}, unknown {len(ledger.maybe)}\n")
    assert ledger.faults_of(stage.rows()) == {}
    assert ledger.slowest < LONGEST
    assert len(ledger.done) > len(CROWD)
    keyed = tuple(f"{client.name}/" for client in crowd if client.is_keyed)
    assert [write for write in ledger.maybe | ledger.gone if write.startswith(keyed)] == [], "a resend left it open"


def eventually_quiet(stage: Stage) -> None:
    """Wait until nothing of a process that was killed is under way any more."""
    sql = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'chaos' AND state <> 'idle'"
    deadline = time.monotonic() + 20
    while stage.postgres.ask(sql):
        assert time.monotonic() < deadline, "a transaction stays open"
        time.sleep(0.05)
