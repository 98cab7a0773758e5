"""Sufficient statistics of Gaussian components: counts, means, and scatter about those means.

Rows are centred before they are squared, so that an offset of the data costs no digits.
"""

from typing import NamedTuple

import numpy as np

from emcore.families.covariance import Covariance
from emcore.families.missing import MissingCells, has_holes

_TINY = float(np.finfo(float).tiny)


class GaussianStats(NamedTuple):
    """Counts, means and scatter about those means: additive by `merge`, and blind to any offset of the data."""

    counts: np.ndarray  # (k, d)
    mean: np.ndarray  # (k, d)
    scatter: np.ndarray  # as the covariance shape keeps it
    shape: Covariance

    def merge(self, other: "GaussianStats") -> "GaussianStats":
        """stats(A ∪ B), by the pairwise update of Chan, Golub & LeVeque (1983), Amer. Statist. 37, 242-247."""
        count = self.counts + other.counts
        share = np.divide(other.counts, count, out=np.zeros_like(count), where=count > 0)
        shift = other.mean - self.mean
        scatter = self.scatter + other.scatter + self.shape.outer(shift, self.counts * share)
        return GaussianStats(count, self.mean + share * shift, scatter, self.shape)

    def pooled_variances(self) -> np.ndarray:
        """Variance of each column over all rows (d,): within plus between components."""
        rows = np.maximum(self.counts.sum(axis=0), _TINY)
        shift = self.mean - (self.counts * self.mean).sum(axis=0) / rows
        between = (self.counts * shift * shift).sum(axis=0)
        return (between + self.shape.pool(self.scatter, self.counts)) / rows


class WideStats(GaussianStats):
    """Statistics that were taken where it showed that every component is wide beside the spread of all rows.

    An M-step on them need not look for a collapse.
    """

    __slots__ = ()


def stats_of_rows(shape: Covariance, x: np.ndarray, responsibilities: np.ndarray) -> GaussianStats:
    """Statistics of rows (n, d) under responsibilities (n, k); a missing cell is left out of every sum."""
    if has_holes(x):
        seen = ~np.isnan(x)
        pivot = np.where(seen, x, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        count = responsibilities.T @ seen.astype(float)
        sums = responsibilities.T @ np.where(seen, x - pivot, 0.0)
    else:
        pivot = x.mean(axis=0)
        sums = responsibilities.T @ (x - pivot)
        count = np.broadcast_to(responsibilities.sum(axis=0)[:, None], sums.shape)
    mean = pivot + np.divide(sums, count, out=np.zeros_like(sums), where=count > 0)
    return GaussianStats(count, mean, shape.scatter(x, responsibilities, mean), shape)


def stats_of_completed(shape: Covariance, cells: MissingCells, responsibilities: np.ndarray) -> GaussianStats:
    """Statistics in expectation over the missing cells: of the completed rows, plus the cells' own covariance."""
    pivot = cells.completed.mean(axis=(0, 1))
    sums = np.einsum("nk,knd->kd", responsibilities, cells.completed - pivot)
    count = np.broadcast_to(responsibilities.sum(axis=0)[:, None], sums.shape)
    mean = pivot + np.divide(sums, count, out=np.zeros_like(sums), where=count > 0)
    weighted = cells.spread * np.sqrt(cells.pattern_counts(responsibilities))[..., None, None]
    spread = (weighted @ np.swapaxes(weighted, -1, -2)).sum(axis=1)
    scatter = shape.scatter(cells.completed, responsibilities, mean) + shape.collect(spread)
    return GaussianStats(count, mean, scatter, shape)
