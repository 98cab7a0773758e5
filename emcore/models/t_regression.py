"""Linear regression with Student t errors: least squares that doubts outlying rows.

u_i             ~  Gamma(df/2, rate df/2)                              a latent precision, of mean 1
y_i | u_i, v_i  ~  N(coefficients_0 + Σ_j coefficients_j v_ij, scales² / u_i)
log p(y_i)      =  log t_df((y_i - fit_i) / scales) - log scales,      with u integrated out
E-step: u_i | y_i ~ Gamma((df + 1)/2, (df + r_i²/scales²)/2), r the residuals. M-step: least squares with weights E u,
the mean weighted square, and the df at which E log u and E u average to what a Gamma(df/2, df/2) says.
Reference: Lange, Little & Taylor (1989), J. Amer. Statist. Assoc. 84, 881-896; Liu & Rubin (1995), Statist. Sinica 5,
19-39.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.special import gammaln

from emcore.data import as_matrix
from emcore.families.base import as_field
from emcore.families.crossproducts import PlaneStats, least_squares, plane_stats
from emcore.families.gamma import GammaPosterior, best_shape, log_density_of_mean_one
from emcore.families.regression import fitted, positive_field, refuse_exact_fit, refuse_unfit
from emcore.models.checks import named_fields
from emcore.models.continuous import AbstractContinuousLatent, starting_weights
from emcore.numerics import LOG_2PI
from emcore.parameters import Constraint, Fixed, Positive, Real

_STARTING_DF = (1.0, 20.0)


class TRegressionParams(NamedTuple):
    """The plane, and the scale and degrees of freedom of the errors."""

    coefficients: np.ndarray  # (p + 1,), the intercept first; (p,) without one
    scales: np.ndarray  # () scale of the errors: their standard deviation over √(df/(df - 2)), where df > 2
    df: np.ndarray  # ()


class TRegressionStats(NamedTuple):
    """Expected sums over rows."""

    rows: np.ndarray  # () Σ weight
    planes: PlaneStats  # of predictors and response, every row weighted by E u
    log_precision: np.ndarray  # () Σ E log u - E u


@dataclass(frozen=True)
class TRegression(AbstractContinuousLatent):
    """x is (n, p + 1): the predictors, then the response last. `df` > 0 fixes the degrees of freedom.

    `df=None` or "ML" estimates it by maximum likelihood within `df_bounds`: every step is an exact EM step, so the
    bound holds throughout. Errors no heavier than normal carry df to its upper bound, where a t is normal to the eye.
    Below the lower bound likelihoods may grow without limit (a few rows fitted exactly: Fernández & Steel 1999,
    Biometrika 86, 153-167).

    >>> import numpy as np, emcore as em
    >>> x = em.datasets.load("stackloss").to_numpy()
    >>> fit = em.fit(em.TRegression(df=4), x, restarts=1)
    >>> fit.params.coefficients.round(4), round(float(fit.params.scales), 4), round(fit.log_likelihood, 4)
    (array([-40.0681,   0.8571,   0.7453,  -0.1151]), 2.0245, -51.4233)
    """

    df: float | str | None = None
    intercept: bool = True
    df_bounds: tuple[float, float] = (0.1, 200.0)

    def __post_init__(self) -> None:
        if self.df == "ML":
            object.__setattr__(self, "df", None)
        if self.df is not None and not (isinstance(self.df, int | float | np.number) and 0 < self.df < np.inf):
            raise ValueError(f'df must be a finite number > 0, or None or "ML" to estimate it, not {self.df!r}')
        low, high = self.df_bounds
        if not 0 < low < high < np.inf:
            raise ValueError(f"df_bounds must be two finite numbers with 0 < low < high, not {self.df_bounds!r}")

    def check(self, x: Any) -> np.ndarray:
        """x (n, p + 1) as float64 without missing cells."""
        x = as_matrix(x)
        if x.shape[1] < 2 - self.intercept:
            raise ValueError("a regression without an intercept needs a predictor: x has the response's column alone")
        return x

    def resolve(self, x: np.ndarray) -> Self:
        """Itself; ValueError where the predictors are collinear, the rows too few or the response constant."""
        refuse_unfit(x, self.intercept)
        return self

    def _residuals(self, params: Any, x: np.ndarray) -> np.ndarray:
        return x[:, -1] - fitted(params.coefficients[None], x[:, :-1], self.intercept)[:, 0]

    def infer(self, params: Any, x: Any) -> tuple[GammaPosterior, np.ndarray]:
        """p(u_i | y_i) and log p(y_i) (n,)."""
        squares = (self._residuals(params, self.check(x)) / params.scales) ** 2
        half = 0.5 * params.df
        constant = gammaln(half + 0.5) - gammaln(half) - 0.5 * (np.log(params.df) + LOG_2PI - np.log(2.0))
        rows = constant - np.log(params.scales) - (half + 0.5) * np.log1p(squares / params.df)
        return GammaPosterior(np.full(1, half + 0.5), 0.5 * (params.df + squares)), rows

    def expected_log_joint(self, params: Any, x: Any, q: GammaPosterior) -> np.ndarray:
        """E_q log p(y_i, u_i) (n,)."""
        return self.expected_log_conditional(params, x, q) + log_density_of_mean_one(0.5 * params.df, q)

    def expected_log_conditional(self, params: Any, x: Any, q: GammaPosterior) -> np.ndarray:
        """E_q log p(y_i | u_i) (n,)."""
        squares = (self._residuals(params, self.check(x)) / params.scales) ** 2
        return 0.5 * (q.mean_log() - LOG_2PI - q.mean() * squares) - np.log(params.scales)

    def latent_prior(self, params: Any, x: Any) -> GammaPosterior:
        """p(u_i): the same Gamma for every row."""
        return GammaPosterior(np.full(1, 0.5 * params.df), np.full(len(x), 0.5 * params.df))

    def suff_stats(self, x: Any, q: GammaPosterior, weight: np.ndarray | None = None) -> TRegressionStats:
        """Moments of the rows weighted by E u, and the sum of E log u - E u."""
        x = self.check(x)
        weight = np.ones(len(x)) if weight is None else weight
        precision = q.mean()
        planes = plane_stats(x, (weight * precision)[:, None], intercept=self.intercept)
        return TRegressionStats(weight.sum(), planes, weight @ (q.mean_log() - precision))

    def m_step(self, stats: TRegressionStats, params: Any) -> TRegressionParams:
        """Weighted least squares, its mean square, and the df; DegenerateError where the plane fits exactly."""
        coefficients, squares = least_squares(stats.planes, intercept=self.intercept)
        variances = squares / stats.rows
        refuse_exact_fit(variances, stats.planes.response_variance())
        df = self.df
        if df is None:
            low, high = self.df_bounds
            df = 2.0 * best_shape(float(stats.log_precision / stats.rows), 0.5 * low, 0.5 * high)
        return TRegressionParams(coefficients[0], np.asarray(np.sqrt(variances[0])), np.array(df, dtype=float))

    def initial_params(self, x: np.ndarray, method: str, rng: np.random.Generator, weight: Any = None) -> Any:
        """Least squares under random weights on the rows; a df to be estimated starts between 1 and 20."""
        weights = starting_weights(method, len(x), rng, weight)
        planes = plane_stats(x, weights[:, None], intercept=self.intercept)
        coefficients, squares = least_squares(planes, intercept=self.intercept)
        low, high = np.clip(_STARTING_DF, *self.df_bounds)
        df = np.exp(rng.uniform(np.log(low), np.log(high))) if self.df is None else float(self.df)
        refuse_exact_fit(squares / weights.sum(), planes.response_variance())
        return TRegressionParams(coefficients[0], np.asarray(np.sqrt(squares[0] / weights.sum())), np.array(df))

    def check_params(self, params: Any, x: np.ndarray) -> TRegressionParams:
        """coefficients (p + 1,), scales () > 0 and df () within its bounds; a fixed df need not be given."""
        fields = named_fields(params, TRegressionParams._fields, "TRegression")
        if self.df is not None:
            fields = {"df": self.df, **fields}
        coefficients = as_field(fields, "coefficients", (x.shape[1] - 1 + self.intercept,))
        df = positive_field(fields, "df", ())
        if self.df is not None and df != self.df:
            raise ValueError(f"params.df is {df:g}, but the model holds df at {self.df:g}")
        if self.df is None and not self.df_bounds[0] <= df <= self.df_bounds[1]:
            raise ValueError(f"params.df is {df:g}, outside df_bounds={self.df_bounds}")
        return TRegressionParams(coefficients, positive_field(fields, "scales", ()), df)

    def constraints(self, params: Any) -> Mapping[str, Constraint]:
        """The set that each field lives in; a df at its bound is held there."""
        free = self.df is None and self.df_bounds[0] < params.df < self.df_bounds[1]
        return {"coefficients": Real(), "scales": Positive(), "df": Positive() if free else Fixed()}

    def n_params(self, params: Any) -> int:
        """Coefficients, the scale, and the df if it is estimated."""
        return len(params.coefficients) + 1 + (self.df is None)

    def sample(self, params: Any, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Rows x (n, p + 1), with standard normal predictors, and the precisions u (n,) that made them."""
        predictors = rng.standard_normal((n, len(params.coefficients) - self.intercept))
        u = rng.gamma(0.5 * params.df, 2.0 / params.df, n)
        plane = fitted(params.coefficients[None], predictors, self.intercept)[:, 0]
        return np.column_stack([predictors, plane + params.scales * rng.standard_normal(n) / np.sqrt(u)]), u
