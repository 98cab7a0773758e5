"""Categorical items, independent given the class: the latent-class model.

x_ij | z_i = k  ~  Categorical(probs_kj1, …, probs_kjL_j),   levels coded 0, 1, …, L_j - 1
prior           ~  c pseudo-observations of every level:  c Σ log p, Dirichlet(1 + c) up to a constant.
Reference: Goodman (1974), Biometrika 61, 215-231; Linzer & Lewis (2011), poLCA, J. Stat. Software 42(10).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from scipy.special import xlogy

from emcore.data import as_matrix, check_counts, check_n_features
from emcore.families.base import as_field, check_range, ratio_or_keep
from emcore.families.binomial import check_pseudo
from emcore.numerics import log_for_counts, log_or_minus_inf
from emcore.parameters import Constraint, Simplex

_MOST_LEVELS = 100_000  # that a code may imply; a table of probabilities holds them all


class CategoricalParams(NamedTuple):
    """Level probabilities; an item with fewer levels than the longest is padded with zeros."""

    probs: np.ndarray  # (k, d, L)


class CategoricalStats(NamedTuple):
    """Expected counts of every level; missing cells are not counted."""

    counts: np.ndarray  # (k, d, L)


@dataclass(frozen=True)
class Categorical:
    """d items with L_j levels each, coded 0, 1, …; missing cells (NaN) are marginalised exactly.

    `n_levels` is one number, one per item, or None: then it is read from the data (highest code + 1), so name it
    where a level may be absent from a sample. `prior` is one pseudo-count for every level.
    """

    n_levels: int | tuple[int, ...] | None = None
    prior: float = 0.0
    Params: ClassVar[Any] = CategoricalParams

    def __post_init__(self) -> None:
        check_pseudo((self.prior,), 1)
        if self.n_levels is None:
            return
        levels = np.asarray(self.n_levels)
        if levels.dtype.kind not in "iu" or levels.ndim > 1 or levels.size == 0 or (levels < 1).any():
            raise ValueError(
                f"n_levels must be at least 1 for every item, one whole number or one an item, not {self.n_levels!r}"
            )
        object.__setattr__(self, "n_levels", tuple(levels.tolist()) if levels.ndim else int(levels))

    def check(self, x: Any) -> np.ndarray:
        """x (n, d) of codes 0, 1, …, L_j - 1; NaN where missing."""
        x = as_matrix(x, allow_missing=True)
        if isinstance(self.n_levels, tuple):
            check_n_features(x, len(self.n_levels))
        check_counts(x, "Categorical", np.inf if self.n_levels is None else np.asarray(self.n_levels) - 1.0)
        return x

    def resolve(self, x: np.ndarray, n_components: int) -> Self:
        """The family with one number of levels per item; ValueError where codes are no count of levels."""
        if self.n_levels is None:
            item = int(np.nanargmax(np.nanmax(x, axis=0)))
            if (top := np.nanmax(x[:, item])) >= _MOST_LEVELS:
                raise ValueError(
                    f"item {item} of x has the code {top:g}, which would mean as many levels: number the levels that "
                    "occur 0, 1, …, or name n_levels"
                )
            return replace(self, n_levels=tuple(int(top) + 1 for top in np.nanmax(x, axis=0)))
        if isinstance(self.n_levels, int):
            return replace(self, n_levels=(self.n_levels,) * x.shape[1])
        return self

    def _levels(self) -> np.ndarray:
        if not isinstance(self.n_levels, tuple):
            raise ValueError("Categorical does not know its levels yet: set n_levels, or use fit (or model.resolve(x))")
        return np.asarray(self.n_levels)

    def log_prob(self, params: Any, x: np.ndarray) -> np.ndarray:
        """log p(x_i | z = k) (n, k)."""
        check_n_features(x, params.probs.shape[1])
        seen = ~np.isnan(x)
        codes = np.where(seen, x, 0.0).astype(np.intp)
        if (codes >= params.probs.shape[2]).any():
            row, item = np.argwhere(codes >= params.probs.shape[2])[0]
            raise ValueError(f"x has level {codes[row, item]} at row {row}, item {item}, which the parameters lack")
        by_item = np.moveaxis(log_or_minus_inf(params.probs), 0, 2)  # (d, L, k)
        log_prob = np.zeros((len(x), len(params.probs)))
        for item, table in enumerate(by_item):  # never all of (n, d, k)
            cells = table[codes[:, item]]
            cells[~seen[:, item]] = 0.0
            log_prob += cells
        return log_prob

    def sufficient(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Indicators of every level of every item in turn (n, Σ_j L_j); 0 (n,)."""
        items, levels = np.nonzero(self._real())
        return (x[:, items] == levels).astype(float), np.zeros(len(x))

    def natural(self, params: Any) -> np.ndarray:
        """log probs (k, Σ_j L_j)."""
        return log_for_counts(params.probs[:, self._real() > 0])

    def stats_of_sums(self, sums: np.ndarray) -> CategoricalStats:
        """Counts (k, d, L)."""
        real = self._real() > 0
        counts = np.zeros((len(sums), *real.shape))
        counts[:, real] = sums
        return CategoricalStats(counts)

    def suff_stats(self, x: np.ndarray, responsibilities: np.ndarray) -> CategoricalStats:
        """Counts (k, d, L)."""
        longest = int(self._levels().max())
        return CategoricalStats(np.stack([responsibilities.T @ (x == level) for level in range(longest)], axis=2))

    def mle(self, stats: CategoricalStats, params: Any) -> CategoricalParams:
        """probs = (counts + c) / (total + c·L_j)."""
        counts = stats.counts + self.prior * self._real()
        denominator = np.broadcast_to(counts.sum(axis=2, keepdims=True), counts.shape)
        previous = None if params is None else params.probs
        return CategoricalParams(ratio_or_keep(counts, denominator, previous))

    def _real(self) -> np.ndarray:
        """1 for a level that the item has, 0 for padding (d, L)."""
        levels = self._levels()
        return (np.arange(levels.max()) < levels[:, None]).astype(float)

    def log_prior(self, params: Any) -> float:
        """c Σ log p over the levels that exist."""
        return float(xlogy(self.prior * self._real(), params.probs).sum()) if self.prior else 0.0

    def check_params(self, fields: Mapping[str, Any], n_components: int, n_features: int) -> CategoricalParams:
        """probs (k, d, L), rows summing to one."""
        longest = int(self._levels().max())
        probs = as_field(fields, "probs", (n_components, n_features, longest))
        check_range("probs", probs, 0.0, 1.0)
        off = np.abs(probs.sum(axis=2) - 1.0)
        if off.max() > 1e-8:
            component, item = np.argwhere(off > 1e-8)[0]
            raise ValueError(f"params.probs[{component}, {item}] sums to {probs[component, item].sum():g}, not to 1")
        return CategoricalParams(probs)

    def constraints(self) -> Mapping[str, Constraint]:
        """The set that each field lives in."""
        return {"probs": Simplex()}

    def n_params(self, n_components: int, n_features: int) -> int:
        """k·Σ_j (L_j - 1)."""
        return int(n_components * (self._levels() - 1).sum())

    def seeding_features(self, x: np.ndarray) -> np.ndarray:
        """Indicators of the levels."""
        levels = range(int(np.nanmax(x)) + 1)
        return np.concatenate([(x == level).astype(float) for level in levels], axis=1)

    def sample(self, params: Any, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Codes (n, d) for labels z (n,)."""
        cumulative = params.probs[z].cumsum(axis=2)  # (n, d, L)
        u = rng.random((len(z), params.probs.shape[1], 1)) * cumulative[:, :, -1:]
        return (u >= cumulative).sum(axis=2).astype(float)

    def select(self, params: Any, order: Any) -> CategoricalParams:
        """Components in another order."""
        return CategoricalParams(params.probs[order])
