"""Poisson counts of which the zeros were never seen.

z_i              ~  Geometric: zeros drawn and lost before the i-th count above zero,  p(z_i = m) = f^m (1 - f)
x_i              ~  Poisson(λ) given x_i ≥ 1
log p(x_i, z_i)  =  x_i log λ - λ - log x_i! - λ z_i,   f = e^{-λ}
log p(x_i)       =  x_i log λ - λ - log x_i! - log(1 - f)
prior            ~  `a` pseudo-events in `b` pseudo-draws:  a log λ - b λ
The draws are taken to have gone on until the n-th count above zero: all lost zeros together are negative binomial,
NB(n, 1 - f), with mean n f/(1 - f), and likelihood, bound and gap are exact. Only their mean enters the M-step, so
this is the EM of McKendrick (1926), Proc. Edinb. Math. Soc. 44, 98-130; Meng (1997), Stat. Methods Med. Res. 6, 3-23.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.special import gammaln

from emcore.data import as_matrix, check_counts, check_n_features
from emcore.divergence import kl_rows
from emcore.families.base import as_field, check_range
from emcore.families.binomial import check_pseudo
from emcore.models.checks import check_method, named_fields
from emcore.numerics import DegenerateError
from emcore.parameters import Constraint, Positive


class TruncatedPoissonParams(NamedTuple):
    """The mean of the counts, zeros included."""

    rates: np.ndarray  # (1,)


class TruncatedPoissonStats(NamedTuple):
    """Events seen, and draws made: the seen ones and the expected zeros."""

    events: float
    draws: float


class GeometricPosterior(NamedTuple):
    """Q_i(z = m) = f_i^m (1 - f_i), m = 0, 1, …"""

    log_fail: np.ndarray  # (n,) log f_i < 0

    def mean(self) -> np.ndarray:
        """E z_i = f/(1 - f) (n,): expected zeros lost before each count."""
        return np.exp(self.log_fail) / -np.expm1(self.log_fail)  # never above floats, however sure to stop

    def entropy(self) -> np.ndarray:
        """-log(1 - f) - E z log f (n,)."""
        return -self._log_stop() - self.mean() * self.log_fail

    def kl(self, other: "GeometricPosterior") -> np.ndarray:
        """KL(Q_i ‖ other_i) (n,): that of one draw, times the expected number 1/(1 - f) of draws."""
        logs = np.column_stack([self.log_fail, self._log_stop()])
        other_logs = np.column_stack([other.log_fail, other._log_stop()])
        return kl_rows(np.exp(logs), np.exp(other_logs), logs, other_logs) / np.exp(self._log_stop())

    def rows(self, index: slice | np.ndarray) -> "GeometricPosterior":
        """The posterior of some of the rows."""
        return GeometricPosterior(self.log_fail[index])

    def _log_stop(self) -> np.ndarray:
        return np.log(-np.expm1(self.log_fail))


@dataclass(frozen=True)
class ZeroTruncatedPoisson:
    """x (n, 1) of whole numbers from 1, as frequencies with `weight=` or row by row; params have `rates` (1,).

    `posterior(params, x).mean()` are the zeros expected beside each count. Given λ, z and x are independent, so the
    posterior is p(z) itself and the rate term of the bound is 0: what is not seen bears on λ alone. Where every count
    is 1 the likelihood rises towards λ = 0, which EM approaches ever more slowly. `prior` is (pseudo-events,
    pseudo-draws).

    >>> import numpy as np, emcore as em
    >>> x, houses = np.array([[1], [2], [3], [4]]), np.array([32, 16, 6, 1])
    >>> fit = em.fit(em.ZeroTruncatedPoisson(), x, weight=houses, init={"rates": [86 / 55]})
    >>> fit.params.rates.round(4), float((houses @ fit.model.posterior(fit.params, x).mean()).round(2))
    (array([0.9722]), 33.46)
    """

    prior: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        check_pseudo(self.prior, 2)

    def check(self, x: Any) -> np.ndarray:
        """x (n, 1) of whole numbers ≥ 1."""
        x = as_matrix(x)
        check_n_features(x, 1)
        check_counts(x, "ZeroTruncatedPoisson")
        if (x == 0).any():
            row = int(np.flatnonzero(x[:, 0] == 0)[0])
            raise ValueError(f"x has a 0 at row {row}: zeros are what this model takes as never seen; use em.Poisson()")
        return x

    def resolve(self, x: np.ndarray) -> Self:
        """Itself."""
        return self

    def log_likelihood(self, params: Any, x: Any) -> np.ndarray:
        """log p(x_i | x_i ≥ 1) (n,), the factorials included."""
        rate = params.rates[0]
        return self._log_count(params, self.check(x)) - rate - np.log(-np.expm1(-rate))

    def _log_count(self, params: Any, x: np.ndarray) -> np.ndarray:
        """x log λ - log x! (n,)."""
        return (x * np.log(params.rates) - gammaln(x + 1.0))[:, 0]

    def posterior(self, params: Any, x: Any) -> GeometricPosterior:
        """Geometric with f = e^{-λ}, the same for every row."""
        return GeometricPosterior(np.full(len(x), -params.rates[0]))

    def infer(self, params: Any, x: Any) -> tuple[GeometricPosterior, np.ndarray]:
        """The posterior and log p(x_i) (n,)."""
        return self.posterior(params, x), self.log_likelihood(params, x)

    def expected_log_joint(self, params: Any, x: Any, q: GeometricPosterior) -> np.ndarray:
        """x log λ - log x! - λ (1 + E z) (n,)."""
        return self._log_count(params, self.check(x)) - params.rates[0] * (1.0 + q.mean())

    def latent_prior(self, params: Any, x: Any) -> GeometricPosterior:
        """p(z): the posterior itself."""
        return self.posterior(params, x)

    def expected_log_conditional(self, params: Any, x: Any, q: GeometricPosterior) -> np.ndarray:
        """log p(x_i | z_i) = log p(x_i) (n,)."""
        return self.log_likelihood(params, x)

    def suff_stats(self, x: Any, q: GeometricPosterior, weight: np.ndarray | None = None) -> TruncatedPoissonStats:
        """Σ x and Σ (1 + E z)."""
        x = self.check(x)
        weight = np.ones(len(x)) if weight is None else weight
        return TruncatedPoissonStats(float(weight @ x[:, 0]), float(weight @ (1.0 + q.mean())))

    def m_step(self, stats: TruncatedPoissonStats, params: Any) -> TruncatedPoissonParams:
        """λ = (events + a) / (draws + b)."""
        a, b = self.prior
        rate = (stats.events + a) / (stats.draws + b)
        if not rate > 0:
            raise DegenerateError("the rate has reached 0: no count above zero could have been seen")
        return TruncatedPoissonParams(np.array([rate]))

    def log_prior(self, params: Any) -> float:
        """a log λ - b λ."""
        a, b = self.prior
        return float(a * np.log(params.rates[0]) - b * params.rates[0])

    def initial_params(
        self, x: np.ndarray, method: str, rng: np.random.Generator, weight: Any = None
    ) -> TruncatedPoissonParams:
        """The mean of the counts seen, for every method: no zero lost yet."""
        check_method(method)
        return TruncatedPoissonParams(np.array([np.average(x[:, 0], weights=weight)]))

    def params_from_responsibilities(self, x: np.ndarray, responsibilities: np.ndarray, weight: Any = None) -> Any:
        """Refused: the latent count has no labels."""
        raise ValueError("ZeroTruncatedPoisson has no labels to start from: give init= params or a method's name")

    def check_params(self, params: Any, x: Any) -> TruncatedPoissonParams:
        """rates (1,) > 0."""
        rates = as_field(named_fields(params, TruncatedPoissonParams._fields, type(self).__name__), "rates", (1,))
        check_range("rates", rates, np.finfo(float).tiny)
        return TruncatedPoissonParams(rates)

    def constraints(self, params: Any) -> Mapping[str, Constraint]:
        """A positive rate."""
        return {"rates": Positive()}

    def n_params(self, params: Any) -> int:
        """1."""
        return 1

    def sample(self, params: Any, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """n counts x (n, 1) ≥ 1, and the zeros z (n,) drawn before each."""
        rate = params.rates[0]
        z = rng.geometric(-np.expm1(-rate), size=n) - 1
        # The first event falls before time 1 by its truncated exponential; those after it are Poisson.
        first = -np.log1p(rng.random(n) * np.expm1(-rate)) / rate
        return (1.0 + rng.poisson(rate * np.maximum(1.0 - first, 0.0)))[:, None], z
