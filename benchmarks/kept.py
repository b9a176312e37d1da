"""`python -m benchmarks.kept NAME`: kept answers, on the Redis of REDIS_URL and the database of DATABASE_URL.

First what a hit costs (G5) and what it costs to watch SQL (G10), then the chat under a realistic mix: how much is kept,
how much is asked twice, and how much faster a screen is when it is asked for again.
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import Any

import django

from benchmarks.measure import Pair, compare

HEADER = "| | on | ours | other side | ratio | least to greatest |\n|---|---|---|---|---|---|"
MIX_HEADER = (
    "| chat, on | batches that write | answers kept | hits | copies of equal ones | views called | screen first "
    "| again | faster by | a hit |\n|---|---|---|---|---|---|---|---|---|---|"
)
USERS, SESSIONS, BATCHES = 8, 20, 400
WRITES = 0.15  # of the batches begin with a message
STATEMENTS = 2000


def main() -> None:
    """Measure on the one database of this process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kept", description=__doc__)
    parser.add_argument("name", help="what the rows call database and cache")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--mix", action="store_true", help="the chat, under project.settings")
    args = parser.parse_args()
    django.setup()
    from django.core.management import call_command  # Not at the top: it needs Django to be set up.

    call_command("migrate", verbosity=0)
    if args.mix:
        print(mix(args.name), flush=True)
        return
    print(row("G5 100 kept answers of a view with rows / direct loop", args.name, hits(args.rounds)), flush=True)
    print(row(f"G10 {STATEMENTS} times SELECT 1, watched / not", args.name, watching(args.rounds)), flush=True)


def row(what: str, name: str, pair: Pair) -> str:
    """One row of the first table."""
    least, greatest = pair.spread
    ours, theirs = f"{pair.ours * 1000:.2f} ms", f"{pair.theirs * 1000:.2f} ms"
    return f"| {what} | {name} | {ours} | {theirs} | {pair.ratio:.3f} | {least:.3f} to {greatest:.3f} |"


def hits(rounds: int) -> Pair:
    """A batch of 100 answers that are kept, for somebody with a session, and the same views one by one."""
    from django.contrib.auth.models import Group, User
    from django.test import Client, override_settings

    from benchmarks.sides import body_of, direct

    Group.objects.all().delete()
    groups = Group.objects.bulk_create([Group(name=f"group {number}") for number in range(100)])
    user, _ = User.objects.get_or_create(username="alice", defaults={"email": "alice@example.com"})
    client, paths = Client(), [f"/api/groups/{group.pk}/" for group in groups]
    client.force_login(user)
    body = body_of(paths)

    def ask() -> Any:
        return client.post("/api/batch/", body, content_type="application/json")

    with override_settings(BATCHAPI={"ENABLE_CACHING": True}):
        ask()
        assert all("; hit" in record["headers"]["Cache-Status"] for record in ask().json()["responses"]), (
            "not all of them are kept"
        )
        return compare(ask, direct(paths, user=user), rounds=rounds)


def watching(rounds: int) -> Pair:
    """Statements on a connection that is watched, and on one that is not."""
    from django.db import connection

    def run() -> None:
        with connection.cursor() as cursor:
            for _ in range(STATEMENTS):
                cursor.execute("SELECT 1")

    def run_unwatched() -> None:
        with unwatched(connection):
            run()

    return compare(run, run_unwatched, rounds=rounds)


@contextmanager
def unwatched(connection: Any) -> Iterator[None]:
    """Without our wrapper around each statement."""
    wrappers, connection.execute_wrappers = connection.execute_wrappers, []
    try:
        yield
    finally:
        connection.execute_wrappers = wrappers


def mix(name: str) -> str:
    """A row of the second table: users who open chat screens, some more often than others, and write now and then."""
    chosen, users = random.Random(1), make_users()
    said: Counter[str] = Counter()
    first, again, each = [], [], []
    for _ in range(BATCHES):
        client, keys = chosen.choices(users, weights=[1 / (rank + 1) for rank in range(USERS)])[0]
        is_writing = chosen.random() < WRITES
        seconds, records = timed(client, screen(chosen.choices(keys, k=5), message_to=keys[0] if is_writing else None))
        said.update(fate(record) for record in records)
        if is_writing:  # Whoever wrote looks at the screen again.
            requests = screen(keys[:5], message_to=None)
            first.append(timed(client, requests)[0])
            seconds, records = timed(client, requests)
            again.append(seconds)
        found = Counter(fate(record) for record in records)
        if found["hit"] == len(records):
            each.append(seconds / len(records))
    asked = sum(said.values()) - said["write"]
    shares = [f"{said[kind] / asked:.0%}" for kind in ("stored", "hit", "copy")]
    called = f"{(asked - said['hit'] - said['copy']) / asked:.0%}"
    one, other = median(first), median(again)
    times = [f"{one * 1000:.1f} ms", f"{other * 1000:.1f} ms", f"{1 - other / one:.0%}"]
    hit = f"{median(each) * 1000:.2f} ms" if each else "none"
    return "| " + " | ".join([name, f"{WRITES:.0%}", *shares, called, *times, hit]) + " |"


def make_users() -> list[tuple[Any, list[str]]]:
    """Clients with chat sessions, and the ids of these."""
    from django.contrib.auth.models import User
    from django.test import Client

    from chat.models import Session

    Session.objects.all().delete()
    users = []
    for number in range(USERS):
        user, _ = User.objects.get_or_create(username=f"user-{number}")
        keys = [f"s{number}-{place}" for place in range(SESSIONS)]
        for key in keys:
            Session.objects.create(owner=user, key=key, title=key)
        client = Client()
        client.force_login(user)
        users.append((client, keys))
    return users


def screen(keys: list[str], *, message_to: str | None) -> list[dict[str, Any]]:
    """What a chat client asks for: parts of the page ask for the same now and then, each for itself."""
    url = "/api/sessions/"
    reads = [url, "/api/stats/", *(f"{url}{key}/messages/?page_size=5" for key in keys), url, "/api/stats/"]
    requests: list[dict[str, Any]] = [{"url": read} for read in reads]
    if message_to:
        requests.insert(0, {"method": "POST", "url": f"{url}{message_to}/messages/", "body": {"content": "hi"}})
    return requests


def timed(client: Any, requests: list[dict[str, Any]]) -> tuple[float, list[dict[str, Any]]]:
    """Seconds, and the records of one batch."""
    body = json.dumps({"requests": requests})
    begun = perf_counter()
    response = client.post("/api/batch/", body, content_type="application/json")
    seconds = perf_counter() - begun
    records: list[dict[str, Any]] = response.json()["responses"]
    assert all(record["status"] in (200, 201) for record in records), records
    return seconds, records


def fate(record: dict[str, Any]) -> str:
    """What became of a sub-request, in a word."""
    words = record["headers"].get("Cache-Status", "")
    kinds: dict[str, Callable[[], bool]] = {
        "write": lambda: record["status"] == 201,
        "hit": lambda: "; hit" in words,
        "copy": lambda: "collapsed" in words,
        "stored": lambda: "stored" in words,
    }
    return next((kind for kind, is_it in kinds.items() if is_it()), "called")


if __name__ == "__main__":
    main()
