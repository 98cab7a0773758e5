"""Poisson observations, independent over features.

x_ij | z_i = k  ~  Poisson(rates_kj),   log p = x log λ - λ - log x!
prior           ~  `a` pseudo-events seen in `b` pseudo-rows:  a log λ - b λ, the Gamma(1 + a, b) density up to a
                   constant.
Reference: Hasselblad (1969), J. Amer. Statist. Assoc. 64, 1459-1471.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from scipy.special import gammaln, xlogy

from emcore.data import as_matrix, check_counts, check_n_features
from emcore.families.base import as_field, check_range, ratio_or_keep, standardised
from emcore.families.binomial import check_pseudo
from emcore.numerics import log_for_counts, restore_log_zero
from emcore.parameters import Constraint, Positive


class PoissonParams(NamedTuple):
    """Mean counts of the components."""

    rates: np.ndarray  # (k, d)


class PoissonStats(NamedTuple):
    """Expected events and rows; missing cells count as no row."""

    events: np.ndarray  # (k, d)
    exposure: np.ndarray  # (k, d)


@dataclass(frozen=True)
class Poisson:
    """Counts 0, 1, 2, …; missing cells (NaN) are marginalised exactly. `prior` is (pseudo-events, pseudo-rows)."""

    prior: tuple[float, float] = (0.0, 0.0)
    Params: ClassVar[Any] = PoissonParams

    def __post_init__(self) -> None:
        check_pseudo(self.prior, 2)

    def check(self, x: Any) -> np.ndarray:
        """x (n, d) of whole numbers ≥ 0; NaN where missing."""
        x = as_matrix(x, allow_missing=True)
        check_counts(x, "Poisson")
        return x

    def resolve(self, x: np.ndarray, n_components: int) -> Self:
        """Itself."""
        return self

    def sufficient(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Counts, then 1 for every cell seen (n, 2d); -Σ log x! (n,)."""
        seen = ~np.isnan(x)
        counts = np.where(seen, x, 0.0)
        return np.concatenate([counts, seen], axis=1), -gammaln(counts + 1.0).sum(axis=1)

    def natural(self, params: Any) -> np.ndarray:
        """log λ, then -λ (k, 2d)."""
        return np.concatenate([log_for_counts(params.rates), -params.rates], axis=1)

    def stats_of_sums(self, sums: np.ndarray) -> PoissonStats:
        """Events and exposure (k, d)."""
        return PoissonStats(*np.split(sums, 2, axis=1))

    def log_prob(self, params: Any, x: np.ndarray) -> np.ndarray:
        """log p(x_i | z = k) (n, k), the factorials included."""
        check_n_features(x, params.rates.shape[1])
        statistics, log_base = self.sufficient(x)
        return restore_log_zero(statistics @ self.natural(params).T + log_base[:, None])

    def suff_stats(self, x: np.ndarray, responsibilities: np.ndarray) -> PoissonStats:
        """Events and exposure (k, d)."""
        return self.stats_of_sums(responsibilities.T @ self.sufficient(x)[0])

    def mle(self, stats: PoissonStats, params: Any) -> PoissonParams:
        """rates = (events + a) / (exposure + b)."""
        a, b = self.prior
        previous = None if params is None else params.rates
        return PoissonParams(ratio_or_keep(stats.events + a, stats.exposure + b, previous))

    def log_prior(self, params: Any) -> float:
        """Σ a log λ - b λ."""
        a, b = self.prior
        return float((xlogy(a, params.rates) - b * params.rates).sum())

    def check_params(self, fields: Mapping[str, Any], n_components: int, n_features: int) -> PoissonParams:
        """rates (k, d) ≥ 0."""
        rates = as_field(fields, "rates", (n_components, n_features))
        check_range("rates", rates, 0.0)
        return PoissonParams(rates)

    def constraints(self) -> Mapping[str, Constraint]:
        """The set that each field lives in."""
        return {"rates": Positive()}

    def n_params(self, n_components: int, n_features: int) -> int:
        """k·d."""
        return n_components * n_features

    def seeding_features(self, x: np.ndarray) -> np.ndarray:
        """Square roots of the counts (their variance is near constant), standardised."""
        return standardised(np.sqrt(x))

    def sample(self, params: Any, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Counts (n, d) for labels z (n,)."""
        return rng.poisson(params.rates[z]).astype(float)

    def select(self, params: Any, order: Any) -> PoissonParams:
        """Components in another order."""
        return PoissonParams(params.rates[order])
