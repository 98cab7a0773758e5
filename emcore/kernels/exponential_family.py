"""The kernel of mixtures over any other exponential family: two matrix products a block.

log p(x | z = c)  =  η_c · t(x) + log h(x)    with t the sufficient statistics: counts, times, indicators of levels
The base measure h is the same for all components: responsibilities do not know it, and its sum is taken once.
Reference: Dempster, Laird & Rubin (1977), J. R. Statist. Soc. B 39, section 2; Wainwright & Jordan (2008), section 3.
"""

from typing import Any

import numpy as np

from emcore.families.base import ExponentialFamily
from emcore.kernels.base import Kernel, MixtureStats
from emcore.kernels.linear import LinearRows, Stored
from emcore.numerics import log_for_counts, row_blocks, total

_STORED = 64e6  # bytes of statistics that are worth keeping
_BLOCK = 8192
_IMPOSSIBLE = -1e290  # below any sum of logarithms that are not of 0


class ExponentialFamilyKernel:
    """Rows known by their sufficient statistics; missing cells have none."""

    def __init__(self, family: ExponentialFamily, x: np.ndarray, weight: np.ndarray | None, plain: Kernel) -> None:
        self._family, self._plain = family, plain
        self._some_weightless = weight is not None and not weight.all()
        self._base, ones = 0.0, True
        for rows in row_blocks(len(x), _BLOCK):
            statistics, log_base = family.sufficient(x[rows])
            self._base += total(log_base, None if weight is None else weight[rows])
            ones &= (statistics == 1.0).all(axis=0)
        self._ones = np.asarray(ones)  # statistics that are 1 in every row: they count rows, as the first feature does
        features = _Sufficient(family, x, ~self._ones)
        small = 8.0 * features.shape[0] * features.shape[1] <= _STORED
        self._rows = LinearRows(Stored(features.block(slice(None))) if small else features, weight)

    def evaluate(self, params: Any, n_starts: int = 1) -> tuple[MixtureStats, np.ndarray]:
        """See `Kernel.evaluate`."""
        natural = self._family.natural(params)
        if self._some_weightless and natural.min() < _IMPOSSIBLE:
            return self._plain.evaluate(params, n_starts)  # it also refuses rows that do not count
        constants = log_for_counts(params.weights) + natural[:, self._ones].sum(axis=1)
        with np.errstate(all="ignore"):
            sums, value = self._rows.sweep(np.column_stack([constants, natural[:, ~self._ones]]), n_starts)
        if not (value > _IMPOSSIBLE).all():  # NaN too
            return self._plain.evaluate(params, n_starts)
        expected = np.empty_like(natural)
        expected[:, self._ones] = sums[:1].T
        expected[:, ~self._ones] = sums[1:].T
        return MixtureStats(sums[0].copy(), self._family.stats_of_sums(expected)), value + self._base


class _Sufficient:
    """1 and those sufficient statistics that vary."""

    def __init__(self, family: ExponentialFamily, x: np.ndarray, varying: np.ndarray) -> None:
        self._family, self._x, self._varying = family, x, varying
        self.shape = (1 + int(varying.sum()), len(x))

    def block(self, rows: slice) -> np.ndarray:
        """See `linear.Features`."""
        statistics, _ = self._family.sufficient(self._x[rows])
        out = np.ones((self.shape[0], len(statistics)))
        out[1:] = statistics.T[self._varying]
        return out
