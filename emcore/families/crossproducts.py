"""Weighted second moments of the columns of x, additive over rows, and the least squares that they carry.

Moments are taken about the weighted mean, and a response about its least-squares plane: so neither an offset of the
data nor a fit that is nearly exact costs digits. Axes: k components, m columns (for planes: p predictors, then the
response last).
"""

from typing import NamedTuple

import numpy as np

from emcore.numerics import DegenerateError, emptied

_COLLINEAR = 1e-12  # 1 - R² of a predictor on the others, under which its coefficient is rounding noise


class CrossProducts(NamedTuple):
    """Total weight, weighted mean and scatter about that mean; `merge` makes them additive."""

    weight: np.ndarray  # (k,)
    mean: np.ndarray  # (k, m)
    scatter: np.ndarray  # (k, m, m)

    def merge(self, other: "CrossProducts") -> "CrossProducts":
        """The moments of both sets of rows (Chan, Golub & LeVeque 1983, Amer. Statist. 37, 242-247)."""
        weight = self.weight + other.weight
        share = np.divide(other.weight, weight, out=np.zeros_like(weight), where=weight > 0)
        shift = other.mean - self.mean
        between = (self.weight * share)[:, None, None] * shift[:, :, None] * shift[:, None, :]
        return CrossProducts(weight, self.mean + share[:, None] * shift, self.scatter + other.scatter + between)

    def pooled_variances(self) -> np.ndarray:
        """Variance of every column over the rows of all components (m,)."""
        share = self.weight / max(self.weight.sum(), np.finfo(float).tiny)
        within = np.diagonal(self.scatter, axis1=1, axis2=2).sum(axis=0)
        shift = self.mean - share @ self.mean
        return within / max(self.weight.sum(), np.finfo(float).tiny) + share @ (shift * shift)


def cross_products(x: np.ndarray, weights: np.ndarray) -> CrossProducts:
    """Moments of rows x (n, m), or rows of each component (k, n, m), under k sets of weights (n, k)."""
    pivot = x.mean(axis=-2, keepdims=True)
    weight = weights.sum(axis=0)
    sums = (weights.T[:, None] @ (x - pivot))[:, 0]
    mean = np.divide(sums, weight[:, None], out=np.zeros_like(sums), where=weight[:, None] > 0)
    residuals = x - pivot - mean[:, None]
    scatter = np.swapaxes(residuals * weights.T[:, :, None], 1, 2) @ residuals
    return CrossProducts(weight, mean + pivot[..., 0, :], scatter)


class PlaneStats(NamedTuple):
    """Moments of the predictors and of the response less a plane of its own in each component."""

    cross: CrossProducts  # of p predictors, then response - plane
    planes: np.ndarray  # (k, p + 1), the intercept first

    def about(self, planes: np.ndarray) -> CrossProducts:
        """The moments with the response less other planes (k, p + 1)."""
        weight, mean, scatter = self.cross
        change = self.planes - planes
        k, m = mean.shape
        turn = np.tile(np.eye(m), (k, 1, 1))
        turn[:, -1, :-1] = change[:, 1:]
        mean = np.einsum("kij,kj->ki", turn, mean)
        mean[:, -1] += change[:, 0]
        return CrossProducts(weight, mean, turn @ scatter @ np.swapaxes(turn, 1, 2))

    def merge(self, other: "PlaneStats") -> "PlaneStats":
        """The moments of both sets of rows, about the planes of the first."""
        return PlaneStats(self.cross.merge(other.about(self.planes)), self.planes)

    def response_variance(self) -> float:
        """Variance of the response over the rows of all components."""
        return float(self.about(np.zeros_like(self.planes)).pooled_variances()[-1])


def plane_stats(x: np.ndarray, weights: np.ndarray, *, intercept: bool) -> PlaneStats:
    """Moments of rows x (n, p + 1) under k sets of weights (n, k), about the planes of least squares themselves."""
    cross = cross_products(x, weights)
    plain = PlaneStats(cross, np.zeros((len(cross.weight), x.shape[1])))
    try:
        coefficients, _ = least_squares(plain, intercept=intercept)
    except DegenerateError:  # these rows alone carry no plane: all of them together may
        return plain
    planes = plain.planes
    planes[:, int(not intercept) :] = coefficients
    rows = np.broadcast_to(x, (len(planes), *x.shape)).copy()
    centred = x - cross.mean[:, None] if intercept else rows  # the residuals, without an intercept that may be huge
    rows[:, :, -1] = centred[:, :, -1] - (centred[:, :, :-1] @ planes[:, 1:, None])[:, :, 0]
    return PlaneStats(cross_products(rows, weights), planes)


def least_squares(
    stats: PlaneStats, *, intercept: bool, penalties: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (k, p + intercept), the intercept first, and the sums of squares (k,) that they leave.

    `penalties` (p,) add Σ_j penalty_j · slope_j² to the sums. Predictors are scaled before the Cholesky factorisation,
    so units do not matter. DegenerateError where a component has no rows, or rows whose predictors are collinear.
    """
    weight, mean, moments = stats.cross
    empty = ~(weight > 0)
    if empty.any():
        raise emptied(int(np.flatnonzero(empty)[0]))
    if not intercept:
        moments = moments + weight[:, None, None] * mean[:, :, None] * mean[:, None, :]
    p = moments.shape[1] - 1
    inner, along, left = moments[:, :p, :p].copy(), moments[:, :p, p], moments[:, p, p]
    slopes = stats.planes[:, 1:]
    if penalties is not None:
        inner[:, np.arange(p), np.arange(p)] += penalties
        along, left = along - penalties * slopes, left + slopes**2 @ penalties
    change, explained = _solve_scaled(inner, along)
    squares = np.maximum(left - explained, 0.0)
    if not intercept:
        return slopes + change, squares
    first = stats.planes[:, 0] + mean[:, p] - np.einsum("kp,kp->k", change, mean[:, :p])
    return np.concatenate([first[:, None], slopes + change], axis=1), squares


def _solve_scaled(inner: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes inner⁻¹ along (k, p), and the sums of squares alongᵀ inner⁻¹ along (k,) that they explain."""
    scale = np.sqrt(np.diagonal(inner, axis1=1, axis2=2))
    _refuse_collinear(scale)
    correlations = inner / (scale[:, :, None] * scale[:, None, :])
    try:
        factors = np.linalg.cholesky(correlations)
    except np.linalg.LinAlgError:
        factors = np.zeros_like(correlations)
    _refuse_collinear(np.diagonal(factors, axis1=1, axis2=2), np.sqrt(_COLLINEAR))
    half = np.linalg.solve(factors, (along / scale)[:, :, None])
    slopes = np.linalg.solve(np.swapaxes(factors, 1, 2), half)[:, :, 0] / scale
    return slopes, (half * half).sum(axis=(1, 2))


def _refuse_collinear(sizes: np.ndarray, least: float = 0.0) -> None:
    bad = ~(sizes > least)
    if bad.any():
        component, column = np.argwhere(bad)[0]
        raise DegenerateError(
            f"the predictors are collinear among the rows of component {component} (from column {column} on), so its "
            "coefficients are not determined"
        )
