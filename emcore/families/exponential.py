"""Exponential waiting times, independent over features.

x_ij | z_i = k  ~  Exponential(rates_kj),   log p = log λ - λ x
prior           ~  `a` pseudo-events in a pseudo-time `b`:  a log λ - b λ, the Gamma(1 + a, b) density up to a
                   constant.
Reference: Mendenhall & Hader (1958), Biometrika 45, 504-520; Jewell (1982), Ann. Statist. 10, 479-484.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from scipy.special import xlogy

from emcore.data import as_matrix, check_n_features
from emcore.families.base import as_field, check_range, ratio_or_keep, standardised
from emcore.families.binomial import check_pseudo
from emcore.numerics import log_for_counts, restore_log_zero
from emcore.parameters import Constraint, Positive


class ExponentialParams(NamedTuple):
    """Events per unit of time; the mean waiting time is 1 / rate."""

    rates: np.ndarray  # (k, d)


class ExponentialStats(NamedTuple):
    """Expected events and the time they took; missing cells count as neither."""

    events: np.ndarray  # (k, d)
    time: np.ndarray  # (k, d)


@dataclass(frozen=True)
class Exponential:
    """Waiting times > 0; missing cells (NaN) are marginalised exactly. `prior` is (pseudo-events, pseudo-time).

    A time of exactly 0 is refused: it would let a component's rate grow without bound.
    """

    prior: tuple[float, float] = (0.0, 0.0)
    Params: ClassVar[Any] = ExponentialParams

    def __post_init__(self) -> None:
        check_pseudo(self.prior, 2)

    def check(self, x: Any) -> np.ndarray:
        """x (n, d) of numbers > 0; NaN where missing."""
        x = as_matrix(x, allow_missing=True)
        if (x <= 0).any():
            row, column = np.argwhere(x <= 0)[0]
            raise ValueError(
                f"Exponential needs times > 0, but x has {x[row, column]:g} at row {row}, column {column}; a time that "
                "was rounded down to 0 may be given as half the unit of rounding"
            )
        return x

    def resolve(self, x: np.ndarray, n_components: int) -> Self:
        """Itself."""
        return self

    def sufficient(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """1 for every cell seen, then times (n, 2d); 0 (n,)."""
        seen = ~np.isnan(x)
        return np.concatenate([seen, np.where(seen, x, 0.0)], axis=1), np.zeros(len(x))

    def natural(self, params: Any) -> np.ndarray:
        """log λ, then -λ (k, 2d)."""
        return np.concatenate([log_for_counts(params.rates), -params.rates], axis=1)

    def stats_of_sums(self, sums: np.ndarray) -> ExponentialStats:
        """Events and time (k, d)."""
        return ExponentialStats(*np.split(sums, 2, axis=1))

    def log_prob(self, params: Any, x: np.ndarray) -> np.ndarray:
        """log p(x_i | z = k) (n, k)."""
        check_n_features(x, params.rates.shape[1])
        return restore_log_zero(self.sufficient(x)[0] @ self.natural(params).T)

    def suff_stats(self, x: np.ndarray, responsibilities: np.ndarray) -> ExponentialStats:
        """Events and time (k, d)."""
        return self.stats_of_sums(responsibilities.T @ self.sufficient(x)[0])

    def mle(self, stats: ExponentialStats, params: Any) -> ExponentialParams:
        """rates = (events + a) / (time + b)."""
        a, b = self.prior
        previous = None if params is None else params.rates
        return ExponentialParams(ratio_or_keep(stats.events + a, stats.time + b, previous))

    def log_prior(self, params: Any) -> float:
        """Σ a log λ - b λ."""
        a, b = self.prior
        return float((xlogy(a, params.rates) - b * params.rates).sum())

    def check_params(self, fields: Mapping[str, Any], n_components: int, n_features: int) -> ExponentialParams:
        """rates (k, d) ≥ 0."""
        rates = as_field(fields, "rates", (n_components, n_features))
        check_range("rates", rates, 0.0)
        return ExponentialParams(rates)

    def constraints(self) -> Mapping[str, Constraint]:
        """The set that each field lives in."""
        return {"rates": Positive()}

    def n_params(self, n_components: int, n_features: int) -> int:
        """k·d."""
        return n_components * n_features

    def seeding_features(self, x: np.ndarray) -> np.ndarray:
        """Logarithms (their variance does not depend on the rate), standardised."""
        return standardised(np.log(x))

    def sample(self, params: Any, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Times (n, d) for labels z (n,)."""
        return rng.standard_exponential((len(z), params.rates.shape[1])) / params.rates[z]

    def select(self, params: Any, order: Any) -> ExponentialParams:
        """Components in another order."""
        return ExponentialParams(params.rates[order])
