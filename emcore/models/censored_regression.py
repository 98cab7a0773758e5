"""Linear regression with normal errors where some responses are known only to lie in an interval.

z_i | v_i       ~  N(coefficients_0 + Σ_j coefficients_j v_ij, scales²)        the response itself
x_i             =  the predictors v_i, and an interval lower_i ≤ z_i ≤ upper_i: a point where z_i was observed
log p(x_i)      =  log N(z_i; fit_i, scales²), or log P(lower_i ≤ z_i ≤ upper_i)
E-step: z_i | x_i is the normal cut to the interval. M-step: least squares on E z, and the mean of its squares plus
the variances of the cut normals.
Reference: Schmee & Hahn (1979), Technometrics 21, 417-432; Wolynetz (1979), Appl. Statist. 28, 195-206; Tobin (1958).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from emcore.families.base import as_field
from emcore.families.crossproducts import PlaneStats, least_squares, plane_stats
from emcore.families.regression import fitted, positive_field, refuse_exact_fit, refuse_unfit
from emcore.models.checks import check_method, named_fields
from emcore.models.continuous import AbstractContinuousLatent
from emcore.models.intervals import as_intervals, guess
from emcore.models.truncated import TruncatedNormalPosterior, truncated_normal
from emcore.parameters import Constraint, Positive, Real


class CensoredRegressionParams(NamedTuple):
    """The plane and the standard deviation of the errors."""

    coefficients: np.ndarray  # (p + 1,), the intercept first; (p,) without one
    scales: np.ndarray  # ()


class CensoredRegressionStats(NamedTuple):
    """Expected sums over rows."""

    planes: PlaneStats  # of the predictors and E z
    spread: np.ndarray  # () Σ weight · var z


@dataclass(frozen=True)
class CensoredRegression(AbstractContinuousLatent):
    """x is (n, p + 2): the predictors, then `lower` and `upper`, equal where the response was observed.

    Right-censored at c: (c, inf). Left-censored (tobit): (-inf, c). Known to lie between a and b: (a, b). Nothing
    known: (-inf, inf). Densities for observed rows and probabilities for the others make up the log-likelihood.

    >>> import numpy as np, emcore as em
    >>> motors = em.datasets.load("motors").to_numpy()
    >>> time = np.log10(motors[:, 1])
    >>> x = np.column_stack([1000 / (motors[:, 0] + 273.2), time, np.where(motors[:, 2] == 1, time, np.inf)])
    >>> fit = em.fit(em.CensoredRegression(), x, restarts=1)
    >>> fit.params.coefficients.round(4), round(float(fit.params.scales), 4), round(fit.log_likelihood, 4)
    (array([-6.0192,  4.3112]), 0.2592, -12.9655)
    """

    intercept: bool = True

    def check(self, x: Any) -> np.ndarray:
        """x (n, p + 2) as float64; only the last two columns may be infinite, and lower ≤ upper."""
        x = as_intervals(x)
        if x.shape[1] < 3 - self.intercept:
            raise ValueError("a regression without an intercept needs a predictor: x has lower and upper alone")
        return x

    def resolve(self, x: np.ndarray) -> Self:
        """Itself; ValueError where the rows cannot carry a plane, or bound the response from one side only."""
        for column, what in ((-2, "a lower"), (-1, "an upper")):
            if np.isinf(x[:, column]).all():
                raise ValueError(
                    f"no row of x has {what} end: every response is only bounded from one side, and the likelihood "
                    "grows without bound as the plane moves away to the other"
                )
        refuse_unfit(np.column_stack([x[:, :-2], guess(x)]), self.intercept)
        return self

    def _plane(self, params: Any, x: np.ndarray) -> np.ndarray:
        return fitted(params.coefficients[None], x[:, :-2], self.intercept)[:, 0]

    def infer(self, params: Any, x: Any) -> tuple[TruncatedNormalPosterior, np.ndarray]:
        """The cut normals and log p(x_i) (n,)."""
        x = self.check(x)
        q = truncated_normal(self._plane(params, x), params.scales, x[:, -2], x[:, -1])
        observed = x[:, -2] == x[:, -1]
        return q, np.where(observed, q.expected_log_density(q.means, q.scale), q.log_mass)

    def expected_log_joint(self, params: Any, x: Any, q: TruncatedNormalPosterior) -> np.ndarray:
        """E_q log p(z_i) (n,); the interval is certain given z."""
        return q.expected_log_density(self._plane(params, self.check(x)), params.scales)

    def expected_log_conditional(self, params: Any, x: Any, q: TruncatedNormalPosterior) -> np.ndarray:
        """E_q log p(x_i | z_i) (n,): 0 for an interval, which is certain given z; log p(z_i) where z is observed."""
        x = self.check(x)
        return np.where(x[:, -2] == x[:, -1], self.expected_log_joint(params, x, q), 0.0)

    def latent_prior(self, params: Any, x: Any) -> TruncatedNormalPosterior:
        """p(z_i | v_i) where z is latent: the normal, uncut."""
        x = self.check(x)
        latent = x[:, -2] < x[:, -1]
        lower, upper = np.where(latent, -np.inf, x[:, -2]), np.where(latent, np.inf, x[:, -1])
        return truncated_normal(self._plane(params, x), params.scales, lower, upper)

    def suff_stats(
        self, x: Any, q: TruncatedNormalPosterior, weight: np.ndarray | None = None
    ) -> CensoredRegressionStats:
        """Moments of the predictors and E z, and the sum of var z."""
        x = self.check(x)
        weight = np.ones(len(x)) if weight is None else weight
        rows = np.column_stack([x[:, :-2], q.expectation])
        planes = plane_stats(rows, weight[:, None], intercept=self.intercept)
        return CensoredRegressionStats(planes, weight @ q.variance)

    def m_step(self, stats: CensoredRegressionStats, params: Any) -> CensoredRegressionParams:
        """Least squares and the mean square; DegenerateError where the plane fits exactly."""
        coefficients, squares = least_squares(stats.planes, intercept=self.intercept)
        rows = stats.planes.cross.weight
        variances = (squares + stats.spread) / rows
        refuse_exact_fit(variances, stats.planes.response_variance() + float(stats.spread / rows[0]))
        return CensoredRegressionParams(coefficients[0], np.asarray(np.sqrt(variances[0])))

    def initial_params(self, x: np.ndarray, method: str, rng: np.random.Generator, weight: Any = None) -> Any:
        """Least squares on the ends or middles of the intervals.

        The likelihood has one maximum (Burridge 1981, J. R. Statist. Soc. B 43, 41-45), so all named methods are one.
        """
        check_method(method)
        weights = np.ones(len(x)) if weight is None else weight
        rows = np.column_stack([x[:, :-2], guess(x)])
        planes = plane_stats(rows, weights[:, None], intercept=self.intercept)
        return self.m_step(CensoredRegressionStats(planes, np.zeros(())), None)

    def check_params(self, params: Any, x: np.ndarray) -> CensoredRegressionParams:
        """coefficients (p + 1,) and scales () > 0."""
        fields = named_fields(params, CensoredRegressionParams._fields, "CensoredRegression")
        coefficients = as_field(fields, "coefficients", (x.shape[1] - 2 + self.intercept,))
        return CensoredRegressionParams(coefficients, positive_field(fields, "scales", ()))

    def constraints(self, params: Any) -> Mapping[str, Constraint]:
        """The set that each field lives in."""
        return {"coefficients": Real(), "scales": Positive()}

    def n_params(self, params: Any) -> int:
        """Coefficients and the scale."""
        return len(params.coefficients) + 1

    def sample(self, params: Any, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Rows x (n, p + 2) with standard normal predictors, right-censored at the mean response, and z (n,)."""
        predictors = rng.standard_normal((n, len(params.coefficients) - self.intercept))
        z = fitted(params.coefficients[None], predictors, self.intercept)[:, 0] + params.scales * rng.standard_normal(n)
        limit = params.coefficients[0] if self.intercept else 0.0
        return np.column_stack([predictors, np.minimum(z, limit), np.where(z < limit, z, np.inf)]), z
