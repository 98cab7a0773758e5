"""Passes over Gaussian rows by whitened residuals: they keep their digits however narrow a component is.

r_ic = B_c (1, y_i), the residual of row i in coordinates where component c is N(0, I): one matrix product gives those
of all components. log N = -½ (|r|² + log|C| + d log 2π), and moments are taken in the coordinates of r, about its mean.
"""

from typing import NamedTuple

import numpy as np

from emcore.kernels.frame import Frame
from emcore.kernels.linear import even_blocks
from emcore.kernels.quadratic import negligible
from emcore.kernels.small import cholesky, half_log_det, trace_of_inverse
from emcore.kernels.softmax import Softmax, components_first, starts_first
from emcore.numerics import LOG_2PI

_WORK = 200_000  # numbers that a block may touch
_SHARPEST = 1e10  # Σ 1/λ over the eigenvalues of a covariance in the frame


class Moments(NamedTuple):
    """Counts (k,), means (k, d), scatter about them (k, d, d), and log p(x) (n_starts,)."""

    counts: np.ndarray
    means: np.ndarray
    scatter: np.ndarray
    log_likelihood: np.ndarray


class ResidualRows:
    """Rows y (1 + d, n) whose first entry is 1, in single or double precision; sums are kept in double."""

    def __init__(self, frame: Frame, y: np.ndarray, weight: np.ndarray | None) -> None:
        self._frame, self._y = frame, y
        self._weight = None if weight is None else weight.astype(y.dtype)

    def sweep(self, log_weights: np.ndarray, means: np.ndarray, dense: np.ndarray, n_starts: int) -> Moments | None:
        """Moments of x and log p(x) (n_starts,) for covariances (k, d, d); None where the rows have too few digits."""
        k, d = means.shape
        factors = cholesky(dense)
        maps = self._frame.residual_maps(factors, means[:, None])
        whiten = np.zeros((k, 1 + d, 1 + d))  # the 1 stays: its square counts rows
        whiten[:, 0, 0] = 1.0
        whiten[:, 1:] = maps
        constants = log_weights - half_log_det(factors) - 0.5 * (d * LOG_2PI - 1.0)
        sums, value = self._blocks(whiten, constants, n_starts)
        counts, first = sums[:, 0, 0], sums[:, 1:, 0]
        shift = first / np.where(counts > 0, counts, 1.0)[:, None]
        scatter = sums[:, 1:, 1:] - first[:, :, None] * shift[:, None, :]
        if not _resolved(scatter, counts, maps[:, :, 1:]):
            return None
        turned = factors @ scatter @ factors.transpose(0, 2, 1)
        return Moments(counts, means + (factors @ shift[:, :, None])[:, :, 0], turned, value)

    def _blocks(self, whiten: np.ndarray, constants: np.ndarray, n_starts: int) -> tuple[np.ndarray, np.ndarray]:
        """Σ_i q_ic r̃ r̃ᵀ (k, 1 + d, 1 + d) for r̃ = (1, r), and the log-likelihoods."""
        whiten, constants = components_first(whiten, n_starts), components_first(constants, n_starts)
        k, p = whiten.shape[:2]
        dtype = self._y.dtype
        stacked, offsets = whiten.reshape(k * p, p).astype(dtype), constants.astype(dtype)[:, None]
        blocks = even_blocks(self._y.shape[1], _WORK // (k * (2 * p + 1)))
        most = blocks[0].stop
        first, second = np.empty((2, k * p * most), dtype)
        joint, softmax = np.empty(k * most, dtype), Softmax(n_starts, k // n_starts, most, dtype)
        sums, value = np.zeros((k, p, p)), np.zeros(n_starts)
        for rows in blocks:
            m = rows.stop - rows.start
            residuals, product = (room[: k * p * m].reshape(k, p, m) for room in (first, second))
            q = joint[: k * m].reshape(k, m)
            np.matmul(stacked, self._y[:, rows], out=residuals.reshape(k * p, m))
            np.multiply(residuals, residuals, out=product)
            np.add.reduce(product, axis=1, out=q)
            q *= -0.5
            q += offsets
            value += softmax(q, None if self._weight is None else self._weight[rows])
            np.multiply(residuals, q[:, None], out=product)
            sums += product @ np.swapaxes(residuals, 1, 2)
        return starts_first(sums, n_starts), value


def _resolved(scatter: np.ndarray, counts: np.ndarray, maps: np.ndarray) -> bool:
    """Whether components are wide beside the rounding of the rows, before and after the moments were taken."""
    if not (maps * maps).sum(axis=(1, 2)).max() < _SHARPEST:
        return False
    whiten = np.linalg.inv(maps)
    size = trace_of_inverse(whiten @ scatter @ whiten.transpose(0, 2, 1)) * counts
    return bool(((size < _SHARPEST) | negligible(counts)).all())
