"""Triangular algebra of many small matrices (k, d, d) at once.

LAPACK is called once for every matrix, which costs more than the arithmetic where they are tiny and many: those with up
to three rows are written out over all of them.
"""

import numpy as np

from emcore.numerics import DegenerateError
from emcore.numerics import cholesky as factorise

_ROWS, _MANY = 3, 32


def _by_hand(matrices: np.ndarray) -> bool:
    return matrices.shape[-1] <= _ROWS and len(matrices) >= _MANY


def cholesky(matrices: np.ndarray) -> np.ndarray:
    """Lower factors; DegenerateError where a matrix is not positive definite."""
    if not _by_hand(matrices):
        return factorise(matrices)
    factors = np.zeros(matrices.shape)
    for j in range(matrices.shape[-1]):
        column = matrices[:, j:, j]
        for i in range(j):
            column = column - factors[:, j:, i] * factors[:, j, i, None]
        pivots = column[:, :1]
        if not pivots.min() > 0.0:  # NaN too
            raise DegenerateError("a covariance matrix is singular or not positive definite")
        np.divide(column, np.sqrt(pivots), out=factors[:, j:, j])
    return factors


def solve_lower(factors: np.ndarray, right: np.ndarray) -> np.ndarray:
    """L⁻¹ R for lower factors and R (k, d, m)."""
    if not _by_hand(factors):
        return np.linalg.solve(factors, right)
    out = np.empty(right.shape)
    for j in range(factors.shape[-1]):
        row = right[:, j]
        for i in range(j):
            row = row - out[:, i] * factors[:, j, i, None]
        np.divide(row, factors[:, j, j, None], out=out[:, j])
    return out


def trace(matrices: np.ndarray) -> np.ndarray:
    """Traces (k,); half the cost of np.trace for tiny matrices."""
    return np.add.reduce(matrices.diagonal(axis1=1, axis2=2), axis=1)


def trace_of_inverse(matrices: np.ndarray) -> np.ndarray:
    """Σ 1/λ over the eigenvalues (k,), so at least one over the smallest; NaN for what is not positive definite."""
    if matrices.shape[-1] == 2:
        a, b, c = matrices[:, 0, 0], matrices[:, 0, 1], matrices[:, 1, 1]
        traces = (a + c) / (a * c - b * b)
        return traces if traces.min() > 0.0 else np.where(traces > 0, traces, np.nan)
    try:
        traces = trace(np.linalg.inv(matrices))
    except np.linalg.LinAlgError:
        values = np.linalg.eigvalsh(np.where(np.isfinite(matrices), matrices, 0.0))
        traces = (1.0 / np.where(values > 0, values, np.nan)).sum(axis=1)
    return np.where(traces > 0, traces, np.nan)


def half_log_det(factors: np.ndarray) -> np.ndarray:
    """½ log |L Lᵀ| (k,)."""
    return np.add.reduce(np.log(factors.diagonal(axis1=1, axis2=2)), axis=1)
