"""The kernel for every family: blocks of rows, by the densities and statistics that the model itself computes."""

from typing import Any

import numpy as np

from emcore.kernels.base import MixtureStats, is_pile, pile_up, take_apart
from emcore.numerics import normalize_log_rows, row_blocks, total
from emcore.posteriors import CategoricalPosterior
from emcore.trees import add_stats

_WORK = 50_000  # numbers in an array of (rows, components, features)
_FEWEST, _MOST = 256, 8192  # rows of a block


class PlainKernel:
    """Blocks of rows, each by the model's own E-step: right whatever the family, missing cells included.

    `singly` evaluates the starts of a pile one by one: for fields that components share, and for missing cells that are
    latent beside z.
    """

    def __init__(self, model: Any, x: np.ndarray, weight: np.ndarray | None, *, singly: bool) -> None:
        self._model, self._x, self._weight, self._singly = model, x, weight, singly
        self._shared = model.shared_fields
        self._condense = getattr(model.family, "condense", None)

    def evaluate(self, params: Any, n_starts: int = 1) -> tuple[MixtureStats, np.ndarray]:
        """See `Kernel.evaluate`."""
        if not self._singly or not is_pile(params, self._shared):
            return self._evaluate(params, n_starts)
        parts = [self._evaluate(start, 1) for start in take_apart(params, n_starts, self._shared)]
        return pile_up([stats for stats, _ in parts], self._shared), np.concatenate([value for _, value in parts])

    def _evaluate(self, params: Any, n_starts: int) -> tuple[MixtureStats, np.ndarray]:
        stats: Any = None
        log_likelihood = np.zeros(n_starts)
        for block in row_blocks(len(self._x), self._block_rows(n_starts)):
            more, value = self._block(params, n_starts, block)
            stats = more if stats is None else add_stats(stats, more)
            log_likelihood += value
        return stats, log_likelihood

    def _block_rows(self, n_starts: int) -> int:
        if self._singly:
            return _MOST  # a block has to find its patterns of missing cells: few large ones
        wide = n_starts * self._model.n_components * self._x.shape[1]
        return min(max(_WORK // wide, _FEWEST), _MOST)

    def _block(self, params: Any, n_starts: int, block: slice) -> tuple[MixtureStats, np.ndarray]:
        x, weight = self._x[block], None if self._weight is None else self._weight[block]
        try:
            q, rows = self._infer(params, n_starts, x)
        except ValueError:
            self._refuse_impossible_row(params, n_starts)
            raise
        stats = self._model.suff_stats(x, q, weight)
        if self._condense is not None:
            stats = stats._replace(family=self._condense(stats.family, params))
        return stats, np.array([total(column, weight) for column in rows.T])

    def _infer(self, params: Any, n_starts: int, x: np.ndarray) -> tuple[Any, np.ndarray]:
        """The posterior with all components of the pile side by side, and log p(x_i) (n, n_starts)."""
        if self._singly:
            q, rows = self._model.infer(params, x)
            return q, rows[:, None]
        log_joint = self._model.log_joint(params, x)
        probs, rows = normalize_log_rows(log_joint.reshape(len(x) * n_starts, -1))
        return CategoricalPosterior(probs.reshape(log_joint.shape)), rows.reshape(len(x), n_starts)

    def _refuse_impossible_row(self, params: Any, n_starts: int) -> None:
        """The same error again, with the row's number in all of x."""
        for start in take_apart(params, n_starts, self._shared) if n_starts > 1 else [params]:
            self._model.infer(start, self._x)
