"""Multivariate Student t observations: Gaussians of unknown precision, robust against outlying rows.

u_i | z_i = k       ~  Gamma(df/2, rate df/2)                     a latent precision, of mean 1
x_i | u_i, z_i = k  ~  N(means_k, covariances_k / u_i)
log p(x_i | k)      =  log t_df(x_i; means_k, covariances_k), with u integrated out
The bound that a structure climbs is that of z alone, u being integrated out. So the M-step is itself one step of EM
for u: at the present params E u = (df + d)/(df + δ), δ the squared Mahalanobis distance; rows count E u in means and
scatter, and 1 in the divisor. Missing cells are completed as in a normal row: given u they are normal (Liu & Rubin
1995, Statist. Sinica 5, 19-39).
Reference: Lange, Little & Taylor (1989), J. Amer. Statist. Assoc. 84, 881-896; Peel & McLachlan (2000), Stat. Comput.
10, 339-348.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from scipy.special import gammaln

from emcore.data import as_matrix, check_n_features
from emcore.families.base import standardised
from emcore.families.covariance import Full, Precision, refuse_collapse
from emcore.families.crossproducts import CrossProducts, cross_products
from emcore.families.gaussian import FraleyRaftery, Gaussian, NormalInverseWishart
from emcore.families.missing import available_cells, condition, has_holes
from emcore.numerics import LOG_2PI, emptied, log_det_from_cholesky
from emcore.parameters import Constraint


class StudentTParams(NamedTuple):
    """Locations and scale matrices."""

    means: np.ndarray  # (k, d) locations: the means where df > 1
    covariances: np.ndarray  # (k, d, d) scale matrices: the covariances are df/(df - 2) times these, where df > 2


class WeightedRows(NamedTuple):
    """Rows and their responsibilities: what a row counts depends on the params, so nothing shorter is sufficient."""

    x: np.ndarray  # (n, d)
    responsibilities: np.ndarray  # (n, k)

    def merge(self, other: "WeightedRows") -> "WeightedRows":
        """The rows of both."""
        return WeightedRows(*(np.concatenate(pair) for pair in zip(self, other)))


class PrecisionWeightedRows(NamedTuple):
    """The same at given params, where moments are enough: additive, however many the rows."""

    counts: np.ndarray  # (k,) Σ responsibility
    cross: CrossProducts  # of rows weighted by responsibility · E u


@dataclass(frozen=True)
class StudentT:
    """Multivariate t components with `df` > 0 degrees of freedom, the same and fixed for all.

    The field `covariances` holds *scale matrices* Σ, not covariances: x has covariance df/(df - 2) · Σ, and none where
    df ≤ 2. As df grows the family becomes `Gaussian("full")`; df = 1 is the Cauchy distribution. `prior` is that of
    `Gaussian("full", prior=...)`, on locations and scale matrices. Missing cells (NaN) are marginalised exactly. An
    M-step climbs without reaching the top (generalised EM), being one step of an iteration of its own.
    """

    df: float
    prior: NormalInverseWishart | FraleyRaftery | str | None = None
    Params: ClassVar[Any] = StudentTParams

    def __post_init__(self) -> None:
        if not (isinstance(self.df, int | float | np.number) and 0 < self.df < np.inf):
            raise ValueError(f"df must be a finite number > 0, not {self.df!r} (df → ∞ is the family Gaussian)")
        object.__setattr__(self, "prior", self._normal.prior)

    @property
    def _normal(self) -> Any:
        """The Gaussian family of the same locations and matrices: what is not about tails is its affair."""
        return Gaussian("full", self.prior)

    def check(self, x: Any) -> np.ndarray:
        """x as float64 (n, d), NaN where a cell is missing."""
        return as_matrix(x, allow_missing=True)

    def resolve(self, x: np.ndarray, n_components: int) -> Self:
        """The family with its prior scaled from the data; ValueError where x cannot carry a scale matrix."""
        return replace(self, prior=self._normal.resolve(x, n_components).prior)

    def _distances(self, params: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """δ (n, k) and log |Σ| ((n, k) or (k,)) of the cells seen."""
        check_n_features(x, params.means.shape[1])
        precision = Precision(params.covariances)
        if not has_holes(x):
            return precision.squared_distances(x, params.means).T, precision.log_det
        log_normal, cells = condition(params.means, params.covariances, x)
        log_det = (precision.log_det[:, None] - log_det_from_cholesky(cells.factors)[:, cells.pattern]).T
        n_seen = (~np.isnan(x)).sum(axis=1)[:, None]
        return np.maximum(-2.0 * log_normal.T - n_seen * LOG_2PI - log_det, 0.0), log_det

    def log_prob(self, params: Any, x: np.ndarray) -> np.ndarray:
        """log t_df of the cells seen (n, k); a marginal of a t has the same df."""
        distances, log_det = self._distances(params, x)
        half, seen = 0.5 * self.df, 0.5 * (~np.isnan(x)).sum(axis=1)[:, None]
        constant = gammaln(half + seen) - gammaln(half) - seen * (np.log(half) + LOG_2PI)
        return constant - 0.5 * log_det - (half + seen) * np.log1p(distances / self.df)

    def expected_precisions(self, params: Any, x: np.ndarray) -> np.ndarray:
        """E[u_i | x_i, z_i = k] (n, k): near 0 for an outlying row, at most 1 + d/df."""
        n_seen = (~np.isnan(x)).sum(axis=1)[:, None]
        return (self.df + n_seen) / (self.df + self._distances(params, x)[0])

    def suff_stats(self, x: np.ndarray, responsibilities: np.ndarray) -> WeightedRows:
        """The rows with their responsibilities."""
        return WeightedRows(x, responsibilities)

    def condense(self, stats: WeightedRows, params: Any) -> PrecisionWeightedRows:
        """What an M-step at `params` needs of the rows."""
        x, weights = stats
        return PrecisionWeightedRows(weights.sum(axis=0), self._weighted_moments(x, weights, params))

    def mle(self, stats: WeightedRows | PrecisionWeightedRows, params: Any) -> StudentTParams:
        """One step up from `params`, or from Gaussian estimates where there are none.

        DegenerateError where a component has emptied or collapsed.
        """
        prior = self._scaled_prior()
        rows, cross = self.condense(stats, params) if isinstance(stats, WeightedRows) else stats
        empty = ~(rows > 0)
        if empty.any():
            raise emptied(int(np.flatnonzero(empty)[0]))
        spread = cross.pooled_variances()
        if prior is not None:
            cross = cross.merge(_pseudo_rows(prior, len(rows)))
            rows = rows + prior.strength * prior.divisor
        scales = cross.scatter / rows[:, None, None]
        refuse_collapse(Full(), scales, spread)
        return StudentTParams(cross.mean, scales)

    def _weighted_moments(self, x: np.ndarray, weights: np.ndarray, params: Any) -> CrossProducts:
        """Moments of rows weighted by responsibility · E u; missing cells at their expectation, with their spread."""
        precisions = 1.0 if params is None else self.expected_precisions(params, x)
        if not has_holes(x):
            return cross_products(x, weights * precisions)
        cells = available_cells(x, weights) if params is None else condition(params.means, params.covariances, x)[1]
        cross = cross_products(cells.completed, weights * precisions)
        # given u the missing cells have covariance C/u, which u cancels: it counts by responsibility alone
        rows = np.stack([np.bincount(cells.pattern, column, len(cells.seen)) for column in weights.T])
        spread = np.einsum("kp,kpij,kplj->kil", rows, cells.spread, cells.spread)
        return cross._replace(scatter=cross.scatter + spread)

    def _scaled_prior(self) -> NormalInverseWishart | None:
        if isinstance(self.prior, NormalInverseWishart) or self.prior is None:
            return self.prior
        raise ValueError("this prior is scaled from the data: use fit, or model.resolve(x) first")

    def log_prior(self, params: Any) -> float:
        """The normal-inverse-Wishart log density of locations and scale matrices, up to a constant."""
        return self._normal.log_prior(params)

    def check_params(self, fields: Mapping[str, Any], n_components: int, n_features: int) -> StudentTParams:
        """means (k, d) and scale matrices covariances (k, d, d), positive definite."""
        return StudentTParams(*self._normal.check_params(fields, n_components, n_features))

    def constraints(self) -> Mapping[str, Constraint]:
        """The set that each field lives in."""
        return self._normal.constraints()

    def n_params(self, n_components: int, n_features: int) -> int:
        """k·(d + d(d+1)/2)."""
        return self._normal.n_params(n_components, n_features)

    def seeding_features(self, x: np.ndarray) -> np.ndarray:
        """Standardised columns."""
        return standardised(x)

    def sample(self, params: Any, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Rows (n, d) for labels z (n,)."""
        precisions = rng.gamma(0.5 * self.df, 2.0 / self.df, len(z))
        factors = np.linalg.cholesky(params.covariances)[z]
        normal = np.einsum("nij,nj->ni", factors, rng.standard_normal((len(z), params.means.shape[1])))
        return params.means[z] + normal / np.sqrt(precisions)[:, None]

    def select(self, params: Any, order: Any) -> StudentTParams:
        """Components in another order."""
        return StudentTParams(params.means[order], params.covariances[order])


def _pseudo_rows(prior: NormalInverseWishart, k: int) -> CrossProducts:
    mean, scatter = np.asarray(prior.mean), np.asarray(prior.scatter)
    weight = np.full(k, prior.strength * prior.count)
    return CrossProducts(weight, np.tile(mean, (k, 1)), prior.strength * np.tile(scatter, (k, 1, 1)))
