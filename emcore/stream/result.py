"""What a fit to a stream gives back."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emcore.stopping import Status


@dataclass(frozen=True)
class StreamFit:
    """How a fit to a stream ended. `log_likelihood` and `objective` are the values at `params`, exactly.

    They are NaN where no pass over the rows was completed at `params` (interrupted in the first pass; an online fit
    whose source cannot be read again): `message` says so.
    """

    model: Any  # resolved: data-scaled hyper-parameters filled in, from a sample
    params: Any
    log_likelihood: float
    objective: float
    status: Status
    message: str
    n_iter: int  # M-steps taken
    n_rows: float  # Σ weights
    history: tuple[float, ...] = field(repr=False)  # log p(x) at the params of each pass; online: see `Stepwise`

    @property
    def n_params(self) -> int:
        """Free parameters."""
        return self.model.n_params(self.params)

    def bic(self) -> float:
        """-2 log p(x) + n_params log n (Schwarz 1978; smaller is better)."""
        return -2.0 * self.log_likelihood + self.n_params * float(np.log(self.n_rows))

    def aic(self) -> float:
        """-2 log p(x) + 2 n_params (Akaike 1974; smaller is better)."""
        return -2.0 * self.log_likelihood + 2.0 * self.n_params

    def responsibilities(self, x: Any) -> np.ndarray:
        """p(z = k | x_i; params) (n, k) of a block of rows."""
        q = self.model.posterior(self.params, self.model.check(x))
        if not hasattr(q, "probs"):
            raise TypeError(f"{type(self.model).__name__} has no finite z per row: see model.posterior(params, x)")
        return q.probs

    def predict(self, x: Any) -> np.ndarray:
        """The most probable z of every row of a block (n,)."""
        return self.responsibilities(x).argmax(axis=1)
