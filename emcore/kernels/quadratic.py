"""Gaussian log-densities as linear functions of 1, y and products of y: natural parameters in, moments out.

log N(y; m, C)  =  -½ (d log 2π + log|C| + mᵀC⁻¹m)  +  (C⁻¹m)ᵀ y  -  ½ Σ_ij (C⁻¹)_ij y_i y_j
Full covariances need all products, diagonal ones the squares, spherical ones |y|². Under a tied covariance the products
are the same for every component: responsibilities need 1 and y alone, and the products' sum over all rows is known.
The price is cancellation: about ε (1 + |m|²) / λ, λ the smallest eigenvalue of C, and C of the moments too. Each form
answers None above 3e-11: where a component is narrower than 2e-3 of all rows (see `residual`).
Reference: Wainwright & Jordan (2008), Found. Trends Mach. Learn. 1, section 3.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from emcore.families.covariance import Covariance, Diag, Full, Spherical, Tied
from emcore.kernels.frame import Components
from emcore.numerics import LOG_2PI, DegenerateError, cholesky, log_det_from_cholesky

_SHARPEST = 3e5  # (1 + |m|²) / λ

Moments = tuple[np.ndarray, np.ndarray, np.ndarray]  # counts (k,), means (k, d), scatter about them


class Form(Protocol):
    """The features of one covariance shape, and what the sums of features mean."""

    n_features: int

    def fill(self, y: np.ndarray, out: np.ndarray) -> None:
        """Features (p, m) of rows y (1 + d, m), the 1 included."""
        ...

    def natural(self, components: Components) -> tuple[np.ndarray, Any] | None:
        """W (k, p), and what log p of all rows together gains beside it; None where digits would be lost."""
        ...

    def moments(self, sums: np.ndarray, n_starts: int) -> Moments | None:
        """Moments from sums of features (p, k); None where digits were lost."""
        ...


class FullForm:
    """1, y, and y_i y_j for i ≤ j."""

    def __init__(self, d: int) -> None:
        self._pairs = np.triu_indices(d)
        self._twice = np.where(self._pairs[0] == self._pairs[1], -0.5, -1.0)
        self._place = np.empty((d, d), np.intp)  # which product is y_i y_j
        self._place[self._pairs] = self._place.T[self._pairs] = 1 + d + np.arange(len(self._twice))
        self.n_features = 1 + d + len(self._twice)

    def fill(self, y: np.ndarray, out: np.ndarray) -> None:
        """See `Form.fill`."""
        start = len(y)
        out[:start] = y
        for i in range(1, len(y)):
            np.multiply(y[i], y[i:], out=out[start : start + len(y) - i])
            start += len(y) - i

    def natural(self, components: Components) -> tuple[np.ndarray, Any] | None:
        """See `Form.natural`."""
        log_weights, means, covariances = components
        precisions, log_det, loss = _invert(covariances, means)
        if not loss.max() < _SHARPEST:
            return None
        linear, constants = _linear_part(means, precisions, log_det)
        natural = np.empty((len(means), self.n_features))
        natural[:, 0] = constants + log_weights
        natural[:, 1 : 1 + means.shape[1]] = linear
        np.multiply(precisions[:, self._pairs[0], self._pairs[1]], self._twice, out=natural[:, 1 + means.shape[1] :])
        return natural, 0.0

    def moments(self, sums: np.ndarray, n_starts: int) -> Moments | None:
        """See `Form.moments`."""
        counts, means = _counts_and_means(sums, len(self._place))
        second = np.moveaxis(sums[self._place], 2, 0)
        scatter = second - counts[:, None, None] * means[:, :, None] * means[:, None, :]
        return (counts, means, scatter) if _kept_digits(scatter, counts, means) else None


class TiedForm:
    """1 and y: what the squares add is the same whoever is responsible."""

    def __init__(self, y: np.ndarray, weight: np.ndarray | None) -> None:
        self.n_features = len(y)
        self._second = (y if weight is None else y * weight) @ y.T  # of all rows, 1 included

    def fill(self, y: np.ndarray, out: np.ndarray) -> None:
        """See `Form.fill`."""
        out[:] = y

    def natural(self, components: Components) -> tuple[np.ndarray, Any] | None:
        """See `Form.natural`."""
        log_weights, means, covariances = components  # covariances (n_starts, d, d)
        n_starts, d = covariances.shape[:2]
        by_start = means.reshape(n_starts, -1, d)
        precisions, log_det, loss = _invert(covariances, by_start)
        if not loss.max() < _SHARPEST:
            return None
        linear, constants = _linear_part(by_start, precisions, log_det[:, None])
        natural = np.empty((len(means), 1 + d))
        natural[:, 0] = constants.ravel() + log_weights
        natural[:, 1:] = linear.reshape(-1, d)
        return natural, -0.5 * (precisions * self._second[1:, 1:]).sum(axis=(1, 2))

    def moments(self, sums: np.ndarray, n_starts: int) -> Moments | None:
        """See `Form.moments`."""
        counts, means = _counts_and_means(sums, len(sums) - 1)
        by_start = means.reshape(n_starts, -1, means.shape[1])
        between = np.swapaxes(by_start * counts.reshape(n_starts, -1, 1), 1, 2) @ by_start
        scatter = self._second[1:, 1:] - between
        kept = _kept_digits(scatter, np.full(n_starts, self._second[0, 0]), by_start)
        return (counts, means, scatter) if kept else None


class DiagForm:
    """1, y and y²."""

    def __init__(self, d: int) -> None:
        self.n_features = 1 + 2 * d

    def fill(self, y: np.ndarray, out: np.ndarray) -> None:
        """See `Form.fill`."""
        out[: len(y)] = y
        np.multiply(y[1:], y[1:], out=out[len(y) :])

    def natural(self, components: Components) -> tuple[np.ndarray, Any] | None:
        """See `Form.natural`."""
        log_weights, means, variances = components
        _refuse_singular(variances)
        precisions = 1.0 / variances
        if not ((1.0 + means * means) * precisions).max() < _SHARPEST:
            return None
        linear = precisions * means
        inner = linear * means + np.log(variances) + LOG_2PI
        return np.concatenate(
            [(log_weights - 0.5 * inner.sum(axis=1))[:, None], linear, -0.5 * precisions], axis=1
        ), 0.0

    def moments(self, sums: np.ndarray, n_starts: int) -> Moments | None:
        """See `Form.moments`."""
        d = len(sums) // 2
        counts, means = _counts_and_means(sums, d)
        squares = means * means
        scatter = sums[1 + d :].T - counts[:, None] * squares
        return (counts, means, scatter) if (counts[:, None] * (1.0 + squares) < _SHARPEST * scatter).all() else None


class SphericalForm:
    """1, y and |y|²."""

    def __init__(self, d: int) -> None:
        self.n_features = 2 + d

    def fill(self, y: np.ndarray, out: np.ndarray) -> None:
        """See `Form.fill`."""
        out[: len(y)] = y
        np.einsum("jm,jm->m", y[1:], y[1:], out=out[len(y)])

    def natural(self, components: Components) -> tuple[np.ndarray, Any] | None:
        """See `Form.natural`."""
        log_weights, means, variances = components
        _refuse_singular(variances)
        squares = (means * means).sum(axis=1)
        if not ((1.0 + squares) / variances).max() < _SHARPEST:
            return None
        inner = squares / variances + means.shape[1] * (np.log(variances) + LOG_2PI)
        columns = (log_weights - 0.5 * inner)[:, None], means / variances[:, None], -0.5 / variances[:, None]
        return np.concatenate(columns, axis=1), 0.0

    def moments(self, sums: np.ndarray, n_starts: int) -> Moments | None:
        """See `Form.moments`."""
        d = len(sums) - 2
        counts, means = _counts_and_means(sums, d)
        squares = (means * means).sum(axis=1)
        scatter = sums[-1] - counts * squares
        return (counts, means, scatter) if (counts * (1.0 + squares) < _SHARPEST * scatter).all() else None


def form_of(shape: Covariance, y: np.ndarray, weight: np.ndarray | None) -> Form:
    """The form of a covariance shape for rows y (1 + d, n)."""
    if isinstance(shape, Tied):
        return TiedForm(y, weight)
    forms: dict[type, Callable[[int], Form]] = {Full: FullForm, Diag: DiagForm, Spherical: SphericalForm}
    return forms[type(shape)](len(y) - 1)


def _invert(covariances: np.ndarray, means: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inverses (k, d, d), log-determinants (k,), and (1 + |m|²) / λ at most, for means (k, d) or (k, ..., d)."""
    factors = cholesky(covariances)
    inverse = np.linalg.inv(factors)
    precisions = np.swapaxes(inverse, 1, 2) @ inverse
    return precisions, log_det_from_cholesky(factors), _loss(precisions, means)


