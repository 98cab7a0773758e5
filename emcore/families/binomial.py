"""Binomial and Bernoulli observations, independent over features.

x_ij | z_i = k  ~  Binomial(m_j, probs_kj),   log p = log C(m, x) + x log p + (m - x) log(1 - p)
prior           ~  a pseudo-successes and b pseudo-failures for every p:  a log p + b log(1 - p),
                   the Beta(1 + a, 1 + b) density up to a constant.
Reference: Bishop (2006), Pattern Recognition and Machine Learning, sections 2.1 and 9.3.3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from scipy.special import gammaln, xlog1py, xlogy

from emcore.data import as_matrix, as_numbers, check_counts, check_n_features
from emcore.families.base import as_field, check_range, ratio_or_keep, standardised
from emcore.numerics import log_for_counts, restore_log_zero
from emcore.parameters import Constraint, UnitInterval

_EDGE = 1e-12


class BinomialParams(NamedTuple):
    """Success probabilities of the components."""

    probs: np.ndarray  # (k, d)


class BinomialStats(NamedTuple):
    """Expected successes and trials; missing cells count as no trial."""

    successes: np.ndarray  # (k, d)
    trials: np.ndarray  # (k, d)


@dataclass(frozen=True)
class Binomial:
    """Counts of successes in `n_trials` tosses (one number, or one per feature).

    Missing cells (NaN) are marginalised exactly. `prior` is (pseudo-successes, pseudo-failures).
    """

    n_trials: int | tuple[int, ...]
    prior: tuple[float, float] = (0.0, 0.0)
    Params: ClassVar[Any] = BinomialParams

    def __post_init__(self) -> None:
        trials = np.atleast_1d(np.asarray(self.n_trials))
        if not (trials.dtype.kind in "iu" and (trials >= 1).all()):
            raise ValueError(f"n_trials must be whole numbers of at least 1, not {self.n_trials!r}")
        if not isinstance(self.n_trials, tuple):  # hashable and plain, whatever came in
            plain = int(trials[0]) if np.ndim(self.n_trials) == 0 else tuple(int(t) for t in trials)
            object.__setattr__(self, "n_trials", plain)
        check_pseudo(self.prior, 2)

    def check(self, x: Any) -> np.ndarray:
        """x (n, d) of whole numbers from 0 to n_trials; NaN where missing."""
        x = as_matrix(x, allow_missing=True)
        if isinstance(self.n_trials, tuple):
            check_n_features(x, len(self.n_trials))
        what = "Bernoulli" if self.n_trials == 1 else "Binomial"
        check_counts(x, what, np.asarray(self.n_trials, dtype=float))
        return x

    def resolve(self, x: np.ndarray, n_components: int) -> Self:
        """Itself."""
        return self

    def sufficient(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Successes, then failures (n, 2d); Σ log C(m, x) (n,)."""
        seen = ~np.isnan(x)
        wins = np.where(seen, x, 0.0)
        losses = np.where(seen, self.n_trials - wins, 0.0)
        return np.concatenate([wins, losses], axis=1), self._log_coefficient(wins, losses)

    def _log_coefficient(self, wins: np.ndarray, losses: np.ndarray) -> np.ndarray:
        if self.n_trials == 1:
            return np.zeros(len(wins))
        return (gammaln(wins + losses + 1) - gammaln(wins + 1) - gammaln(losses + 1)).sum(axis=1)

    def natural(self, params: Any) -> np.ndarray:
        """log p, then log(1 - p) (k, 2d)."""
        return log_for_counts(np.concatenate([params.probs, 1.0 - params.probs], axis=1))

    def stats_of_sums(self, sums: np.ndarray) -> BinomialStats:
        """Successes and trials (k, d)."""
        wins, losses = np.split(sums, 2, axis=1)
        return BinomialStats(wins, wins + losses)

    def log_prob(self, params: Any, x: np.ndarray) -> np.ndarray:
        """log p(x_i | z = k) (n, k), binomial coefficients included."""
        check_n_features(x, params.probs.shape[1])
        statistics, log_base = self.sufficient(x)
        return restore_log_zero(statistics @ self.natural(params).T + log_base[:, None])

    def suff_stats(self, x: np.ndarray, responsibilities: np.ndarray) -> BinomialStats:
        """Successes and trials (k, d)."""
        return self.stats_of_sums(responsibilities.T @ self.sufficient(x)[0])

    def mle(self, stats: BinomialStats, params: Any) -> BinomialParams:
        """probs = (successes + a) / (trials + a + b), kept 1e-12 away from 0 and 1: the maximiser in that box.

        A start in which a component has only ones, or none, would otherwise hold it there for ever.
        """
        a, b = self.prior
        previous = None if params is None else params.probs
        probs = ratio_or_keep(stats.successes + a, stats.trials + a + b, previous)
        return BinomialParams(np.clip(probs, _EDGE, 1.0 - _EDGE))

    def log_prior(self, params: Any) -> float:
        """Σ a log p + b log(1 - p)."""
        a, b = self.prior
        return float(xlogy(a, params.probs).sum() + xlog1py(b, -params.probs).sum())

    def check_params(self, fields: Mapping[str, Any], n_components: int, n_features: int) -> BinomialParams:
        """probs (k, d) between 0 and 1."""
        probs = as_field(fields, "probs", (n_components, n_features))
        check_range("probs", probs, 0.0, 1.0)
        return BinomialParams(probs)

    def constraints(self) -> Mapping[str, Constraint]:
        """The set that each field lives in."""
        return {"probs": UnitInterval()}

    def n_params(self, n_components: int, n_features: int) -> int:
        """k·d."""
        return n_components * n_features

    def seeding_features(self, x: np.ndarray) -> np.ndarray:
        """Standardised columns."""
        return standardised(x)

    def sample(self, params: Any, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Counts (n, d) for labels z (n,)."""
        return rng.binomial(self.n_trials, params.probs[z]).astype(float)

    def select(self, params: Any, order: Any) -> BinomialParams:
        """Components in another order."""
        return BinomialParams(params.probs[order])


def Bernoulli(prior: tuple[float, float] = (0.0, 0.0)) -> Binomial:
    """0/1 features: a binomial with one toss. `prior` is (pseudo-ones, pseudo-zeros)."""
    return Binomial(1, prior)


def check_pseudo(prior: tuple[float, ...], length: int) -> None:
    """ValueError unless a prior is `length` finite pseudo-counts ≥ 0."""
    values = np.atleast_1d(as_numbers(prior, "prior"))
    if values.shape != (length,) or not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError(f"prior must be {length} pseudo-count(s), finite and ≥ 0, not {prior!r}")
