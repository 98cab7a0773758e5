"""Marginals and tilts of a smoothed chain: in the packing that a scan leaves, and by row."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from emcore.chain.layout import Layout


class RowTables(NamedTuple):
    """Marginals, tilts (each row up to a factor) and log emissions (t, k)."""

    probs: np.ndarray
    tilts: np.ndarray
    log_emissions: np.ndarray


@dataclass(frozen=True, eq=False)
class Packed:
    """The same as a scan leaves them, in tables (see `Pack.tables`); by row only when asked."""

    layout: Layout
    transitions: np.ndarray  # (k, k)
    shares: np.ndarray  # (k t,) past / (past · future): times transitions and the tilt of the next step, a pair's odds
    marginals: np.ndarray  # (k t,)
    weighed: np.ndarray  # (k t,) the tilts: emission times future, so scaled that future = transitions · next tilt
    log_columns: np.ndarray  # (k, t) log emissions by place

    @property
    def _k(self) -> int:
        return len(self.transitions)

    @cached_property
    def probs(self) -> np.ndarray:
        """Marginals (t, k)."""
        return self.layout.by_row(self.marginals, self._k)

    @property
    def firsts(self) -> np.ndarray:
        """The marginals of the first step of every sequence (n, k)."""
        firsts = np.empty((len(self.layout), self._k))
        for pack in self.layout.packs:
            pieces = pack.by_level[: pack.level_bounds[1]]
            firsts[pack.sequence[pieces]] = pack.heads(pack.tables(self.marginals, self._k))[:, pieces].T
        return firsts

    def place_blocks(self, size: int) -> Iterator[tuple[slice, np.ndarray]]:
        """Places in blocks of about `size`, and their marginals (b, k)."""
        for pack in self.layout.packs:
            tables = pack.tables(self.marginals, self._k)
            for slab, steps, places in pack.chunks(size):
                yield places, tables[slab][steps].transpose(1, 0, 2).reshape(self._k, -1).T

    @cached_property
    def tilts(self) -> np.ndarray:
        """Tilts (t, k)."""
        return self.layout.by_row(self.weighed, self._k)

    @cached_property
    def log_emissions(self) -> np.ndarray:
        """Log emissions (t, k)."""
        return np.take(self.log_columns, self.layout.inverse, axis=1, mode="clip").T

    def pair_counts(self, weight: np.ndarray | None) -> np.ndarray:
        """Σ of Q(z_s-1, z_s) over all transitions (k, k), those of sequence i times weight_i (n,)."""
        counts = np.zeros_like(self.transitions)
        for pack in self.layout.packs:
            shares, tilts = (pack.tables(flat, self._k) for flat in (self.shares, self.weighed))
            own = None if weight is None else weight[pack.sequence]
            counts += self._within(shares, tilts, own)
            before, here = pack.seams
            if len(here):
                share, tilt = pack.tails(shares)[:, before], pack.heads(tilts)[:, here]
                share /= (share * (self.transitions @ tilt)).sum(axis=0)
                counts += (share if own is None else share * own[here]) @ tilt.T
        return self.transitions * counts

    def _within(self, shares: list[np.ndarray], tilts: list[np.ndarray], weight: np.ndarray | None) -> np.ndarray:
        """Pairs of steps of one piece. `weight` (pieces,)."""
        counts, last = np.zeros_like(self.transitions), None
        for share, tilt in zip(shares, tilts):
            width = tilt.shape[2]
            ahead = tilt if weight is None else tilt * weight[:width]
            if last is not None:
                counts += last[:, :width] @ ahead[0].T
            counts += np.matmul(share[:-1], ahead[1:].transpose(0, 2, 1)).sum(axis=0)
            last = share[-1]
        return counts
