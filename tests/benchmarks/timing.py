"""Contestants timed in turns, in one process: only the ratio of two times of one round is worth reporting."""

import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from threadpoolctl import threadpool_limits

Work = Callable[[int], object]  # does that many iterations


class Timed(NamedTuple):
    """Milliseconds of one unit of work, over rounds."""

    median: float
    low: float
    high: float


def alternate(
    contestants: Mapping[str, Work], iterations: tuple[int, int], rounds: int, *, one_thread: bool
) -> dict[str, list[float]]:
    """Milliseconds per iteration of each contestant in each round, by slope: set-up and the last look cancel.

    With iterations (0, 1) the work is timed as a whole. The contestants take turns within a round, and every second
    round goes backwards, so that a slow moment of the machine hits all of them.
    """
    few, many = iterations
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    with threads(one_thread):
        for work in contestants.values():
            work(many)  # warm up
        for turn in range(rounds):
            for name in list(contestants)[:: -1 if turn % 2 else 1]:
                short = seconds(contestants[name], few) if few else 0.0
                slope = (seconds(contestants[name], many) - short) / (many - few)
                taken[name].append(1e3 * slope)
    return taken


def threads(one: bool) -> AbstractContextManager:
    """Every BLAS and OpenMP held to one thread, or left as it ships."""
    return threadpool_limits(1) if one else nullcontext()


def seconds(work: Work, iterations: int) -> float:
    """Wall-clock time of one call."""
    gc.collect()
    start = time.perf_counter()
    work(iterations)
    return time.perf_counter() - start


def summary(samples: list[float]) -> Timed:
    """Median and range; a negative slope is noise that the median should not see."""
    sound = [sample for sample in samples if sample > 0] or samples
    return Timed(statistics.median(sound), min(sound), max(sound))


def peak_megabytes(work: Work, iterations: int) -> float:
    """Memory that Python and numpy held at most beyond what was there before."""
    gc.collect()
    tracemalloc.start()
    try:
        work(iterations)
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
