"""Log-joints into responsibilities, in place, with components on the first axis so that every operation is long."""

import numpy as np


def components_first(values: np.ndarray, n_starts: int) -> np.ndarray:
    """Entries (n_starts·k, ...) of a pile in the order of `Softmax`: the first component of every start, the second…"""
    if n_starts == 1:
        return values
    return values.reshape(n_starts, -1, *values.shape[1:]).swapaxes(0, 1).reshape(values.shape)


def starts_first(values: np.ndarray, n_starts: int) -> np.ndarray:
    """The inverse of `components_first`."""
    return components_first(values, len(values) // n_starts) if n_starts > 1 else values


class Softmax:
    """Room for the normalisation of blocks of up to `n_rows` rows under `n_starts` sets of k components."""

    def __init__(self, n_starts: int, k: int, n_rows: int, dtype: np.typing.DTypeLike = np.float64) -> None:
        self._n_starts, self._k = n_starts, k
        self._top, self._total = np.empty((2, n_starts * n_rows), dtype)

    def __call__(self, log_joint: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        """Overwrite log p(x_i, z) (k·n_starts, m) with weight_i · p(z | x_i); Σ_i weight_i log p(x_i) (n_starts,).

        A row of log 0 or NaN under every component makes the sum NaN or infinite: the caller has to look.
        """
        n_starts, k = self._n_starts, self._k
        q = log_joint.reshape(k, -1)  # (k, n_starts·m)
        top, total = self._top[: q.shape[1]], self._total[: q.shape[1]]
        np.maximum.reduce(q, axis=0, out=top)
        np.subtract(q, top, out=q)
        np.exp(q, out=q)
        np.add.reduce(q, axis=0, out=total)
        rows = top.reshape(n_starts, -1)  # a view: what becomes of top is seen in it
        value = rows.sum(axis=1, dtype=np.float64) if weight is None else rows @ weight
        np.log(total, out=top)
        value += rows.sum(axis=1, dtype=np.float64) if weight is None else rows @ weight
        np.divide(1.0, total, out=total)
        if weight is not None:
            totals = total.reshape(n_starts, -1)
            totals *= weight
        np.multiply(q, total, out=q)
        return value