def _loss(precisions: np.ndarray, means: np.ndarray) -> np.ndarray:
    squares = 1.0 + (means * means).sum(axis=-1)
    return np.einsum("kii->k", precisions) * (squares if squares.ndim == 1 else squares.max(axis=1))


def _kept_digits(scatter: np.ndarray, counts: np.ndarray, means: np.ndarray) -> bool:
    """Whether scatter (k, d, d) is well above the rounding of the products it was taken from."""
    try:
        precisions = np.linalg.inv(scatter) * counts[:, None, None]
    except np.linalg.LinAlgError:
        return False
    loss = _loss(precisions, means)
    return bool(loss.min() > 0.0 and loss.max() < _SHARPEST)


def _linear_part(means: np.ndarray, precisions: np.ndarray, log_det: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """C⁻¹ m and -½ (d log 2π + log|C| + mᵀ C⁻¹ m) for means (k, d), or (k, c, d) where c components share each C."""
    rows = means if means.ndim == 3 else means[:, None]
    linear = (rows @ precisions).reshape(means.shape)
    return linear, -0.5 * ((linear * means).sum(axis=-1) + log_det + means.shape[-1] * LOG_2PI)


def _counts_and_means(sums: np.ndarray, d: int) -> tuple[np.ndarray, np.ndarray]:
    counts = sums[0].copy()
    return counts, (sums[1 : 1 + d] / np.where(counts > 0, counts, 1.0)).T


def _refuse_singular(variances: np.ndarray) -> None:
    if not (variances > 0).all():
        raise DegenerateError("a covariance matrix is singular or not positive definite")
