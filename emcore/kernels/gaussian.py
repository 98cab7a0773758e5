"""The kernel of Gaussian mixtures: rows whitened once, then the cheapest sweep that keeps the digits.

At every evaluation, by the narrowest component (its smallest standard deviation s, that of all rows being 1):
s above about 2e-3    the density is linear in products of the row: two matrix products a block (see `quadratic`)
s above 1e-5          whitened residuals of every component (see `residual`)
s below               the model's own arithmetic on the rows as they came (see `plain`): whitening rounds at ε
In single precision the rows, the residuals and the responsibilities are float32, the sums float64, and there is no
first line. Benign components then lose about 2e-7 of a covariance, one of s = 1e-3 about 1e-4.
Reference: Bishop (2006), Pattern Recognition and Machine Learning, section 9.2.
"""

from typing import Any

import numpy as np

from emcore.families.covariance import Tied
from emcore.kernels.base import Kernel, MixtureStats
from emcore.kernels.frame import Components, Frame
from emcore.kernels.linear import Features, LinearRows, Made, Stored
from emcore.kernels.quadratic import Form, Moments, form_of
from emcore.kernels.residual import ResidualRows
from emcore.numerics import log_for_counts

_STORED = 16e6  # bytes of features that are worth keeping
_NARROWEST = 1e-10  # smallest variance in the frame that residuals resolve


class GaussianKernel:
    """Rows without missing cells under Gaussian components of any covariance shape."""

    def __init__(self, family: Any, x: np.ndarray, weight: np.ndarray | None, plain: Kernel, dtype: Any) -> None:
        self._shape, self._plain = family.shape, plain
        self._frame = Frame.of_rows(family.shape, x)
        y = self._frame.rows(x, dtype)
        self._jacobian = self._frame.log_det * (len(x) if weight is None else weight.sum())
        self._residual = ResidualRows(y, weight)
        self._form: Form | None = form_of(family.shape, y, weight) if y.dtype == np.float64 else None
        self._linear = None if self._form is None else LinearRows(_features(self._form, y), weight)

    def evaluate(self, params: Any, n_starts: int = 1) -> tuple[MixtureStats, np.ndarray]:
        """See `Kernel.evaluate`."""
        covariances = self._frame.covariances(params.covariances)
        stacked = covariances[None] if covariances.ndim == 2 and self._is_tied else covariances
        components = Components(log_for_counts(params.weights), self._frame.means(params.means), stacked)
        with np.errstate(all="ignore"):  # a row without a posterior shows in the value
            found = self._by_products(components, n_starts) or self._by_residuals(components, n_starts)
        if found is None or not np.isfinite(found[1]).all():
            return self._plain.evaluate(params, n_starts)
        (counts, means, scatter), value = found
        stats = self._frame.stats(counts, means, scatter.reshape(covariances.shape))
        return MixtureStats(counts, stats), value + self._jacobian

    @property
    def _is_tied(self) -> bool:
        return isinstance(self._shape, Tied)

    def _by_products(self, components: Components, n_starts: int) -> tuple[Moments, np.ndarray] | None:
        if self._form is None or self._linear is None:
            return None
        natural = self._form.natural(components)
        if natural is None:
            return None
        sums, value = self._linear.sweep(natural[0], n_starts)
        moments = self._form.moments(sums, n_starts)
        return None if moments is None else (moments, value + natural[1])

    def _by_residuals(self, components: Components, n_starts: int) -> tuple[Moments, np.ndarray] | None:
        k, d = components.means.shape
        if self._is_tied:
            dense = components.covariances.repeat(k // n_starts, axis=0)
        else:
            dense = self._shape.dense(components.covariances, k, d)
        counts, means, scatter, value = self._residual.sweep(components._replace(covariances=dense), n_starts)
        least = np.linalg.eigvalsh(scatter)[:, 0] if np.isfinite(scatter).all() else np.zeros(k)
        if not (least > _NARROWEST * counts).all():
            return None
        scatter = scatter.reshape(n_starts, -1, d, d).sum(axis=1) if self._is_tied else self._shape.collect(scatter)
        return (counts, means, scatter), value


def _features(form: Form, y: np.ndarray) -> Features:
    """Kept where they are few or the rows themselves, otherwise made as the pass goes."""
    if form.n_features == len(y):
        return Stored(y)
    made = Made(y, form.n_features, form.fill)
    return Stored(made.block(slice(None))) if 8 * form.n_features * y.shape[1] <= _STORED else made
