"""The four shapes of a Gaussian's covariance, each a final class with the same operations.

A scatter is Σ_i r_ik (x_i - μ_k)(x_i - μ_k)ᵀ reduced to what the shape keeps. Axes: k components, d features.
`count` is per cell (k, d): with missing cells each column has its own. Rows x are (n, d), or (k, n, d) where each
component completes them in its own way.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from emcore.numerics import DegenerateError, cholesky, log_det_from_cholesky

_TINY = float(np.finfo(float).tiny)
_BY_HAND = 4  # up to this many features, a product of tiny matrices costs more to call than to write out


def residual_columns(x: np.ndarray, means: np.ndarray) -> list[np.ndarray]:
    """x - means (k, n), feature by feature, for rows x (n, d), or rows completed for each component (k, n, d)."""
    return [x[..., j] - means[:, j, None] for j in range(means.shape[1])]


class Covariance(Protocol):
    """What `Gaussian` asks of a covariance shape."""

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        """Shape of the `covariances` field."""
        ...

    def n_params(self, k: int, d: int) -> int:
        """Free parameters of the covariances."""
        ...

    def scatter(self, x: np.ndarray, r: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Weighted scatter about `means` (k, d) of rows x under responsibilities r (n, k)."""
        ...

    def collect(self, scatters: np.ndarray) -> np.ndarray:
        """The scatter of this shape from one matrix for every component (k, d, d)."""
        ...

    def outer(self, shift: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """factor_kj · shift_k shift_kᵀ, reduced: what a change of mean adds to the scatter."""
        ...

    def estimate(self, scatter: np.ndarray, count: np.ndarray, extra: float) -> np.ndarray:
        """Covariances from scatter and counts, `extra` pseudo-counts added to the divisor."""
        ...

    def pool(self, scatter: np.ndarray, count: np.ndarray) -> np.ndarray:
        """What all components together scatter in each column (d,)."""
        ...

    def widths(self, covariances: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest variance (k,) of any direction, columns counted in units of `scale` (d,)."""
        ...

    def dense(self, covariances: np.ndarray, k: int, d: int) -> np.ndarray:
        """The covariances as matrices (k, d, d)."""
        ...

    def reduce(self, matrix: np.ndarray, k: int) -> np.ndarray:
        """A scatter of this shape from one matrix (d, d), the same for every component."""
        ...


@dataclass(frozen=True)
class Full:
    """A covariance matrix of its own for every component: (k, d, d)."""

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        """(k, d, d)."""
        return (k, d, d)

    def n_params(self, k: int, d: int) -> int:
        """k·d(d+1)/2."""
        return k * d * (d + 1) // 2

    def scatter(self, x: np.ndarray, r: np.ndarray, means: np.ndarray) -> np.ndarray:
        """(k, d, d)."""
        if x.shape[-1] > _BY_HAND:
            residuals = x - means[:, None]
            return np.swapaxes(residuals * r.T[:, :, None], 1, 2) @ residuals
        columns = residual_columns(x, means)
        scatter = np.empty((len(means), len(columns), len(columns)))
        for i, column in enumerate(columns):
            weighted = r.T * column
            for j in range(i, len(columns)):
                scatter[:, i, j] = scatter[:, j, i] = (weighted * columns[j]).sum(axis=1)
        return scatter

    def collect(self, scatters: np.ndarray) -> np.ndarray:
        """As they are."""
        return scatters

    def outer(self, shift: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """(k, d, d)."""
        return factor[:, :1, None] * shift[:, :, None] * shift[:, None, :]

    def estimate(self, scatter: np.ndarray, count: np.ndarray, extra: float) -> np.ndarray:
        """scatter_k / (n_k + extra)."""
        return scatter / (count[:, :1, None] + extra)

    def pool(self, scatter: np.ndarray, count: np.ndarray) -> np.ndarray:
        """The sum of the diagonals."""
        return scatter.diagonal(axis1=1, axis2=2).sum(axis=0)

    def widths(self, covariances: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues."""
        return matrix_widths(covariances, scale)

    def dense(self, covariances: np.ndarray, k: int, d: int) -> np.ndarray:
        """As they are."""
        return covariances

    def reduce(self, matrix: np.ndarray, k: int) -> np.ndarray:
        """Repeated for every component."""
        return np.broadcast_to(matrix, (k, *matrix.shape))


@dataclass(frozen=True)
class Tied:
    """One covariance matrix shared by all components: (d, d), or (s, d, d) for s mixtures side by side."""

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        """(d, d)."""
        return (d, d)

    def n_params(self, k: int, d: int) -> int:
        """d(d+1)/2."""
        return d * (d + 1) // 2

    def scatter(self, x: np.ndarray, r: np.ndarray, means: np.ndarray) -> np.ndarray:
        """(d, d), summed over components."""
        return Full().scatter(x, r, means).sum(axis=0)

    def collect(self, scatters: np.ndarray) -> np.ndarray:
        """Summed over components."""
        return scatters.sum(axis=0)

    def outer(self, shift: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """(d, d), summed over components."""
        return (factor * shift).T @ shift

    def estimate(self, scatter: np.ndarray, count: np.ndarray, extra: float) -> np.ndarray:
        """scatter / (n + extra)."""
        if scatter.ndim == 2:
            return scatter / (count[:, 0].sum() + extra)
        return scatter / (count[:, 0].reshape(len(scatter), -1).sum(axis=1) + extra)[:, None, None]

    def pool(self, scatter: np.ndarray, count: np.ndarray) -> np.ndarray:
        """The diagonal."""
        return scatter.reshape(-1, *scatter.shape[-2:]).diagonal(axis1=1, axis2=2).sum(axis=0)

    def widths(self, covariances: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues."""
        return matrix_widths(covariances, scale)

    def dense(self, covariances: np.ndarray, k: int, d: int) -> np.ndarray:
        """Repeated for every component."""
        if covariances.ndim == 2:
            return np.broadcast_to(covariances, (k, d, d))
        return covariances.repeat(k // len(covariances), axis=0)

    def reduce(self, matrix: np.ndarray, k: int) -> np.ndarray:
        """As it is."""
        return matrix


@dataclass(frozen=True)
class Diag:
    """Independent features: variances (k, d)."""

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        """(k, d)."""
        return (k, d)

    def n_params(self, k: int, d: int) -> int:
        """k·d."""
        return k * d

    def scatter(self, x: np.ndarray, r: np.ndarray, means: np.ndarray) -> np.ndarray:
        """(k, d); missing cells add nothing."""
        residuals = x - means[:, None]
        return np.einsum("nk,knd->kd", r, np.nan_to_num(residuals * residuals, copy=False))

    def collect(self, scatters: np.ndarray) -> np.ndarray:
        """The diagonals."""
        return np.diagonal(scatters, axis1=1, axis2=2)

    def outer(self, shift: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """(k, d)."""
        return factor * shift * shift

    def estimate(self, scatter: np.ndarray, count: np.ndarray, extra: float) -> np.ndarray:
        """scatter_kj / (n_kj + extra)."""
        return scatter / (count + extra)

    def pool(self, scatter: np.ndarray, count: np.ndarray) -> np.ndarray:
        """The sum over components."""
        return scatter.sum(axis=0)

    def widths(self, covariances: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Columns."""
        relative = covariances / scale**2
        return relative.min(axis=1), relative.max(axis=1)

    def dense(self, covariances: np.ndarray, k: int, d: int) -> np.ndarray:
        """Diagonal matrices."""
        return covariances[:, :, None] * np.eye(d)

    def reduce(self, matrix: np.ndarray, k: int) -> np.ndarray:
        """The diagonal, repeated."""
        return np.broadcast_to(np.diagonal(matrix), (k, len(matrix)))


@dataclass(frozen=True)
class Spherical:
    """One variance per component, the same for all features: (k,)."""

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        """(k,)."""
        return (k,)

    def n_params(self, k: int, d: int) -> int:
        """k."""
        return k

    def scatter(self, x: np.ndarray, r: np.ndarray, means: np.ndarray) -> np.ndarray:
        """(k,), summed over features."""
        return Diag().scatter(x, r, means).sum(axis=1)

    def collect(self, scatters: np.ndarray) -> np.ndarray:
        """The traces."""
        return np.trace(scatters, axis1=1, axis2=2)

    def outer(self, shift: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """(k,), summed over features."""
        return (factor * shift * shift).sum(axis=1)

    def estimate(self, scatter: np.ndarray, count: np.ndarray, extra: float) -> np.ndarray:
        """scatter_k / (Σ_j n_kj + extra)."""
        return scatter / (count.sum(axis=1) + extra)

    def pool(self, scatter: np.ndarray, count: np.ndarray) -> np.ndarray:
        """A share for every cell that is counted."""
        return (scatter / np.maximum(count.sum(axis=1), _TINY)) @ count

    def widths(self, covariances: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One variance, in the largest and the smallest unit."""
        return covariances / scale.max() ** 2, covariances / scale.min() ** 2

    def dense(self, covariances: np.ndarray, k: int, d: int) -> np.ndarray:
        """Multiples of the identity."""
        return covariances[:, None, None] * np.eye(d)

    def reduce(self, matrix: np.ndarray, k: int) -> np.ndarray:
        """The trace, repeated."""
        return np.full(k, np.trace(matrix))


class Precision:
    """Cholesky factors of dense covariances (k, d, d), inverted once for many rows."""

    def __init__(self, dense: np.ndarray) -> None:
        self.factors = cholesky(dense)  # (k, d, d)
        self.log_det = log_det_from_cholesky(self.factors)  # (k,)
        self.inverse_factors = np.linalg.solve(self.factors, np.eye(dense.shape[-1]))

    def squared_distances(self, x: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Squared Mahalanobis distances (k, n) of rows x from means; residuals first, so an offset costs nothing."""
        if x.shape[-1] > _BY_HAND:
            whitened = (x - means[:, None]) @ np.swapaxes(self.inverse_factors, 1, 2)
            return np.einsum("knd,knd->kn", whitened, whitened)
        columns = residual_columns(x, means)
        squares = np.zeros(columns[0].shape)
        for row, inverse in enumerate(np.moveaxis(self.inverse_factors, 0, 2)):  # (d, k): a row of every L⁻¹
            whitened = inverse[0][:, None] * columns[0]
            for j in range(1, row + 1):
                whitened += inverse[j][:, None] * columns[j]
            squares += whitened * whitened
        return squares


def refuse_collapse(shape: Covariance, covariances: np.ndarray, pooled_variances: np.ndarray) -> None:
    """DegenerateError where a component is narrower than 1e-8 of the spread of all rows in some direction.

    Or than 1e-7 of its own width: below that a matrix's smallest eigenvalue is rounding, and an iteration that should
    shrink it further would stall there. `pooled_variances` (d,) are those of all rows: units do not matter.
    """
    scale = np.sqrt(pooled_variances + (pooled_variances == 0.0))
    least, greatest = shape.widths(covariances, scale)
    sound = least >= np.maximum(1e-16, 1e-14 * greatest)
    if not sound.all():
        raise DegenerateError(
            f"component {int(np.argmin(sound))} has collapsed: its covariance is singular beside the spread of "
            "the data, and the likelihood grows without bound as it shrinks. Try fewer components, a covariance with "
            'fewer parameters, another start, or a prior: Gaussian(..., prior="fraley-raftery")'
        )


def matrix_widths(covariances: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest eigenvalue (k,) of matrices (k, d, d) in units of `scale`; NaN or 0 for what is not finite."""
    relative = covariances.reshape(-1, len(scale), len(scale)) / (scale[:, None] * scale)
    if len(scale) == 2:  # written out: a call of LAPACK for each would cost more
        a, b, c = relative[:, 0, 0], relative[:, 1, 0], relative[:, 1, 1]
        greatest = 0.5 * (a + c + np.hypot(a - c, b + b))
        return (a * c - b * b) / np.maximum(greatest, _TINY), greatest
    try:
        values = np.linalg.eigvalsh(relative)
    except np.linalg.LinAlgError:
        return np.zeros(1), np.zeros(1)
    return values[:, 0], values[:, -1]


def constant_columns(x: np.ndarray) -> np.ndarray:
    """True (d,) for columns whose seen cells are all equal, beside their size, or to the square of what floats hold."""
    top, bottom = (np.array([extreme.reduce(column) for column in x.T]) for extreme in (np.fmax, np.fmin))
    return top - bottom <= np.maximum(1e-13 * np.maximum(np.abs(top), np.abs(bottom)), 1e-153)
