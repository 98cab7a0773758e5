"""Exponential waiting times of which some are known only to lie in an interval.

z_i         ~  Exponential(rates)                              the time itself
x_i         =  an interval lower_i ≤ z_i ≤ upper_i: a point where the event was seen
log p(x_i)  =  log rates - rates · z_i, or log P(lower_i ≤ z_i ≤ upper_i)
E-step: beyond lower_i the time is exponential again, cut to the interval; right-censored at c it has mean c + 1/rates.
M-step: rates = rows / Σ E z. With right-censoring alone the maximum is events / total time at risk.
Reference: Dempster, Laird & Rubin (1977), section 4.2; Cox & Oakes (1984), Analysis of Survival Data, section 11.4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from emcore.divergence import excess
from emcore.families.regression import positive_field
from emcore.models.checks import check_method, named_fields
from emcore.models.continuous import AbstractContinuousLatent
from emcore.models.intervals import as_intervals, guess
from emcore.models.truncated import Cut, moments, replace_rows, small_kl
from emcore.parameters import Constraint, Positive

_SMALL = 1e-3  # a divergence under this is integrated term by term: its closed form would cancel


class CensoredExponentialParams(NamedTuple):
    """Events per unit of time."""

    rates: np.ndarray  # ()


class CensoredExponentialStats(NamedTuple):
    """Expected sums over rows."""

    rows: np.ndarray  # () Σ weight
    time: np.ndarray  # () Σ weight · E z


class TruncatedExponentialPosterior(NamedTuple):
    """Q_i = Exponential(rate) cut to [lower_i, upper_i]; where both ends are one point, z_i is known and not latent."""

    rate: np.ndarray  # () or (n,)
    lower: np.ndarray  # (n,) ≥ 0
    upper: np.ndarray  # (n,)
    excess_time: np.ndarray  # (n,) E z - lower
    log_mass: np.ndarray  # (n,) log P(z ≤ upper | z ≥ lower) before the cut; 0 where z is known

    @property
    def expectation(self) -> np.ndarray:
        """E z (n,)."""
        return self.lower + self.excess_time

    def _latent(self) -> np.ndarray:
        return self.lower < self.upper

    def entropy(self) -> np.ndarray:
        """Differential entropy (n,)."""
        return np.where(self._latent(), self.log_mass - np.log(self.rate) + self.rate * self.excess_time, 0.0)

    def kl(self, other: "TruncatedExponentialPosterior") -> np.ndarray:
        """KL(Q ‖ other) (n,), for an other whose interval holds this one."""
        same = (self.lower == other.lower) & (self.upper == other.upper)
        beyond = self.expectation - other.lower  # the other's law counts from its own lower end
        cross = np.log(other.rate) - other.rate * np.where(same, self.excess_time, beyond) - other.log_mass
        kl = np.where(self._latent(), np.maximum(-self.entropy() - cross, 0.0), 0.0)
        open_above = self._latent() & same & np.isinf(self.upper)
        change = np.broadcast_to((other.rate - self.rate) / self.rate, kl.shape)
        kl[open_above] = excess(change[open_above])
        near = np.flatnonzero(self._latent() & same & ~open_above & (kl < _SMALL))
        length = np.broadcast_to(self.rate, kl.shape)[near] * (self.upper - self.lower)[near]
        kl[near] = small_kl(_cut(length), -change[near], np.zeros(len(near)))
        return kl

    def rows(self, index: slice | np.ndarray) -> "TruncatedExponentialPosterior":
        """The posterior of some of the rows."""
        return TruncatedExponentialPosterior(*(part[index] if np.ndim(part) else part for part in self))

    def with_rows(
        self, index: slice | np.ndarray, other: "TruncatedExponentialPosterior"
    ) -> "TruncatedExponentialPosterior":
        """The posterior with some of the rows replaced by `other`, row for row."""
        return TruncatedExponentialPosterior(*replace_rows(self, index, other))


def _cut(length: np.ndarray) -> Cut:
    """The interval [0, length] of a standard exponential, whose mode is its lower end."""
    return Cut(np.zeros(len(length)), length, np.ones(len(length)), 0.0)


def truncated_exponential(rate: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> TruncatedExponentialPosterior:
    """Exponential(rate) cut to [lower, upper], with its moments; lower and upper (n,)."""
    excess_time, log_mass = np.zeros(len(lower)), np.zeros(len(lower))
    excess_time[np.isinf(upper)] = 1.0 / rate
    closed = np.flatnonzero((lower < upper) & np.isfinite(upper))
    if len(closed):
        length = rate * (upper - lower)[closed]
        log_mass[closed] = np.log(-np.expm1(-length))
        excess_time[closed] = moments(_cut(length))[1] / rate
    return TruncatedExponentialPosterior(rate, lower, upper, excess_time, log_mass)


@dataclass(frozen=True)
class CensoredExponential(AbstractContinuousLatent):
    """x is (n, 2): `lower` and `upper` ends of every waiting time, equal where the event was seen.

    Right-censored at c: (c, inf). Known to lie between a and b: (a, b). Before c: (0, c), or (-inf, c).

    >>> import numpy as np, emcore as em
    >>> time = np.array([6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35])
    >>> censored = np.isin(np.arange(21), [3, 5, 7, 8, 11, 12, 13, 16, 17, 18, 19, 20])
    >>> x = np.column_stack([time, np.where(censored, np.inf, time)])
    >>> fit = em.fit(em.CensoredExponential(), x, init={"rates": 0.1})
    >>> round(float(fit.params.rates), 6), round(9 / 359, 6)
    (0.02507, 0.02507)
    """

    def check(self, x: Any) -> np.ndarray:
        """x (n, 2) as float64 with 0 ≤ lower ≤ upper; a lower end of -inf means 0."""
        x = as_intervals(x)
        if x.shape[1] != 2:
            raise ValueError(f"x must have two columns, lower and upper, but it has {x.shape[1]}")
        if np.isneginf(x).any():
            x = np.where(np.isneginf(x), 0.0, x)
        bad = (x[:, 0] < 0) | (x[:, 1] <= 0)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise ValueError(f"waiting times are > 0, but row {row} of x is {x[row].tolist()}")
        return x

    def resolve(self, x: np.ndarray) -> Self:
        """Itself; ValueError where no row has an upper end, or none a lower end above 0."""
        if np.isinf(x[:, 1]).all():
            raise ValueError("every row of x is right-censored: with no event the likelihood is highest at a rate of 0")
        if (x[:, 0] == 0).all():
            raise ValueError("every row of x starts at 0: the likelihood is highest at an infinite rate")
        return self

    def infer(self, params: Any, x: Any) -> tuple[TruncatedExponentialPosterior, np.ndarray]:
        """The cut exponentials and log p(x_i) (n,)."""
        x = self.check(x)
        q = truncated_exponential(params.rates, x[:, 0], x[:, 1])
        seen = np.where(x[:, 0] == x[:, 1], np.log(params.rates), 0.0)
        return q, seen + q.log_mass - params.rates * x[:, 0]

    def expected_log_joint(self, params: Any, x: Any, q: TruncatedExponentialPosterior) -> np.ndarray:
        """E_q log p(z_i) (n,); the interval is certain given z."""
        return np.log(params.rates) - params.rates * q.expectation

    def expected_log_conditional(self, params: Any, x: Any, q: TruncatedExponentialPosterior) -> np.ndarray:
        """E_q log p(x_i | z_i) (n,): 0 for an interval, which is certain given z; log p(z_i) where z is observed."""
        x = self.check(x)
        return np.where(x[:, 0] == x[:, 1], self.expected_log_joint(params, x, q), 0.0)

    def latent_prior(self, params: Any, x: Any) -> TruncatedExponentialPosterior:
        """p(z_i) where z is latent: the exponential, uncut."""
        x = self.check(x)
        latent = x[:, 0] < x[:, 1]
        return truncated_exponential(params.rates, np.where(latent, 0.0, x[:, 0]), np.where(latent, np.inf, x[:, 1]))

    def suff_stats(
        self, x: Any, q: TruncatedExponentialPosterior, weight: np.ndarray | None = None
    ) -> CensoredExponentialStats:
        """Rows and expected time."""
        weight = np.ones(len(q.lower)) if weight is None else weight
        return CensoredExponentialStats(weight.sum(), weight @ q.expectation)

    def m_step(self, stats: CensoredExponentialStats, params: Any) -> CensoredExponentialParams:
        """rates = rows / time."""
        return CensoredExponentialParams(np.asarray(stats.rows / stats.time))

    def initial_params(self, x: np.ndarray, method: str, rng: np.random.Generator, weight: Any = None) -> Any:
        """Rows over time, with open intervals at their lower end and others at their middle.

        The log-likelihood is concave in the rate, so all named methods are one.
        """
        check_method(method)
        return CensoredExponentialParams(np.asarray(1.0 / np.average(guess(x), weights=weight)))

    def check_params(self, params: Any, x: np.ndarray) -> CensoredExponentialParams:
        """rates () > 0."""
        fields = named_fields(params, CensoredExponentialParams._fields, "CensoredExponential")
        return CensoredExponentialParams(positive_field(fields, "rates", ()))

    def constraints(self, params: Any) -> Mapping[str, Constraint]:
        """The set that each field lives in."""
        return {"rates": Positive()}

    def n_params(self, params: Any) -> int:
        """One."""
        return 1

    def sample(self, params: Any, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Rows x (n, 2), right-censored at twice the mean, and the times z (n,)."""
        z = rng.standard_exponential(n) / params.rates
        limit = 2.0 / params.rates
        return np.column_stack([np.minimum(z, limit), np.where(z < limit, z, np.inf)]), z
