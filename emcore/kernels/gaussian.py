"""The kernel of Gaussian mixtures: rows whitened once, then the cheapest sweep that keeps the digits.

At every evaluation, by the narrowest component (its smallest standard deviation s, that of all rows being 1):
s above about 3e-3    the density is linear in products of the row: two matrix products a block (see `quadratic`)
s above 1e-5          whitened residuals of every component (see `residual`)
s below               the model's own arithmetic on the rows as they came (see `plain`), since whitening them rounds
In single precision the rows, the residuals and the responsibilities are float32, the sums float64, and there is no
first line: half the room, no less time. A pass over 2,000 rows loses 2e-7 of a covariance down to s = 4e-3, 4e-6 at
4e-4 and 4e-5 at 4e-5 (measured on two clusters of unit width and a narrow one).
Reference: Bishop (2006), Pattern Recognition and Machine Learning, section 9.2.
"""

from typing import Any

import numpy as np

from emcore.families.covariance import Covariance, Tied
from emcore.families.gaussian_stats import GaussianStats
from emcore.kernels.base import Kernel, MixtureStats
from emcore.kernels.frame import Frame
from emcore.kernels.linear import Features, LinearRows, Made, Stored
from emcore.kernels.quadratic import Form, Sums, TiedForm
from emcore.kernels.residual import ResidualRows
from emcore.kernels.separable import own_form

_LOG_ZERO = -1e300  # in place of log 0: exp gives 0 for it, and no product NaN
_STORED = 16e6  # bytes of features that are worth keeping


class GaussianKernel:
    """Rows without missing cells under Gaussian components of any shape; LinAlgError where they are collinear."""

    def __init__(self, family: Any, x: np.ndarray, weight: np.ndarray | None, plain: Kernel, dtype: Any) -> None:
        self._shape, self._plain = family.shape, plain
        frame = _frame(family.shape, x, weight)
        y = frame.rows(x, dtype)
        self._residual = ResidualRows(frame, y, weight)
        self._form: Form | None = None
        if y.dtype == np.float64:
            tied = isinstance(family.shape, Tied)
            self._form = TiedForm(family.shape, frame, y, weight) if tied else own_form(family.shape, frame)
            self._linear = LinearRows(_features(self._form, y), weight)

    def evaluate(self, params: Any, n_starts: int = 1) -> tuple[MixtureStats, np.ndarray]:
        """See `Kernel.evaluate`."""
        single = isinstance(self._shape, Tied) and params.covariances.ndim == 2
        stacked = params._replace(covariances=params.covariances[None]) if single else params
        with np.errstate(all="ignore"):  # a row without a posterior shows in the value
            log_weights = np.maximum(np.log(params.weights), _LOG_ZERO)
            found = self._by_products(log_weights, stacked, n_starts)
            if found is None:
                found = self._by_residuals(log_weights, stacked, n_starts)
        if found is None or not np.isfinite(found[1]).all():
            return self._plain.evaluate(params, n_starts)
        (counts, stats), value = found
        return MixtureStats(counts, stats._replace(scatter=stats.scatter[0]) if single else stats), value

    def _by_products(self, log_weights: np.ndarray, params: Any, n_starts: int) -> tuple[Sums, np.ndarray] | None:
        natural = None if self._form is None else self._form.natural(log_weights, params)
        if self._form is None or natural is None:
            return None
        sums, value = self._linear.sweep(natural[0], n_starts)
        stats = self._form.stats(sums, n_starts)
        return None if stats is None else (stats, value + natural[1])

    def _by_residuals(self, log_weights: np.ndarray, params: Any, n_starts: int) -> tuple[Sums, np.ndarray] | None:
        k, d = params.means.shape
        dense = self._shape.dense(params.covariances, k, d)
        moments = self._residual.sweep(log_weights, params.means, dense, n_starts)
        if moments is None:
            return None
        counts, means, scatter, value = moments
        tied = isinstance(self._shape, Tied)
        own = scatter.reshape(n_starts, -1, d, d).sum(axis=1) if tied else self._shape.collect(scatter)
        return (counts, GaussianStats(np.tile(counts[:, None], d), means, own, self._shape)), value


def _frame(shape: Covariance, x: np.ndarray, weight: np.ndarray | None) -> Frame:
    try:
        return Frame.of_rows(shape, x, weight)
    except np.linalg.LinAlgError:  # of the rows that count, not of all of them: they have a frame too
        return Frame.of_rows(shape, x, None)


def _features(form: Form, y: np.ndarray) -> Features:
    """Kept where they are few or the rows themselves, otherwise made as the pass goes."""
    if form.n_features == len(y):
        return Stored(y)
    made = Made(y, form.n_features, form.fill)
    return Stored(made.block(slice(None))) if 8 * form.n_features * y.shape[1] <= _STORED else made
