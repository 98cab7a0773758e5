"""Gaussian observations with full, tied, diagonal or spherical covariances.

x_i | z_i = k  ~  N(means_k, covariances_k)
prior          ~  normal-inverse-Wishart, counted `strength` times: pseudo-rows at `mean` with a scatter of their own.
M-step: merge the prior's statistics with the data's; means = merged means, covariances = merged scatter / divisor.
Reference: Bishop (2006), section 9.2; Fraley & Raftery (2007), J. Classification 24, 155-181, section 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from emcore.data import as_matrix, check_n_features
from emcore.families.base import as_field, standardised
from emcore.families.covariance import Covariance, Diag, Full, Precision, Spherical, Tied, refuse_collapse
from emcore.numerics import LOG_2PI, DegenerateError
from emcore.parameters import Constraint, Positive, PositiveDefinite, Real

_SHAPES: Mapping[str, Covariance] = MappingProxyType(
    {"full": Full(), "tied": Tied(), "diag": Diag(), "spherical": Spherical()}
)


class GaussianParams(NamedTuple):
    """Means and covariances; the shape of `covariances` follows the family."""

    means: np.ndarray  # (k, d)
    covariances: np.ndarray  # (k, d, d) full, (d, d) tied, (k, d) diag, (k,) spherical


class GaussianStats(NamedTuple):
    """Counts, means and scatter about those means: additive by `merge`, and blind to any offset of the data."""

    counts: np.ndarray  # (k, d)
    mean: np.ndarray  # (k, d)
    scatter: np.ndarray  # as the covariance shape keeps it
    shape: Covariance

    def merge(self, other: "GaussianStats") -> "GaussianStats":
        """stats(A ∪ B), by the pairwise update of Chan, Golub & LeVeque (1983), Amer. Statist. 37, 242-247."""
        count = self.counts + other.counts
        share = np.divide(other.counts, count, out=np.zeros_like(count), where=count > 0)
        shift = other.mean - self.mean
        scatter = self.scatter + other.scatter + self.shape.outer(shift, self.counts * share)
        return GaussianStats(count, self.mean + share * shift, scatter, self.shape)


@dataclass(frozen=True)
class NormalInverseWishart:
    """The conjugate prior as pseudo-statistics, per component (one covariance for all when tied).

    log p = -½ strength · [ divisor · log|Σ| + tr(scatter Σ⁻¹) + count · (μ - mean)ᵀ Σ⁻¹ (μ - mean) ] + constant.
    `mean` (d,), `scatter` (d, d); `divisor` is what the M-step adds to the divisor of the scatter.
    """

    mean: tuple[float, ...]
    scatter: tuple[tuple[float, ...], ...]
    count: float
    divisor: float
    strength: float = 1.0


@dataclass(frozen=True)
class FraleyRaftery:
    """The data-scaled default prior of Fraley & Raftery (2007), section 3.1; `fit` fills in the scale.

    mean: the data's; count κ = 0.01; ν = d + 2 degrees of freedom; scatter Λ = cov(x) / k^(2/d), for diagonal and
    spherical covariances its average variance. `strength` counts the pseudo-statistics that many times.
    """

    strength: float = 1.0


Prior = NormalInverseWishart | FraleyRaftery | None


@dataclass(frozen=True)
class GaussianFamily:
    """Gaussian components; make one with `Gaussian("full" | "tied" | "diag" | "spherical")`.

    Diagonal and spherical covariances marginalise missing cells exactly; full and tied ones refuse them.
    """

    shape: Covariance
    prior: Prior = None
    Params: ClassVar[Any] = GaussianParams

    @property
    def separable(self) -> bool:
        """True where features are independent within a component, so that cells may be missing."""
        return isinstance(self.shape, Diag | Spherical)

    def check(self, x: Any) -> np.ndarray:
        """x as float64 (n, d)."""
        return as_matrix(x, allow_missing=self.separable)

    def resolve(self, x: np.ndarray, n_components: int) -> Self:
        """The family with its prior scaled from the data; ValueError where x cannot carry a covariance."""
        if len(x) < 2:
            raise ValueError("x has one row: a covariance needs at least two")
        spread = np.nanmax(x, axis=0) - np.nanmin(x, axis=0)
        flat = spread <= 1e-13 * np.nanmax(np.abs(x), axis=0)
        if flat.any() and not (isinstance(self.shape, Spherical) and not flat.all()):
            column = int(np.flatnonzero(flat)[0])
            raise ValueError(
                f"column {column} of x is constant, so its variance is 0 and the likelihood has no maximum; "
                "drop the column"
            )
        if self.prior is None and not self.separable:
            _refuse_collinear(x)
        if isinstance(self.prior, FraleyRaftery):
            return replace(self, prior=self._fraley_raftery(x, n_components, self.prior.strength))
        return self

    def _fraley_raftery(self, x: np.ndarray, k: int, strength: float) -> NormalInverseWishart:
        d = x.shape[1]
        if self.separable:
            variances = np.nanvar(x, axis=0, ddof=1)
            # tr of the spherical scatter must be the average variance, each diagonal entry of the diagonal one too
            share = d if isinstance(self.shape, Spherical) else 1
            covariance = np.eye(d) * (variances.mean() / share)
        else:
            covariance = np.atleast_2d(np.cov(x, rowvar=False))
        nu = d + 2
        # Exponents of |Σ| (or σ²) in the prior's density: what the mode adds to the divisor (their table 3.1).
        divisor = {Full: nu + d + 2, Tied: nu + d + 1 + k, Diag: nu + 3, Spherical: nu + d + 2}[type(self.shape)]
        scatter = covariance / k ** (2.0 / d)
        mean = tuple(np.nanmean(x, axis=0).tolist())
        return NormalInverseWishart(mean, tuple(map(tuple, scatter.tolist())), 0.01, float(divisor), strength)

    def log_prob(self, params: Any, x: np.ndarray) -> np.ndarray:
        """log N(x_i; means_k, covariances_k) (n, k); over the observed cells where some are missing."""
        k, d = params.means.shape
        check_n_features(x, d)
        if self.separable and np.isnan(x.sum()):
            return self._log_prob_of_seen(params, x)
        precision = Precision(self.shape.dense(params.covariances, k, d))
        squares = precision.squared_distances(x, params.means)
        return -0.5 * (squares + (precision.log_det + d * LOG_2PI)[:, None]).T

    def _log_prob_of_seen(self, params: Any, x: np.ndarray) -> np.ndarray:
        k, d = params.means.shape
        variances = np.diagonal(self.shape.dense(params.covariances, k, d), axis1=1, axis2=2)
        seen = (~np.isnan(x)).astype(float)
        squares = np.nan_to_num((x[None] - params.means[:, None]) ** 2) / variances[:, None]
        return -0.5 * (squares.sum(axis=2).T + seen @ (np.log(variances) + LOG_2PI).T)

    def suff_stats(self, x: np.ndarray, responsibilities: np.ndarray) -> GaussianStats:
        """Counts, means and scatter; rows are centred first, so that an offset of the data costs no digits."""
        if self.separable and np.isnan(x.sum()):
            seen = ~np.isnan(x)
            pivot = np.where(seen, x, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
            count = responsibilities.T @ seen.astype(float)
            sums = responsibilities.T @ np.where(seen, x - pivot, 0.0)
        else:
            pivot = x.mean(axis=0)
            sums = responsibilities.T @ (x - pivot)
            count = np.broadcast_to(responsibilities.sum(axis=0)[:, None], sums.shape)
        mean = pivot + np.divide(sums, count, out=np.zeros_like(sums), where=count > 0)
        return GaussianStats(count, mean, self.shape.scatter(x, responsibilities, mean), self.shape)

    def mle(self, stats: GaussianStats, params: Any) -> GaussianParams:
        """Means and covariances at the mode; DegenerateError where a component has emptied or collapsed."""
        k, d = stats.counts.shape
        prior = self._scaled_prior()
        merged, extra = stats, 0.0
        if prior is not None:
            merged = stats.merge(self._pseudo_stats(prior, k))
            extra = prior.strength * (prior.divisor - prior.count * self._pooled_over(k, d))
        empty = ~(merged.counts > 0).all(axis=1)
        if empty.any():
            raise DegenerateError(f"component {int(np.flatnonzero(empty)[0])} has lost all its rows")
        covariances = self.shape.estimate(merged.scatter, merged.counts, extra)
        refuse_collapse(self.shape.dense(covariances, k, d), self._pooled_variances(stats))
        return GaussianParams(merged.mean, covariances)

    def _scaled_prior(self) -> NormalInverseWishart | None:
        if isinstance(self.prior, FraleyRaftery):
            raise ValueError("this prior is scaled from the data: use fit, or model.resolve(x) first")
        return self.prior

    def _pooled_over(self, k: int, d: int) -> int:
        """How often the prior's count enters one divisor: once for each component or feature that it pools."""
        return {Full: 1, Diag: 1, Tied: k, Spherical: d}[type(self.shape)]

    def _pseudo_stats(self, prior: NormalInverseWishart, k: int) -> GaussianStats:
        count = np.full((k, len(prior.mean)), prior.strength * prior.count)
        scatter = prior.strength * self.shape.reduce(np.asarray(prior.scatter), k)
        return GaussianStats(count, np.broadcast_to(np.asarray(prior.mean), count.shape), scatter, self.shape)

    def _pooled_variances(self, stats: GaussianStats) -> np.ndarray:
        """Variance of each column over all rows (d,), from the statistics: within plus between components."""
        k, d = stats.counts.shape
        count = np.maximum(stats.counts, np.finfo(float).tiny)
        share = count / count.sum(axis=0)
        shift = stats.mean - (share * stats.mean).sum(axis=0)
        within = self.shape.dense(self.shape.estimate(stats.scatter, count, 0.0), k, d)
        return (share * (shift * shift + np.diagonal(within, axis1=1, axis2=2))).sum(axis=0)

    def log_prior(self, params: Any) -> float:
        """The normal-inverse-Wishart log density, up to a constant."""
        prior = self._scaled_prior()
        if prior is None or prior.strength == 0:
            return 0.0
        k, d = params.means.shape
        precision = Precision(self.shape.dense(params.covariances, k, d))
        half = precision.inverse_factors @ np.linalg.cholesky(np.asarray(prior.scatter))
        traces = (half * half).sum(axis=(1, 2))
        squares = precision.squared_distances(np.asarray(prior.mean)[None], params.means)[:, 0]
        log_det = precision.log_det / (d if isinstance(self.shape, Spherical) else 1)
        once = 1 if isinstance(self.shape, Tied) else k  # a shared covariance is counted once
        kernel = prior.divisor * log_det[:once].sum() + traces[:once].sum() + prior.count * squares.sum()
        return float(-0.5 * prior.strength * kernel)

    def check_params(self, fields: Mapping[str, Any], n_components: int, n_features: int) -> GaussianParams:
        """means (k, d) and covariances of the family's shape, positive definite."""
        means = as_field(fields, "means", (n_components, n_features))
        covariances = as_field(fields, "covariances", self.shape.shape(n_components, n_features))
        dense = self.shape.dense(covariances, n_components, n_features)
        if not np.allclose(dense, np.swapaxes(dense, 1, 2), rtol=1e-8, atol=0.0):
            raise ValueError("params.covariances must be symmetric")
        if (np.linalg.eigvalsh(dense) <= 0).any():
            raise ValueError("params.covariances must be positive definite (variances above 0)")
        return GaussianParams(means, covariances)

    def constraints(self) -> Mapping[str, Constraint]:
        """The set that each field lives in."""
        return {"means": Real(), "covariances": Positive() if self.separable else PositiveDefinite()}

    def n_params(self, n_components: int, n_features: int) -> int:
        """k·d for the means, and the covariances' own."""
        return n_components * n_features + self.shape.n_params(n_components, n_features)

    def seeding_features(self, x: np.ndarray) -> np.ndarray:
        """Standardised columns, so that the start does not depend on units."""
        return standardised(x)

    def sample(self, params: Any, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Rows (n, d) for labels z (n,)."""
        k, d = params.means.shape
        factors = np.linalg.cholesky(self.shape.dense(params.covariances, k, d))
        return params.means[z] + np.einsum("nij,nj->ni", factors[z], rng.standard_normal((len(z), d)))

    def select(self, params: Any, order: Any) -> GaussianParams:
        """Components in another order."""
        covariances = params.covariances if isinstance(self.shape, Tied) else params.covariances[order]
        return GaussianParams(params.means[order], covariances)


def _refuse_collinear(x: np.ndarray) -> None:
    """ValueError where one column is a linear combination of the others: every full covariance is singular then."""
    centred = x - x.mean(axis=0)
    scaled = centred / np.linalg.norm(centred, axis=0)
    _, values, directions = np.linalg.svd(scaled, full_matrices=False)
    if len(values) < x.shape[1] or values[-1] < 1e-8 * values[0]:
        raise ValueError(
            f"the columns of x are linearly dependent (column {int(np.argmax(np.abs(directions[-1])))} is a "
            "combination of others), so every covariance is singular; drop a column, use "
            'Gaussian("diag"), or a prior (prior="fraley-raftery")'
        )


def Gaussian(covariance: str = "full", prior: Prior | str = None) -> GaussianFamily:
    """Gaussian components with "full", "tied", "diag" or "spherical" covariances.

    `prior`: None (maximum likelihood), "fraley-raftery" (the data-scaled default), `FraleyRaftery(strength)` or
    `NormalInverseWishart(...)`. ValueError for another name.
    """
    if covariance not in _SHAPES:
        raise ValueError(f"covariance must be one of {', '.join(map(repr, _SHAPES))}, not {covariance!r}")
    if isinstance(prior, str):
        if prior != "fraley-raftery":
            raise ValueError(f'prior must be None, "fraley-raftery" or a prior object, not {prior!r}')
        prior = FraleyRaftery()
    return GaussianFamily(_SHAPES[covariance], prior)
