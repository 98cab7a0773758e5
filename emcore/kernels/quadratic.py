"""Gaussian log-densities as linear functions of 1, y and products of y: natural parameters in, statistics out.

log N = -½ (d log 2π + log|C| + |r|²) with r = B (1, y) the residual in coordinates where the component is N(0, I), so
that |r|² = Σ_ij (BᵀB)_ij y_i y_j, y_0 = 1. Full covariances need all products, diagonal ones the squares,
spherical ones |y|². Under a tied one the products are the same for every component: responsibilities need 1 and y, and
the products' sum over all rows is known beforehand.
The price is cancellation: a relative error of about ε (1 + |m|²) / λ, where m is the mean and λ the smallest
eigenvalue of the covariance in the frame, before the M-step and after. A form answers None where that exceeds 3e-11.
Reference: Wainwright & Jordan (2008), Found. Trends Mach. Learn. 1, section 3.
"""

from typing import Any, Protocol

import numpy as np

from emcore.families.covariance import Covariance
from emcore.families.gaussian_stats import GaussianStats, WideStats
from emcore.kernels.frame import Frame
from emcore.kernels.small import cholesky, half_log_det, trace, trace_of_inverse
from emcore.numerics import LOG_2PI

SHARPEST = 3e5  # (1 + |m|²) / λ
_NEARLY_COLLINEAR = 0.03  # smallest singular value of the rows with columns of length 1
_NOTHING = 1e-12  # share of the rows; an M-step refuses components below 1e-10
_TINY = np.finfo(float).tiny

Sums = tuple[np.ndarray, GaussianStats]  # expected rows of each component (k,), and the family's statistics
Natural = tuple[np.ndarray, Any]  # W (k, p), and what log p of all rows together gains beside it


class Form(Protocol):
    """The features of one covariance shape, and what the sums of features mean."""

    n_features: int

    def fill(self, y: np.ndarray, out: np.ndarray) -> None:
        """Features (p, m) of rows y (1 + d, m), the 1 included."""
        ...

    def natural(self, log_weights: np.ndarray, params: Any) -> Natural | None:
        """The log-joint as a linear function of the features; None where digits would be lost."""
        ...

    def stats(self, sums: np.ndarray, n_starts: int) -> Sums | None:
        """Statistics from sums of features (p, k); None where digits were lost."""
        ...


class FullForm:
    """1, y, and y_i y_j for i ≤ j."""

    def __init__(self, shape: Covariance, frame: Frame) -> None:
        self._shape, self._frame, self._kind = shape, frame, kind_of_stats(frame)
        p = 1 + len(frame.centre)
        rows, columns = np.triu_indices(p)
        self.n_features = len(rows)
        self._pairs = rows * p + columns
        self._factors = np.where(rows == columns, -0.5, -1.0)
        place = np.empty((p, p), np.intp)  # which product is y_i y_j
        place[rows, columns] = place[columns, rows] = np.arange(len(rows))
        self._place = place[1:, 1:]

    def fill(self, y: np.ndarray, out: np.ndarray) -> None:
        """See `Form.fill`."""
        start = p = len(y)
        near = out[:p]  # rows of a block that lie together are read faster
        near[:] = y
        for i in range(1, p):
            np.multiply(near[i], near[i:], out=out[start : start + p - i])
            start += p - i

    def natural(self, log_weights: np.ndarray, params: Any) -> Natural | None:
        """See `Form.natural`."""
        means, factors = params.means, cholesky(params.covariances)
        k, d = means.shape
        maps = self._frame.residual_maps(factors, means[:, None])
        products = maps.transpose(0, 2, 1) @ maps
        natural = products.reshape(k, -1).take(self._pairs, axis=1)
        natural *= self._factors
        if not self._sharp(maps, means):
            return None
        natural[:, 0] += log_weights - 0.5 * d * LOG_2PI - half_log_det(factors)
        return natural, 0.0

    def _sharp(self, maps: np.ndarray, means: np.ndarray) -> bool:
        """Whether (1 + |m|²) Σ 1/λ is small enough for each component; two sums over all of them mostly tell."""
        centred = (means - self._frame.centre) @ self._frame.inverse.T
        if np.vdot(maps, maps) * (1.0 + np.vdot(centred, centred)) < SHARPEST:
            return True
        inner = maps[:, :, 1:]
        return bool(((inner * inner).sum(axis=(1, 2)) * (1.0 + row_squares(centred))).max() < SHARPEST)

    def stats(self, sums: np.ndarray, n_starts: int) -> Sums | None:
        """See `Form.stats`."""
        counts, means = counts_and_means(sums, len(self._place))
        second = sums.take(self._place, axis=0).transpose(2, 0, 1)
        scatter = second - sums[1 : 1 + means.shape[1]].T[:, :, None] * means[:, None]
        kept, kind = kept_digits(scatter, counts, row_squares(means) + 1.0), self._kind
        if not kept.all():
            kind = GaussianStats
            if not (kept | negligible(counts)).all():
                return None
        centre, factor, _ = self._frame
        scatter = factor @ scatter @ factor.T
        return counts, kind(columns(counts, means), centre + means @ factor.T, scatter, self._shape)


