"""Kernels that every model shares: row-wise log-sum-exp, Cholesky log-densities, blocks of rows.

Axes: n rows, k components, d features. All arithmetic is float64 and in log space.
"""

from collections.abc import Iterator

import numpy as np

LOG_2PI = float(np.log(2.0 * np.pi))
_LOG_ZERO = -1e300  # stands for log 0 inside products with counts, where 0 * log 0 must be 0


class DegenerateError(ArithmeticError):
    """The likelihood has no maximum in this direction: a component collapsed or emptied.

    Raised by M-steps; `fit` turns it into the status DEGENERATE with the last sound parameters.
    """


def emptied(component: int, what: str = "component") -> DegenerateError:
    """The error to raise where a component (or state) holds no rows any more."""
    return DegenerateError(f"{what} {component} has emptied: it holds no rows. Try fewer {what}s, or another start")


def normalize_log_rows(log_joint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split log p(x_i, z) (n, k) into p(z | x_i) (n, k) and log p(x_i) (n,).

    Raises ValueError with the row's number where every entry of the row is log 0.
    """
    top = log_joint.max(axis=1)
    if not np.isfinite(top).all():
        _refuse_impossible_row(top)
    posterior = np.exp(log_joint - top[:, None])
    total = posterior.sum(axis=1)
    posterior /= total[:, None]
    return posterior, np.log(total) + top


def _refuse_impossible_row(top: np.ndarray) -> None:
    row = int(np.flatnonzero(~np.isfinite(top))[0])
    value = "not a number" if np.isnan(top[row]) else f"{top[row]}"
    raise ValueError(
        f"row {row} has log p(x, z) = {value} under every component, so no posterior exists for it; "
        "check the parameters (a probability of exactly 0, or a scale far from the data)"
    )


def log_sum_exp_rows(log_joint: np.ndarray) -> np.ndarray:
    """log Σ_k exp(log_joint[i, k]) (n,); a row of log 0 gives -inf."""
    top = log_joint.max(axis=1)
    safe = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(log_joint - safe[:, None]).sum(axis=1)) + safe


def log_or_minus_inf(p: np.ndarray) -> np.ndarray:
    """log p with log 0 = -inf and no warning."""
    with np.errstate(divide="ignore"):
        return np.log(p)


def log_for_counts(p: np.ndarray) -> np.ndarray:
    """log p with log 0 as a huge finite number, so that `counts @ log p` has 0 · log 0 = 0.

    Give the product to `restore_log_zero`, which turns what is left of log 0 into -inf.
    """
    return np.maximum(log_or_minus_inf(p), _LOG_ZERO)


def restore_log_zero(log_prob: np.ndarray) -> np.ndarray:
    """Undo `log_for_counts` in a sum of products: below any attainable log-probability is -inf."""
    impossible = log_prob < 1e-10 * _LOG_ZERO
    if impossible.any():
        log_prob[impossible] = -np.inf
    return log_prob


def cholesky(covariances: np.ndarray) -> np.ndarray:
    """Lower Cholesky factors of covariances (..., d, d); DegenerateError where one is not positive."""
    try:
        return np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError:
        raise DegenerateError("a covariance matrix is singular or not positive definite") from None


def log_det_from_cholesky(factors: np.ndarray) -> np.ndarray:
    """log |L Lᵀ| for factors (..., d, d)."""
    return 2.0 * np.log(np.diagonal(factors, axis1=-2, axis2=-1)).sum(axis=-1)


def row_blocks(n_rows: int, size: int) -> Iterator[slice]:
    """Slices that cut n rows into consecutive blocks of at most `size` rows."""
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def expectation_rows(q: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Σ_k q_ik · values_ik (n,), where a q of 0 wipes out any value, log 0 included."""
    return np.multiply(q, values, out=np.zeros(np.broadcast_shapes(q.shape, values.shape)), where=q > 0).sum(axis=1)


def total(rows: np.ndarray, weight: np.ndarray | None) -> float:
    """Σ_i weight_i · rows_i; a row of weight 0 counts as nothing even where its value is -inf."""
    if weight is None:
        return float(rows.sum())
    return float(np.dot(weight, np.where(weight > 0, rows, 0.0)))
