"""Emissions of a hidden Markov model as linear functions of the row: a matrix product a block, and another for sums.

log p(x_s | z_s = k)        =  W_k · f(x_s)           f: 1, the whitened row and its products (see `kernels.quadratic`)
Σ_s Q(z_s = k) t(x_s)       =  Σ_s Q(z_s = k) f(x_s)
Where that would cost digits, and for other families, the family's own arithmetic serves.
"""

from collections.abc import Callable, Iterable
from typing import Any, Self

import numpy as np

from emcore.families.covariance import Diag, Full, Spherical
from emcore.families.gaussian import GaussianFamily
from emcore.families.gaussian_stats import GaussianStats
from emcore.families.missing import has_holes
from emcore.kernels.frame import Frame
from emcore.kernels.linear import Features, Made, Stored
from emcore.kernels.quadratic import Form
from emcore.kernels.separable import own_form

_FEWEST = 4096  # rows from which it pays to whiten them first
_STORED = 16e6  # bytes of features that are worth keeping


class EmissionRows:
    """Rows without missing cells, in a fixed order, under Gaussian states."""

    def __init__(self, form: Form, y: np.ndarray) -> None:
        self._form, self._y = form, y
        small = 8 * form.n_features * y.shape[1] <= _STORED
        self._stored = Stored(self._made().block(slice(None))) if small else None

    def _made(self) -> Made:
        return Made(self._y, self._form.n_features, self._form.fill)

    def _features(self) -> Features:
        """Kept, or made in a room of its own: threads may share the data."""
        return self._made() if self._stored is None else self._stored

    @classmethod
    def of(cls, family: Any, rows: np.ndarray) -> Self | None:
        """The features of rows (t, d); None where the family's own arithmetic is to serve."""
        if not (isinstance(family, GaussianFamily) and isinstance(family.shape, Full | Diag | Spherical)):
            return None
        if len(rows) < _FEWEST or has_holes(rows):
            return None
        try:
            frame = Frame.of_rows(family.shape, rows, None)
        except np.linalg.LinAlgError:
            return None
        if not np.isfinite(frame.inverse).all():  # a constant column
            return None
        return cls(own_form(family.shape, frame), frame.rows(rows))

    def log_prob(self, params: Any) -> Callable[[slice, np.ndarray], object] | None:
        """A function that writes log p(x_s | z_s = k) of a slice of rows into columns (k, b); None: see `Form`."""
        with np.errstate(all="ignore"):
            found = self._form.natural(np.zeros(len(params.means)), params)
        if found is None or not np.isfinite(found[0]).all():
            return None
        natural, features = found[0], self._features()
        return lambda rows, columns: np.matmul(natural, features.block(rows), out=columns)

    def stats(self, blocks: Iterable[tuple[slice, np.ndarray]]) -> GaussianStats | None:
        """The family's statistics from blocks of rows and their responsibilities (b, k); None: see `Form`."""
        features = self._features()
        sums: Any = sum(features.block(rows) @ responsibilities for rows, responsibilities in blocks)
        with np.errstate(all="ignore"):
            found = self._form.stats(sums, 1)
        return None if found is None else found[1]
