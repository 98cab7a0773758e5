"""Two Gaussian causes of one measurement: small enough that every answer has a closed form.

z_1, z_2     ~  N(0, 1), independent
x | z        ~  N(loading · (z_1 + z_2), noise_variance)
z | x        ~  N(b x (1, 1), I - b loading (1, 1)ᵀ(1, 1))  with  b = loading/(2 loading² + noise_variance):
                the causes explain one another away, with correlation -ρ, ρ = loading²/(loading² + noise_variance)
mean field   :  the same means, variances 1 - ρ; its gap is -½ log(1 - ρ²) for every x
Reference: Turner & Sahani (2011), in Bayesian Time Series Models, 104-124.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from emcore.data import as_matrix
from emcore.families.base import as_field
from emcore.models.checks import named_fields
from emcore.numerics import LOG_2PI, DegenerateError
from emcore.parameters import Constraint, Real
from emcore.posteriors import GaussianPosterior


class TwoLatentsParams(NamedTuple):
    """What either cause adds to x."""

    loading: np.ndarray  # ()


class TwoLatentsStats(NamedTuple):
    """Expected products of x and the sum u of the causes."""

    xu: float
    uu: float


@dataclass(frozen=True)
class TwoLatents:
    """x (n, 1) is a multiple of the sum of two standard normals, and noise of known variance.

    >>> import numpy as np, emcore as em
    >>> x = np.array([[1.0], [-1.0]])
    >>> exact = em.fit(TwoLatents(0.1), x, init={"loading": 0.3})
    >>> factorised = em.fit(TwoLatents(0.1), x, init={"loading": 0.3}, e_step=em.mean_field())
    >>> round(float(exact.params.loading), 3), round(float(factorised.params.loading), 3)
    (0.671, 0.493)
    """

    noise_variance: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.noise_variance < np.inf:
            raise ValueError(f"noise_variance must be a number > 0, not {self.noise_variance!r}")

    def check(self, x: Any) -> np.ndarray:
        """x as float64 (n, 1)."""
        x = as_matrix(x)
        if x.shape[1] != 1:
            raise ValueError(f"two latents explain one column of x, but it has {x.shape[1]}")
        return x

    def resolve(self, x: np.ndarray) -> Self:
        """Itself."""
        return self

    def correlation(self, params: Any) -> float:
        """ρ: the causes have correlation -ρ in the posterior."""
        return float(params.loading**2 / (params.loading**2 + self.noise_variance))

    def infer(self, params: Any, x: Any) -> tuple[GaussianPosterior, np.ndarray]:
        """p(z | x_i), with one covariance for all rows, and log p(x_i) (n,)."""
        x = self.check(x)
        variance = 2.0 * params.loading**2 + self.noise_variance
        b = params.loading / variance
        covariance = np.eye(2) - b * params.loading
        posterior = GaussianPosterior(np.repeat(b * x, 2, axis=1), np.linalg.cholesky(covariance)[None])
        return posterior, -0.5 * (LOG_2PI + np.log(variance) + x[:, 0] ** 2 / variance)

    def posterior(self, params: Any, x: Any) -> GaussianPosterior:
        """p(z | x_i)."""
        return self.infer(params, x)[0]

    def log_likelihood(self, params: Any, x: Any) -> np.ndarray:
        """log N(x_i; 0, 2 loading² + noise_variance) (n,)."""
        return self.infer(params, x)[1]

    def latent_prior(self, params: Any, x: Any) -> GaussianPosterior:
        """N(0, I) for every row."""
        return GaussianPosterior(np.zeros((len(x), 2)), np.eye(2)[None])

    def expected_log_conditional(self, params: Any, x: Any, q: GaussianPosterior) -> np.ndarray:
        """E_q log p(x_i | z) (n,)."""
        mean, variance = _sum_of_causes(q)
        squares = (self.check(x)[:, 0] - params.loading * mean) ** 2 + params.loading**2 * variance
        return -0.5 * (LOG_2PI + np.log(self.noise_variance) + squares / self.noise_variance)

    def expected_log_joint(self, params: Any, x: Any, q: GaussianPosterior) -> np.ndarray:
        """E_q log p(x_i, z) (n,)."""
        squares = (q.means**2).sum(axis=1) + (q.factors**2).sum(axis=(1, 2))
        return self.expected_log_conditional(params, x, q) - 0.5 * (2.0 * LOG_2PI + squares)

    def mean_field(self, params: Any, x: Any, q_prev: Any = None, sweeps: int = 10) -> GaussianPosterior:
        """Q as a product of two normals, after `sweeps` rounds in which each is the best given the other.

        From `q_prev`, or from p(z). An update of one mean is linear in the other, so that every round shrinks the
        distance from where they end, the means of the posterior, by ρ²; all rounds are taken at once.
        """
        rho, ends = self.correlation(params), self.posterior(params, x).means
        start = np.zeros_like(ends) if q_prev is None else q_prev.means
        second = rho ** (2 * sweeps) * (start - ends)[:, 1]  # the first mean is updated first, from the second
        away = np.stack([-second / rho if rho > 0 else 0.0 * second, second], axis=1)
        return GaussianPosterior(ends + away, np.sqrt(1.0 - rho) * np.eye(2)[None])

    def suff_stats(self, x: Any, q: GaussianPosterior, weight: np.ndarray | None = None) -> TwoLatentsStats:
        """E_q of x u and u², u = z_1 + z_2, summed over rows."""
        x = self.check(x)[:, 0]
        mean, variance = _sum_of_causes(q)
        weight = np.ones(len(x)) if weight is None else weight
        return TwoLatentsStats(float(weight @ (x * mean)), float(weight @ (mean**2 + variance)))

    def m_step(self, stats: TwoLatentsStats, params: Any) -> TwoLatentsParams:
        """Least squares of x on u."""
        if not stats.uu > 0:
            raise DegenerateError("no rows are left: every weight is zero")
        return TwoLatentsParams(np.array(stats.xu / stats.uu))

    def log_prior(self, params: Any) -> float:
        """0: maximum likelihood."""
        return 0.0

    def initial_params(self, x: np.ndarray, method: str, rng: np.random.Generator, weight: Any = None) -> Any:
        """A loading that explains half of the variance of x."""
        return TwoLatentsParams(np.array(0.5 * np.sqrt((x**2).mean())))

    def params_from_responsibilities(self, x: np.ndarray, responsibilities: np.ndarray, weight: Any = None) -> Any:
        """ValueError: z is no label."""
        raise ValueError("the causes are continuous: start from params or a method's name")

    def check_params(self, params: Any, x: np.ndarray) -> TwoLatentsParams:
        """loading ()."""
        fields = named_fields(params, TwoLatentsParams._fields, type(self).__name__)
        return TwoLatentsParams(as_field(fields, "loading", ()))

    def constraints(self, params: Any) -> Mapping[str, Constraint]:
        """The set that each field lives in."""
        return {"loading": Real()}

    def n_params(self, params: Any) -> int:
        """1."""
        return 1


def _sum_of_causes(q: GaussianPosterior) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (n,) or (1,) of z_1 + z_2."""
    return q.means.sum(axis=1), (q.factors.sum(axis=1) ** 2).sum(axis=1)
