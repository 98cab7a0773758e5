"""Log-joints into responsibilities, in place, with components on the first axis so that every operation is long."""

import numpy as np


class Softmax:
    """Room for the normalisation of blocks of up to `n_rows` rows under `n_starts` sets of k components."""

    def __init__(self, n_starts: int, k: int, n_rows: int, dtype: np.typing.DTypeLike = np.float64) -> None:
        self._shape = (n_starts, k)
        self._top = np.empty(n_starts * n_rows, dtype)
        self._total = np.empty(n_starts * n_rows, dtype)

    def __call__(self, log_joint: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        """Overwrite log p(x_i, z) (n_starts·k, m) with weight_i · p(z | x_i); Σ_i weight_i log p(x_i) (n_starts,).

        A row of log 0 or NaN under every component makes the sum NaN or infinite: the caller has to look.
        """
        n_starts, k = self._shape
        m = log_joint.shape[1]
        q = log_joint.reshape(n_starts, k, m)
        top, total = (part[: n_starts * m].reshape(n_starts, m) for part in (self._top, self._total))
        np.maximum.reduce(q, axis=1, out=top)
        np.subtract(q, top[:, None], out=q)
        np.exp(q, out=q)
        np.add.reduce(q, axis=1, out=total)
        if weight is None:
            value = np.add.reduce(top, axis=1, dtype=np.float64)
            value += np.add.reduce(np.log(total, out=top), axis=1, dtype=np.float64)
            np.divide(1.0, total, out=total)
        else:
            value = top @ weight + np.log(total, out=top) @ weight
            np.divide(weight, total, out=total)
        np.multiply(q, total[:, None], out=q)
        return value
