"""The conjugate prior of Gaussian components, and its default scale.

means_k | covariances_k  ~  N(mean, covariances_k / count)
covariances_k            ~  inverse Wishart(ν, scatter); inverse gamma where they are diagonal or spherical
Counted `strength` times; one covariance for all components when tied. Its statistics are pseudo-rows, which the
M-step merges with the data's.
Reference: Fraley & Raftery (2007), J. Classification 24, 155-181, section 3.
"""

from dataclasses import dataclass

import numpy as np

from emcore.data import check_pseudo_count
from emcore.families.covariance import Covariance, Diag, Full, Precision, Spherical, Tied
from emcore.families.gaussian_stats import GaussianStats, stats_of_completed
from emcore.families.missing import available_cells, condition, has_holes


@dataclass(frozen=True)
class NormalInverseWishart:
    """The conjugate prior as pseudo-statistics, per component (one covariance for all when tied).

    log p = -½ strength · [ divisor · log|Σ| + tr(scatter Σ⁻¹) + count · (μ - mean)ᵀ Σ⁻¹ (μ - mean) ] + constant,
    with log σ² in place of log|Σ| for spherical covariances. `mean` (d,), `scatter` (d, d); `divisor` is what the
    M-step adds to the divisor of the scatter.
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

    def __post_init__(self) -> None:
        check_pseudo_count(self.strength, "strength")


Prior = NormalInverseWishart | FraleyRaftery | None


def scaled_from_data(shape: Covariance, x: np.ndarray, k: int, strength: float) -> NormalInverseWishart:
    """`FraleyRaftery(strength)` for k components on x (n, d)."""
    d = x.shape[1]
    if isinstance(shape, Diag | Spherical):
        variances = np.nanvar(x, axis=0, ddof=1)
        # tr of the spherical scatter must be the average variance, each diagonal entry of the diagonal one too
        share = d if isinstance(shape, Spherical) else 1
        mean, covariance = np.nanmean(x, axis=0), np.eye(d) * (variances.mean() / share)
    else:
        mean, covariance = _moments_of_all_rows(x)
    nu = d + 2
    # Exponents of |Σ| (or σ²) in the prior's density: what the mode adds to the divisor.
    divisor = {Full: nu + d + 2, Tied: nu + d + 1 + k, Diag: nu + 3, Spherical: nu + d + 2}[type(shape)]
    scatter = tuple(map(tuple, (covariance / k ** (2.0 / d)).tolist()))
    return NormalInverseWishart(tuple(mean.tolist()), scatter, 0.01, float(divisor), strength)


def _moments_of_all_rows(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (d,) and unbiased covariance (d, d); with missing cells, those of one normal after 100 steps of EM."""
    if not has_holes(x):
        return x.mean(axis=0), np.atleast_2d(np.cov(x, rowvar=False))
    ones = np.ones((len(x), 1))
    cells = available_cells(x, ones)
    for _ in range(100):
        stats = stats_of_completed(Full(), cells, ones)
        _, cells = condition(stats.mean, stats.scatter / len(x), x)
    return stats.mean[0], stats.scatter[0] / (len(x) - 1)


def with_prior(stats: GaussianStats, prior: NormalInverseWishart) -> tuple[GaussianStats, float]:
    """The statistics merged with the prior's pseudo-rows, and what else the divisor of the scatter gains."""
    k, d = stats.counts.shape
    count = np.full((k, d), prior.strength * prior.count)
    scatter = prior.strength * stats.shape.reduce(np.asarray(prior.scatter), k)
    pseudo = GaussianStats(count, np.broadcast_to(np.asarray(prior.mean), (k, d)), scatter, stats.shape)
    # the count enters one divisor once for each component or feature that it pools, as pseudo-rows; not twice
    pooled = {Full: 1, Diag: 1, Tied: k, Spherical: d}[type(stats.shape)]
    return stats.merge(pseudo), prior.strength * (prior.divisor - prior.count * pooled)


def log_density(shape: Covariance, prior: NormalInverseWishart, means: np.ndarray, covariances: np.ndarray) -> float:
    """The prior's log density of means (k, d) and covariances, up to a constant: what `with_prior` maximises."""
    k, d = means.shape
    precision = Precision(shape.dense(covariances, k, d))
    inverse = precision.inverse_factors
    traces = np.trace(inverse @ np.asarray(prior.scatter) @ np.swapaxes(inverse, 1, 2), axis1=1, axis2=2)
    squares = precision.squared_distances(np.asarray(prior.mean)[None], means)[:, 0]
    log_det = precision.log_det / (d if isinstance(shape, Spherical) else 1)
    once = 1 if isinstance(shape, Tied) else k  # a shared covariance is counted once
    kernel = prior.divisor * log_det[:once].sum() + traces[:once].sum() + prior.count * squares.sum()
    return float(-0.5 * prior.strength * kernel)
