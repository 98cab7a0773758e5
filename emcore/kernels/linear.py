"""Passes over rows whose log-joints are linear in features of the row.

log p(x_i, z = c)  =  W_c · f(x_i)                  one matrix product for a block of rows
E Σ_i t(x_i, z_i)  =  Σ_i p(z = c | x_i) f(x_i)     another
Every mixture of exponential families is of this form: W holds natural parameters and log-normalisers, and f the
sufficient statistics and a 1. Features come first, (p, n), so that columns of a block are contiguous.
Reference: Wainwright & Jordan (2008), Found. Trends Mach. Learn. 1, section 3.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from emcore.kernels.softmax import Softmax, components_first, starts_first

_WORK = 100_000  # numbers that a block may touch (800 kB): they stay in the second-level cache
_FEWEST, _MOST = 512, 16_384  # rows of a block


class Features(Protocol):
    """f(x_i) of every row."""

    shape: tuple[int, int]  # (p, n)

    def block(self, rows: slice) -> np.ndarray:
        """f (p, m) of some rows, to be read before the next call."""
        ...


class Stored:
    """Features that are all kept."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values  # (p, n)
        self.shape = values.shape

    def block(self, rows: slice) -> np.ndarray:
        """A view."""
        return self._values[:, rows]


class Made:
    """Features made block by block from a shorter row: less to keep, and less to read."""

    def __init__(self, base: np.ndarray, p: int, fill: Callable[[np.ndarray, np.ndarray], None]) -> None:
        self._base, self._fill = base, fill  # (d, n); writes features (p, m) of rows (d, m) into its second argument
        self.shape = (p, base.shape[1])
        self._room = np.empty(0)

    def block(self, rows: slice) -> np.ndarray:
        """Made now, where the last block was."""
        base = self._base[:, rows]
        size = self.shape[0] * base.shape[1]
        if len(self._room) < size:
            self._room = np.empty(size)
        out = self._room[:size].reshape(self.shape[0], -1)
        self._fill(base, out)
        return out


class LinearRows:
    """Rows known by their features, with weights."""

    def __init__(self, features: Features, weight: np.ndarray | None) -> None:
        self._features, self._weight = features, weight
        self._plan: tuple[tuple[int, int], np.ndarray, Softmax, list[slice]] | None = None

    def sweep(self, natural: np.ndarray, n_starts: int) -> tuple[np.ndarray, np.ndarray]:
        """Σ_i weight_i p(z = c | x_i) f(x_i) (p, n_starts·k), and Σ_i weight_i log p(x_i) (n_starts,).

        `natural` is W (n_starts·k, p). Values are NaN where a row has no posterior.
        """
        components, p = natural.shape
        room, softmax, blocks = self._planned(components, n_starts)
        natural = components_first(natural, n_starts)
        sums, value = np.empty((p, components)), np.zeros(n_starts)
        for number, rows in enumerate(blocks):
            features = self._features.block(rows)
            m = features.shape[1]
            q = room[: components * m].reshape(components, m)
            np.matmul(natural, features, out=q)
            value += softmax(q, None if self._weight is None else self._weight[rows])
            if number:
                sums += features @ q.T
            else:
                np.matmul(features, q.T, out=sums)
        return starts_first(sums.T, n_starts).T, value

    def _planned(self, components: int, n_starts: int) -> tuple[np.ndarray, Softmax, list[slice]]:
        """Room for a block, and the blocks; kept until a sweep of another size."""
        if self._plan is None or self._plan[0] != (components, n_starts):
            p, n = self._features.shape
            blocks = even_blocks(n, _WORK // (p + components))
            most = blocks[0].stop
            room, softmax = np.empty(components * most), Softmax(n_starts, components // n_starts, most)
            self._plan = ((components, n_starts), room, softmax, blocks)
        return self._plan[1:]


def even_blocks(n: int, size: int) -> list[slice]:
    """Blocks of nearly equal length, none above `size` (itself kept between 512 and 16,384) rows."""
    size = min(max(size, _FEWEST), _MOST)
    number = -(-n // size)
    length = -(-n // number)
    return [slice(start, min(start + length, n)) for start in range(0, n, length)]
