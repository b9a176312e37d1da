"""`python -m benchmarks`: measures each row, both sides in turn, and prints the table."""

import argparse
import os
import platform
from collections.abc import Iterator

import django

from benchmarks.measure import Pair, compare

HELP = """\
Measures what docs and README claim, on this machine, and prints a table.

Each row times two sides in turn and gives the median of the ratios, so it holds on a noisy machine.
"""


def main() -> None:
    """Set Django up, then measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=HELP)
    parser.add_argument("--rounds", type=int, default=31, help="rounds of each row (default: 31)")
    args = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
    django.setup()
    print(f"Python {platform.python_version()}, Django {django.__version__}, {args.rounds} rounds\n")
    print("| | ours | other side | ratio | least to greatest |\n|---|---|---|---|---|")
    for row in rows(args.rounds):
        print(row, flush=True)


def rows(rounds: int) -> Iterator[str]:
    """The rows of the table."""
    from benchmarks.sides import batch, direct, plans, urls  # Not at the top: it needs Django to be set up.

    paths = urls(100)
    yield show("G1 batch of 100 trivial views / direct loop", compare(batch(paths), direct(paths), rounds=rounds))
    yield show("Plan of 10,000 / ten plans of 1,000", compare(plans(1, 10_000), plans(10, 1_000), rounds=rounds))


def show(name: str, pair: Pair) -> str:
    """One row of the table."""
    least, greatest = pair.spread
    ours, theirs = f"{pair.ours * 1000:.2f} ms", f"{pair.theirs * 1000:.2f} ms"
    return f"| {name} | {ours} | {theirs} | {pair.ratio:.2f} | {least:.2f} to {greatest:.2f} |"


if __name__ == "__main__":
    main()
