"""One multivariate normal of which some cells were not seen.

x_i             ~  N(mean, covariance); the latent variable is the row's missing cells m, seen are the others o
x_m | x_o       ~  N(mean_m + B (x_o - mean_o), covariance_mm - B covariance_om),  B = covariance_mo covariance_oo⁻¹
M-step: mean and covariance of the completed rows, the covariance of what completed them added to the scatter.
Exact if cells are missing at random. Reference: Little & Rubin (2002), section 11.2; Murray (1977) for the saddle.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np

from emcore.data import check_n_features
from emcore.families.base import as_field
from emcore.families.gaussian import Gaussian, GaussianFamily, GaussianParams, GaussianStats
from emcore.families.gaussian_prior import Prior
from emcore.families.missing import (
    MissingCells,
    available_moments,
    condition,
    expected_log_prob,
    expected_log_prob_of_seen,
    prior_of_cells,
)
from emcore.models.checks import check_method, named_fields
from emcore.models.continuous import AbstractContinuousLatent
from emcore.numerics import DegenerateError
from emcore.parameters import Constraint, PositiveDefinite, Real

_START_ROWS = 20  # imagined rows a feature behind a start's correlations: their spread is about 1/√20


class MissingNormalParams(NamedTuple):
    """Mean and covariance of a row."""

    mean: np.ndarray  # (d,)
    covariance: np.ndarray  # (d, d)


@dataclass(frozen=True)
class MissingNormal(AbstractContinuousLatent):
    """A multivariate normal with missing cells (NaN): maximum likelihood from all that was seen.

    Params: `mean` (d,), `covariance` (d, d). `prior`: as for `Gaussian`, with one component. The posterior is a
    `MissingCells`: `completed` (n, d) has the missing cells at their expectation. All named starts mean the same: the
    mean and variance of each column's seen cells, with small random correlations (zero ones may be a saddle).

    >>> import numpy as np, emcore as em
    >>> x = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1], [2, np.nan], [2, np.nan], [-2, np.nan], [-2, np.nan],
    ...               [np.nan, 2], [np.nan, 2], [np.nan, -2], [np.nan, -2]])
    >>> start = {"mean": [0, 0], "covariance": [[2, 0.2], [0.2, 2]]}
    >>> fit = em.fit(em.MissingNormal(), x, init=start)
    >>> fit.params.covariance.round(4)  # Murray (1977): correlation 1/2; from 0 it would stay at 0, a saddle
    array([[2.6667, 1.3333],
           [1.3333, 2.6667]])
    >>> fit.model.posterior(fit.params, x).completed[4].round(4)
    array([2., 1.])
    """

    prior: Prior | str = None

    def __post_init__(self) -> None:
        self._family()

    def _family(self) -> GaussianFamily:
        return Gaussian("full", self.prior)

    def check(self, x: Any) -> np.ndarray:
        """x as float64 (n, d), NaN where a cell is missing."""
        return self._family().check_incomplete(x)

    def resolve(self, x: np.ndarray) -> Self:
        """The model with its prior scaled from the data; ValueError where x cannot carry a covariance."""
        return replace(self, prior=self._family().resolve(x, 1).prior)

    def infer(self, params: Any, x: Any) -> tuple[MissingCells, np.ndarray]:
        """p(x_m | x_o) of every row and log p(x_o) (n,)."""
        x = self._columns(params, x)
        log_prob, cells = condition(params.mean, params.covariance, x)
        return cells, log_prob

    def _columns(self, params: Any, x: Any) -> np.ndarray:
        x = self.check(x)
        check_n_features(x, len(params.mean))
        return x

    def expected_log_joint(self, params: Any, x: Any, q: MissingCells) -> np.ndarray:
        """E_q log N(x_i; mean, covariance) (n,) of the whole row."""
        return expected_log_prob(params.mean, params.covariance, q)

    def latent_prior(self, params: Any, x: Any) -> MissingCells:
        """p(x_m): what is known of the missing cells before the seen ones are looked at."""
        return prior_of_cells(params.mean, params.covariance, self._columns(params, x))

    def expected_log_conditional(self, params: Any, x: Any, q: MissingCells) -> np.ndarray:
        """E_q log p(x_o | x_m) (n,)."""
        return expected_log_prob_of_seen(params.mean, params.covariance, q)

    def suff_stats(self, x: Any, q: MissingCells, weight: np.ndarray | None = None) -> GaussianStats:
        """Count, mean and scatter of the completed rows, with the covariance of what completed them."""
        ones = np.ones(len(q.pattern)) if weight is None else weight
        alone = MissingCells(q.completed[None], q.factors[None], q.pattern, q.seen)
        return self._family().completed_stats(alone, ones[:, None])

    def m_step(self, stats: GaussianStats, params: Any) -> MissingNormalParams:
        """mean = that of the completed rows, covariance = scatter / n; with a prior, its pseudo-rows too.

        DegenerateError where the covariance is singular.
        """
        try:
            means, covariances = self._family().mle(stats, None)
        except DegenerateError:
            raise DegenerateError(
                "the covariance has become singular: too few rows see the columns together, or one column is a "
                "combination of others; the likelihood grows without bound"
            ) from None
        return MissingNormalParams(means[0], covariances[0])

    def log_prior(self, params: Any) -> float:
        """The normal-inverse-Wishart log density, up to a constant; 0 without a prior."""
        return self._family().log_prior(GaussianParams(params.mean[None], params.covariance[None]))

    def initial_params(
        self, x: np.ndarray, method: str, rng: np.random.Generator, weight: Any = None
    ) -> MissingNormalParams:
        """Mean and variance of each column's seen cells, correlations of a small random sample."""
        check_method(method)
        ones = np.ones((len(x), 1)) if weight is None else weight[:, None]
        means, variances = available_moments(x, ones)
        d = x.shape[1]
        draws = rng.standard_normal((d, _START_ROWS * d))
        draws /= np.linalg.norm(draws, axis=1, keepdims=True)
        scaled = draws * np.sqrt(variances[0])[:, None]
        return MissingNormalParams(means[0], scaled @ scaled.T)

    def check_params(self, params: Any, x: np.ndarray) -> MissingNormalParams:
        """mean (d,) and covariance (d, d), symmetric and positive definite."""
        fields = named_fields(params, MissingNormalParams._fields, "MissingNormal")
        d = x.shape[1]
        mean, covariance = as_field(fields, "mean", (d,)), as_field(fields, "covariance", (d, d))
        self._family().check_params({"means": mean[None], "covariances": covariance[None]}, 1, d)
        return MissingNormalParams(mean, covariance)

    def constraints(self, params: Any) -> Mapping[str, Constraint]:
        """The set that each field lives in."""
        return {"mean": Real(), "covariance": PositiveDefinite()}

    def n_params(self, params: Any) -> int:
        """d + d(d + 1)/2."""
        d = len(params.mean)
        return d + d * (d + 1) // 2

    def sample(self, params: Any, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """n whole rows x (n, d); z is empty (n, 0), for the model does not say which cells hide."""
        factor = np.linalg.cholesky(params.covariance)
        return params.mean + rng.standard_normal((n, len(params.mean))) @ factor.T, np.zeros((n, 0))
