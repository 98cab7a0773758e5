"""Weighted second moments of the columns of x, additive over rows, and the least squares that they carry.

Everything is taken about the weighted mean, so that an offset of the data costs no digits. Axes: k components, m
columns (for regressions: p predictors, then the response last).
"""

from typing import NamedTuple

import numpy as np

from emcore.numerics import DegenerateError

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


def cross_products(x: np.ndarray, weights: np.ndarray) -> CrossProducts:
    """Moments of rows x (n, m) under k sets of weights (n, k)."""
    pivot = x.mean(axis=0) if len(x) else np.zeros(x.shape[1])
    weight = weights.sum(axis=0)
    sums = weights.T @ (x - pivot)
    mean = pivot + np.divide(sums, weight[:, None], out=np.zeros_like(sums), where=weight[:, None] > 0)
    residuals = x[None] - mean[:, None]
    scatter = np.swapaxes(residuals * weights.T[:, :, None], 1, 2) @ residuals
    return CrossProducts(weight, mean, scatter)


def pooled_variances(cross: CrossProducts) -> np.ndarray:
    """Variance of every column over the rows of all components (m,)."""
    share = cross.weight / max(cross.weight.sum(), np.finfo(float).tiny)
    shift = cross.mean - share @ cross.mean
    within = np.diagonal(cross.scatter, axis1=1, axis2=2).sum(axis=0) / max(cross.weight.sum(), np.finfo(float).tiny)
    return within + share @ (shift * shift)


def least_squares(
    cross: CrossProducts, *, intercept: bool, penalties: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (k, p + intercept), the intercept first, and the sums of squares (k,) that they leave.

    `penalties` (p,) add Σ_j penalty_j · slope_j² to the sums. Predictors are scaled before the Cholesky factorisation,
    so units do not matter. DegenerateError where a component has no rows, or rows whose predictors are collinear.
    """
    empty = ~(cross.weight > 0)
    if empty.any():
        raise DegenerateError(f"component {int(np.flatnonzero(empty)[0])} has lost all its rows")
    moments = cross.scatter
    if not intercept:
        moments = moments + cross.weight[:, None, None] * cross.mean[:, :, None] * cross.mean[:, None, :]
    p = moments.shape[1] - 1
    inner, along, left = moments[:, :p, :p].copy(), moments[:, :p, p], moments[:, p, p]
    if penalties is not None:
        inner[:, np.arange(p), np.arange(p)] += penalties
    slopes, explained = _solve_scaled(inner, along)
    squares = np.maximum(left - explained, 0.0)
    if not intercept:
        return slopes, squares
    first = cross.mean[:, p] - np.einsum("kp,kp->k", slopes, cross.mean[:, :p])
    return np.concatenate([first[:, None], slopes], axis=1), squares


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
