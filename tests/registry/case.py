"""What the laws need to know of a model to try it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from emcore.trace import Problem, pose, start_params


@dataclass(frozen=True)
class Case:
    """A model on small data. The laws of tests/test_laws.py hold for each, unless a flag says why one does not."""

    name: str
    model: Any
    x: Any  # as a user gives it
    init: Any = "random-rows"  # a named method, or params
    lengths: Any = None
    real_valued: bool = False  # x may be rescaled: the log-likelihood must move by the Jacobian alone
    relabels: bool = False  # the model has `relabel`
    closed_form: bool = True  # the M-step is the maximiser (False: it only climbs; the model's docstring says why)
    rows_add: bool = True  # rows of x are exchangeable units (False: one table, or sequences)
    # x → x scaled by c, where scaling is not multiplying every column (for regression: only the response)
    rescale: Callable[[np.ndarray, float], np.ndarray] | None = None
    n_scaled: int | None = None  # how many cells of a row carry the Jacobian (all of them unless given)

    def pose(self, weight: Any = None) -> Problem:
        """The model resolved on the checked data."""
        return pose(self.model, self.x, weight, self.lengths)

    def start(self, seed: int = 0) -> Any:
        """Params to start from."""
        return start_params(self.pose(), self.init, np.random.default_rng(seed))
