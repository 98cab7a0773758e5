"""`quadratic` for covariances without correlations: squares are all the products that a density needs."""

from typing import Any

import numpy as np

from emcore.families.covariance import Covariance, Diag, Full
from emcore.families.gaussian_stats import GaussianStats, WideStats
from emcore.kernels.frame import Frame
from emcore.kernels.quadratic import (
    SHARPEST,
    Form,
    FullForm,
    Natural,
    Sums,
    columns,
    counts_and_means,
    negligible,
    row_squares,
)
from emcore.numerics import LOG_2PI, DegenerateError


class DiagForm:
    """1, y and y²."""

    def __init__(self, shape: Covariance, frame: Frame) -> None:
        self._shape, self._centre, self._scale = shape, frame.centre, np.diagonal(frame.factor)
        self._kind: type[GaussianStats] = WideStats
        self.n_features = 1 + 2 * len(frame.centre)

    def fill(self, y: np.ndarray, out: np.ndarray) -> None:
        """See `Form.fill`."""
        out[: len(y)] = y
        np.multiply(y[1:], y[1:], out=out[len(y) :])

    def natural(self, log_weights: np.ndarray, params: Any) -> Natural | None:
        """See `Form.natural`."""
        variances = _refuse_singular(params.covariances)
        means, precisions = (params.means - self._centre) / self._scale, self._scale**2 / variances
        squares = means * means
        if not (precisions * squares + precisions).max() < SHARPEST:
            return None
        k, d = means.shape
        natural = np.empty((k, 1 + 2 * d))
        np.multiply(precisions, means, out=natural[:, 1 : 1 + d])
        np.multiply(precisions, -0.5, out=natural[:, 1 + d :])
        inner = precisions * squares + np.log(variances)
        natural[:, 0] = log_weights - 0.5 * (np.add.reduce(inner, axis=1) + d * LOG_2PI)
        return natural, 0.0

    def stats(self, sums: np.ndarray, n_starts: int) -> Sums | None:
        """See `Form.stats`."""
        d = len(self._centre)
        counts, means = counts_and_means(sums, d)
        column = counts[:, None]
        between = means * means * column
        scatter = sums[1 + d :].T - between
        kept, kind = between + column < SHARPEST * scatter, self._kind
        if not kept.all():
            kind = GaussianStats
            if not (kept.all(axis=1) | negligible(counts)).all():
                return None
        means = self._centre + means * self._scale
        return counts, kind(columns(counts, means), means, scatter * self._scale**2, self._shape)


class SphericalForm:
    """1, y and |y|²."""

    def __init__(self, shape: Covariance, frame: Frame) -> None:
        self._shape, self._centre, self._scale = shape, frame.centre, float(frame.factor[0, 0])
        self._kind: type[GaussianStats] = WideStats
        self.n_features = 2 + len(frame.centre)

    def fill(self, y: np.ndarray, out: np.ndarray) -> None:
        """See `Form.fill`."""
        out[: len(y)] = y
        np.einsum("jm,jm->m", y[1:], y[1:], out=out[len(y)])

    def natural(self, log_weights: np.ndarray, params: Any) -> Natural | None:
        """See `Form.natural`."""
        variances = _refuse_singular(params.covariances)
        means, precisions = (params.means - self._centre) / self._scale, self._scale**2 / variances
        squares = row_squares(means) * precisions
        if not (squares + precisions).max() < SHARPEST:
            return None
        k, d = means.shape
        natural = np.empty((k, 2 + d))
        np.multiply(precisions[:, None], means, out=natural[:, 1 : 1 + d])
        np.multiply(precisions, -0.5, out=natural[:, 1 + d])
        natural[:, 0] = log_weights - 0.5 * (squares + d * (np.log(variances) + LOG_2PI))
        return natural, 0.0

    def stats(self, sums: np.ndarray, n_starts: int) -> Sums | None:
        """See `Form.stats`."""
        counts, means = counts_and_means(sums, len(self._centre))
        between = row_squares(means) * counts
        scatter = sums[-1] - between
        kept, kind = between + counts < SHARPEST * scatter, self._kind
        if not kept.all():
            kind = GaussianStats
            if not (kept | negligible(counts)).all():
                return None
        means = self._centre + means * self._scale
        return counts, kind(columns(counts, means), means, scatter * self._scale**2, self._shape)


def _refuse_singular(variances: np.ndarray) -> np.ndarray:
    if not (variances > 0).all():
        raise DegenerateError("a covariance matrix is singular or not positive definite")
    return variances


def own_form(shape: Covariance, frame: Frame) -> Form:
    """The form of components with a covariance of their own."""
    if isinstance(shape, Full):
        return FullForm(shape, frame)
    return DiagForm(shape, frame) if isinstance(shape, Diag) else SphericalForm(shape, frame)