class TiedForm:
    """1 and y: what the products add is the same whoever is responsible."""

    def __init__(self, shape: Covariance, frame: Frame, y: np.ndarray, weight: np.ndarray | None) -> None:
        self._shape, self._frame, self._kind = shape, frame, kind_of_stats(frame)
        self.n_features = len(y)
        second = (y if weight is None else y * weight) @ y.T
        self._rows, self._second = second[0, 0], second[1:, 1:]  # of all rows

    def fill(self, y: np.ndarray, out: np.ndarray) -> None:
        """See `Form.fill`."""
        out[:] = y

    def natural(self, log_weights: np.ndarray, params: Any) -> Natural | None:
        """See `Form.natural`; covariances (n_starts, d, d)."""
        means, factors = params.means, cholesky(params.covariances)
        (k, d), n_starts = means.shape, len(factors)
        c = k // n_starts
        maps = self._frame.residual_maps(factors, means.reshape(n_starts, c, d))
        offsets, slopes = maps[:, :, :c].transpose(0, 2, 1), maps[:, :, c:]
        precisions = slopes.transpose(0, 2, 1) @ slopes
        centred = (means - self._frame.centre) @ self._frame.inverse.T
        far = 1.0 + row_squares(centred).reshape(n_starts, c).max(axis=1)
        if not (trace(precisions) * far).max() < SHARPEST:
            return None
        natural = np.empty((k, 1 + d))
        natural[:, 1:] = (offsets @ -slopes).reshape(k, d)
        constants = -0.5 * row_squares(offsets) - (half_log_det(factors) + 0.5 * d * LOG_2PI)[:, None]
        np.add(constants.ravel(), log_weights, out=natural[:, 0])
        return natural, -0.5 * (precisions.reshape(n_starts, -1) @ self._second.ravel())

    def stats(self, sums: np.ndarray, n_starts: int) -> Sums | None:
        """See `Form.stats`; scatter (n_starts, d, d)."""
        counts, means = counts_and_means(sums, len(sums) - 1)
        by_start = means.reshape(n_starts, -1, means.shape[1])
        between = (by_start * counts.reshape(n_starts, -1, 1)).transpose(0, 2, 1) @ by_start
        scatter = self._second - between
        far = (row_squares(by_start) + 1.0).max(axis=1)
        if not kept_digits(scatter, np.full(n_starts, self._rows), far).all():
            return None
        centre, factor, _ = self._frame
        scatter = factor @ scatter @ factor.T
        return counts, self._kind(columns(counts, means), centre + means @ factor.T, scatter, self._shape)


def kept_digits(scatter: np.ndarray, counts: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Where scatter / counts (k, d, d) is well above the rounding of products whose size is `far` (k,)."""
    return trace_of_inverse(scatter) * counts * far < SHARPEST  # False for NaN too


def negligible(counts: np.ndarray) -> np.ndarray:
    """Components whose share of the rows is nothing beside what an M-step can use: their digits do not matter."""
    return counts <= _NOTHING * counts.sum()


def kind_of_stats(frame: Frame) -> type[GaussianStats]:
    """What statistics with all their digits are: λ of 3e-6 and more beside all rows is no collapse in any units.

    Unless the columns of all rows are themselves nearly collinear.
    """
    scaled = frame.factor / np.linalg.norm(frame.factor, axis=1)[:, None]
    return WideStats if np.linalg.svd(scaled, compute_uv=False)[-1] > _NEARLY_COLLINEAR else GaussianStats


def row_squares(rows: np.ndarray) -> np.ndarray:
    """|row|² over the last axis."""
    return np.add.reduce(rows * rows, axis=-1)


def counts_and_means(sums: np.ndarray, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts (k,) and means (k, d) from the first 1 + d sums (p, k)."""
    counts = sums[0].copy()
    return counts, (sums[1 : 1 + d] / np.maximum(counts, _TINY)).T


def columns(counts: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Counts (k, d), the same for every feature."""
    out = np.empty(means.shape)
    out[:] = counts[:, None]
    return out
