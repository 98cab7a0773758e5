"""Rows in chunks, each with a kernel of its own, one after another or on several threads.

The chunks follow from the sizes of the problem alone and their sums are added in order, so the bits of a result do not
hang on the number of threads. A chunk is worth about 20 ms: below that, threads wait for one another more than they do.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import reduce
from typing import Any

import numpy as np

from emcore.kernels.base import Kernel, MixtureStats, is_pile, pile_up, take_apart
from emcore.trees import add_stats

_WORK = 4e8  # products of a chunk
_FEWEST = 16_384  # rows of a chunk


def chunk_rows(k: int, d: int) -> int:
    """Rows of a chunk for k components in d features."""
    return max(int(_WORK / (2 * k * (d + 1) * (d + 2))), _FEWEST)


class ChunkedKernel:
    """Several kernels, of consecutive rows; `plain`, of all rows, finds the number of a row that is refused."""

    def __init__(self, parts: Sequence[Kernel], plain: Kernel, shared: Mapping[str, int], threads: int) -> None:
        self._parts, self._plain, self._shared = parts, plain, shared
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def evaluate(self, params: Any, n_starts: int = 1) -> tuple[MixtureStats, np.ndarray]:
        """See `Kernel.evaluate`."""

        def one(part: Kernel) -> tuple[MixtureStats, np.ndarray]:
            return part.evaluate(params, n_starts)

        try:
            with one_blas_thread() if self._pool else nullcontext():
                found = list(self._pool.map(one, self._parts) if self._pool else map(one, self._parts))
        except ValueError:
            self._plain.evaluate(params, n_starts)
            raise
        stats = self._sum([part for part, _ in found], n_starts, piled=is_pile(params, self._shared))
        return stats, reduce(np.add, [value for _, value in found])

    def _sum(self, parts: list[MixtureStats], n_starts: int, *, piled: bool) -> MixtureStats:
        if not self._shared or not piled:
            return reduce(add_stats, parts)
        by_start = zip(*(take_apart(part, n_starts, self._shared) for part in parts))
        return pile_up([reduce(add_stats, own) for own in by_start], self._shared)


def one_blas_thread() -> AbstractContextManager:
    """The BLAS held to one thread: its own threads would fight with those of the rows."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise ImportError("threads= needs threadpoolctl: pip install 'emcore-learn[threads]'") from error
    return threadpool_limits(1, user_api="blas")
