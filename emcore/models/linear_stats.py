"""Expected moments of (x, z) for a linear map from latent z to columns of x, each column over the rows that see it."""

from typing import NamedTuple

import numpy as np

from emcore.families.missing import has_holes
from emcore.posteriors import GaussianPosterior


class LinearStats(NamedTuple):
    """Moments about their means. Without missing cells all columns share those of z: an axis of 1 in place of d.

    Posterior means of z and their uncertainty are kept apart. Additive by `merge`, and blind to an offset of x.
    """

    counts: np.ndarray  # (1|d,)
    x_mean: np.ndarray  # (d,)
    z_mean: np.ndarray  # (1|d, q)
    x_scatter: np.ndarray  # (d,)
    cross: np.ndarray  # (d, q) of x with z
    z_scatter: np.ndarray  # (1|d, q, q) of the posterior means
    z_spread: np.ndarray  # (1|d, q, q) sum of the posterior covariances

    def merge(self, other: "LinearStats") -> "LinearStats":
        """stats(A ∪ B), by the pairwise update of Chan, Golub & LeVeque (1983), Amer. Statist. 37, 242-247."""
        counts = self.counts + other.counts
        share = np.divide(other.counts, counts, out=np.zeros_like(counts), where=counts > 0)
        factor = self.counts * share
        dx, dz = other.x_mean - self.x_mean, other.z_mean - self.z_mean
        return LinearStats(
            counts,
            self.x_mean + share * dx,
            self.z_mean + share[:, None] * dz,
            self.x_scatter + other.x_scatter + factor * dx * dx,
            self.cross + other.cross + (factor * dx)[:, None] * dz,
            self.z_scatter + other.z_scatter + factor[:, None, None] * _squares(dz),
            self.z_spread + other.z_spread,
        )


def linear_stats(x: np.ndarray, q: GaussianPosterior, weight: np.ndarray | None) -> LinearStats:
    """The moments of x (n, d), NaN where a cell is missing, and of z under q; rows counted by weight (n,)."""
    pivot, centred, rows = _about_pivot(x, np.ones(len(x)) if weight is None else weight)
    counts = rows.sum(axis=0)
    safe = np.maximum(counts, np.finfo(float).tiny)
    shift = (rows * centred).sum(axis=0) / safe
    centred = centred - shift
    weighted = rows * centred
    z_mean = rows.T @ q.means / safe[:, None]
    k = q.means.shape[1]
    z_scatter = (rows.T @ _squares(q.means).reshape(-1, k * k)).reshape(-1, k, k)
    covariances = q.factors @ q.factors.swapaxes(1, 2)
    if len(covariances) == 1:
        z_spread = counts[:, None, None] * covariances
    else:
        z_spread = (rows.T @ covariances.reshape(-1, k * k)).reshape(-1, k, k)
    return LinearStats(
        counts,
        pivot + shift,
        z_mean,
        (weighted * centred).sum(axis=0),
        weighted.T @ q.means,
        z_scatter - counts[:, None, None] * _squares(z_mean),
        z_spread,
    )


def _about_pivot(x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A value near each column (d,), x less that with 0 for missing cells, and the weight of every cell (n, 1|d)."""
    rows = weight[:, None]
    if not has_holes(x):
        pivot = x.mean(axis=0)
        return pivot, x - pivot, rows
    seen = ~np.isnan(x)
    pivot = np.where(seen, x, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    return pivot, np.where(seen, x - pivot, 0.0), rows * seen


def _squares(rows: np.ndarray) -> np.ndarray:
    """row rowᵀ for every row (n, q, q)."""
    return rows[:, :, None] * rows[:, None, :]
