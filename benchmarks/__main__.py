"""`python -m benchmarks`: measures each row, both sides in turn, and prints four tables."""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

import django

from benchmarks.measure import Pair, compare
from tests.servers import NoServer, postgres_server, redis_server

HELP = """\
Measures what docs and README claim, on this machine, and prints four tables.

Each row times two sides in turn and gives the median of the ratios, so it holds on a noisy machine.
"""
POOL_SIZE = 24  # More than the lanes of one batch.
WAITING_ROUNDS = 7  # One by one, a round takes seconds.


def main() -> None:
    """Measure what takes a database of no kind in particular, then what waits on each kind."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=HELP)
    parser.add_argument("--rounds", type=int, default=31, help="rounds of each row (default: 31)")
    parser.add_argument("--only", default="", help="only rows with this in their name, such as G4")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batchapi-benchmarks-") as folder:
        sqlite_url = f"sqlite:///{folder}/db.sqlite3"  # Not in memory, where a batch has one lane.
        os.environ.update(DJANGO_SETTINGS_MODULE="benchmarks.settings", DATABASE_URL=sqlite_url, DATABASE_POOL_SIZE="0")
        django.setup()
        print(f"Python {platform.python_version()}, Django {django.__version__}, {args.rounds} rounds\n")
        print("| | ours | other side | ratio | least to greatest |\n|---|---|---|---|---|")
        for name, measure in rows(args.rounds):
            if args.only in name:
                print(show(name, measure()), flush=True)
        show_waits(sqlite_url, rounds=min(args.rounds, WAITING_ROUNDS), only=args.only)
        if args.only in "G5 G10 kept chat":
            show_kept(sqlite_url, rounds=args.rounds)


def rows(rounds: int) -> Iterator[tuple[str, Callable[[], Pair]]]:
    """Name and measurement of each row of the first table."""
    from benchmarks.sides import (
        batch,
        direct,
        plans,
        times,
        under,
        urls,
    )  # Not at the top: it needs Django to be set up.

    hundred, ten, thousand = urls(100), urls(10), urls(1000)
    yield (
        "G1 batch of 100 trivial views / direct loop",
        lambda: compare(batch(hundred), direct(hundred), rounds=rounds),
    )
    yield (
        "Batch of 100 with retries and circuits / without",
        lambda: compare(
            under(batch(hundred)),
            under(batch(hundred), RETRY_ATTEMPTS=1, CIRCUIT_THRESHOLD=None),
            rounds=rounds,
        ),
    )
    yield (
        "G4 batch of 1,000 / 100 batches of 10",
        lambda: compare(batch(thousand), times(100, batch(ten)), rounds=rounds),
    )
    yield (
        "Plan of 10,000 / ten plans of 1,000",
        lambda: compare(plans(1, 10_000), plans(10, 1_000), rounds=rounds),
    )


def show(name: str, pair: Pair) -> str:
    """One row of the table."""
    least, greatest = pair.spread
    ours, theirs = f"{pair.ours * 1000:.2f} ms", f"{pair.theirs * 1000:.2f} ms"
    return f"| {name} | {ours} | {theirs} | {pair.ratio:.2f} | {least:.2f} to {greatest:.2f} |"


def show_waits(sqlite_url: str, *, rounds: int, only: str) -> None:
    """The second table: each database in a process of its own, since settings are read once."""
    from benchmarks.waits import CASES, HEADER

    if not any(only in case.name for case in CASES):
        return
    print(f"\n{HEADER}", flush=True)
    for name, environment in databases(sqlite_url):
        command = [sys.executable, "-m", "benchmarks.waits", name, f"--rounds={rounds}", f"--only={only}"]
        subprocess.run(command, env={**os.environ, **environment}, check=True)


def show_kept(sqlite_url: str, *, rounds: int) -> None:
    """The third and fourth table, with a Redis of their own."""
    from benchmarks.kept import HEADER, MIX_HEADER

    with redis_server() as redis_url:
        tables = (HEADER, [f"--rounds={rounds}"], "benchmarks.settings"), (MIX_HEADER, ["--mix"], "project.settings")
        for header, arguments, settings in tables:
            print(f"\n{header}", flush=True)
            for name, environment in databases(sqlite_url):
                if "pool" in name:
                    continue
                more = {"REDIS_URL": redis_url, "DJANGO_SETTINGS_MODULE": settings, "ALLOWED_HOSTS": "testserver"}
                command = [sys.executable, "-m", "benchmarks.kept", f"{name}, Redis", *arguments]
                variables = {**os.environ, **environment, **more, "LOG_LEVEL": "WARNING"}
                subprocess.run(command, env=variables, check=True)


def databases(sqlite_url: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Name and variables of each kind of database, as long as it runs."""
    yield "SQLite file", {"DATABASE_URL": sqlite_url}
    try:
        with postgres_server() as url:
            yield "PostgreSQL", {"DATABASE_URL": url}
            yield f"PostgreSQL, pool of {POOL_SIZE}", {"DATABASE_URL": url, "DATABASE_POOL_SIZE": str(POOL_SIZE)}
    except NoServer as missing:
        print(f"PostgreSQL is not measured: {missing}", file=sys.stderr)


if __name__ == "__main__":
    main()
