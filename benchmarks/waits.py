"""`python -m benchmarks.waits NAME`: batches of views that wait, on the database of DATABASE_URL, rows of a table out.

What they could take is as long as the longest of them waits; what they take beyond that went into opening lanes,
finding work for them and calling the views.
"""

import argparse
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import django

from benchmarks.measure import compare

HEADER = "| | on | batch | one by one | ratio | could be | lost | lanes |\n|---|---|---|---|---|---|---|---|"


class Case(NamedTuple):
    """A batch: how many milliseconds each view waits, and which view it is."""

    name: str
    waits: tuple[int, ...]
    view: str = "asking"

    @property
    def paths(self) -> list[str]:
        """Their URLs, no two alike."""
        return [f"/api/{self.view}/{ms}/{number}/" for number, ms in enumerate(self.waits)]


CASES = (
    Case("G6 20 of 50 ms", (50,) * 20, view="waiting"),
    Case("20 of 50 ms, each after a query", (50,) * 20),
    Case("20 of 1 ms, each after a query", (1,) * 20),
    Case("10 of 50 ms and 10 of 1 ms in turn, each after a query", (50, 1) * 10),
)


def main() -> None:
    """Measure each case on the one database of this process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waits", description=__doc__)
    parser.add_argument("name", help="what the rows call the database")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    django.setup()
    for case in CASES:
        if args.only in case.name:
            print(row(case, args.name, rounds=args.rounds), flush=True)


def row(case: Case, database: str, *, rounds: int) -> str:
    """One row of the table."""
    from benchmarks.sides import batch, direct  # Not at the top: it needs Django to be set up.

    counts: list[int] = []
    pair = compare(counting(batch(case.paths), counts), direct(case.paths), rounds=rounds)
    lanes = counts[-rounds:]  # Not those of the warm-up.
    could_be = max(case.waits) / 1000
    times = (pair.ours, pair.theirs, could_be, pair.ours - could_be)
    ours, theirs, best, lost = (f"{seconds * 1000:.1f} ms" for seconds in times)
    shown = f"{median(lanes):g} ({min(lanes)} to {max(lanes)})"
    return f"| {case.name} | {database} | {ours} | {theirs} | {pair.ratio:.2f} | {best} | {lost} | {shown} |"


def counting(run: Callable[[], object], counts: list[int]) -> Callable[[], object]:
    """The same, and on how many threads its views ran."""
    from benchmarks.urls import Waiting

    def run_and_count() -> None:
        Waiting.threads.clear()
        run()
        counts.append(len(Waiting.threads))

    return run_and_count


if __name__ == "__main__":
    main()
