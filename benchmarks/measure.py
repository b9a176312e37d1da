"""Two functions in, how long each takes out: run in turn, so that a machine whose speed drifts favours neither."""

import gc
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import NamedTuple


class Pair(NamedTuple):
    """Medians in seconds, and the median of the ratios of each round."""

    ours: float
    theirs: float
    ratio: float
    spread: tuple[float, float]  # the least and the greatest ratio


def compare(ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int) -> Pair:
    """Time both sides in turn, after two rounds to warm up."""
    for _ in range(2):
        ours()
        theirs()
    times = [(clock(ours), clock(theirs)) for _ in range(rounds)]
    ratios = sorted(mine / other for mine, other in times)
    return Pair(
        ours=median(mine for mine, _ in times),
        theirs=median(other for _, other in times),
        ratio=median(ratios),
        spread=(ratios[0], ratios[-1]),
    )


def clock(work: Callable[[], object]) -> float:
    """Seconds of one call, with the garbage of earlier ones out of the way."""
    gc.collect()
    begun = perf_counter()
    work()
    return perf_counter() - begun
