"""What factor analysis and probabilistic PCA share: a Gaussian latent, a linear map, independent noise.

z_i        ~  N(0, I_q)
x_ij | z_i ~  N(mean_j + loadings_j · z_i, ψ_j)
z_i | x_i  ~  N(G Wᵀ Ψ⁻¹ (x_i - mean), G)  with  G = (I + Wᵀ Ψ⁻¹ W)⁻¹, over the row's seen cells alone
M-step: every column is regressed on (1, E z), the uncertainty of z added to its scatter; mean and loadings jointly.
Reference: Rubin & Thayer (1982), Psychometrika 47, 69-76; Tipping & Bishop (1999), J. R. Statist. Soc. B 61, 611-622.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from emcore.data import check_n_features, check_pseudo_count
from emcore.families.base import as_field
from emcore.families.covariance import constant_columns
from emcore.families.missing import (
    as_incomplete_matrix,
    available_moments,
    has_holes,
    missing_patterns,
)
from emcore.models.checks import check_method, named_fields
from emcore.models.continuous import AbstractContinuousLatent
from emcore.models.linear_stats import LinearStats, linear_stats
from emcore.numerics import LOG_2PI, DegenerateError
from emcore.parameters import Constraint, Positive, Real
from emcore.posteriors import GaussianPosterior


@dataclass(frozen=True)
class AbstractLinearGaussian(AbstractContinuousLatent):
    """Everything but the noise: a subclass says how the columns share it, and when it has collapsed."""

    n_factors: int
    noise_prior: float = 0.0
    prior_variances: tuple[float, ...] | None = None  # (d,) filled in from the data where the prior needs them
    Params: ClassVar[Any]

    def __post_init__(self) -> None:
        if isinstance(self.n_factors, bool) or not isinstance(self.n_factors, int | np.integer):
            raise TypeError(f"n_factors must be a whole number, not {self.n_factors!r}")
        if self.n_factors < 1:
            raise ValueError(f"n_factors must be at least 1, not {self.n_factors}")
        check_pseudo_count(self.noise_prior, "noise_prior")

    @abstractmethod
    def noise_shape(self, d: int) -> tuple[int, ...]:
        """Shape of the field `noise_variance`."""

    @abstractmethod
    def pool(self, scatter: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """`noise_variance` from each column's residual scatter (d,) and count (1|d,)."""

    @abstractmethod
    def refuse_collapse(self, new: Any, old: Any, stats: LinearStats) -> None:
        """DegenerateError where the noise of the params `new` has fallen to 0 or heads for it."""

    @abstractmethod
    def refuse_constant(self, constant: np.ndarray) -> None:
        """ValueError where constant columns (d,) leave the likelihood without a maximum."""

    def check(self, x: Any) -> np.ndarray:
        """x as float64 (n, d), NaN where a cell is missing."""
        return as_incomplete_matrix(x)

    def resolve(self, x: np.ndarray) -> Self:
        """The model with the prior's variances taken from the data; ValueError where x cannot carry the factors."""
        n, d = x.shape
        if self.n_factors >= d:
            raise ValueError(f"n_factors={self.n_factors} must be below the number of columns, but x has {d}")
        if n < 2:
            raise ValueError("x has one row: a variance needs at least two")
        self.refuse_constant(constant_columns(x))
        if self.noise_prior == 0:
            return self
        variances = available_moments(x, np.ones((n, 1)))[1][0]
        return replace(self, prior_variances=tuple(variances.tolist()))

    def infer(self, params: Any, x: Any) -> tuple[GaussianPosterior, np.ndarray]:
        """p(z | x_i) and log p(x_i) (n,) over the seen cells; rows without holes share one covariance.

        The exponent is |x - mean - W m|² in the noise + |m|² at the posterior mean m: two sums of squares, so that a
        small noise variance costs no digits.
        """
        x = self._columns(params, x)
        noise = self._noise(params)
        residuals, seen, pattern, patterns = _residuals(x, params.mean)
        weighted = params.loadings / noise[:, None]
        k = self.n_factors
        scaled = patterns[:, :, None] * (params.loadings / np.sqrt(noise)[:, None])
        prior = np.broadcast_to(np.eye(k), (len(patterns), k, k))
        factors = _factor_of_inverse(np.concatenate([scaled, prior], axis=1))
        if pattern is not None:
            factors = factors[pattern]
        means = _times(factors, _times(factors.swapaxes(1, 2), residuals @ weighted))
        left = seen * (residuals - means @ params.loadings.T)
        squares = (left * left) @ (1.0 / noise) + (means * means).sum(axis=1)
        # log |Σ_oo| = Σ_j log ψ_j - log |G|
        log_det = seen @ (np.log(noise) + LOG_2PI) - 2.0 * np.log(factors.diagonal(axis1=1, axis2=2)).sum(axis=1)
        return GaussianPosterior(means, factors), -0.5 * (squares + log_det)

    def _noise(self, params: Any) -> np.ndarray:
        """The noise variance of every column (d,)."""
        return params.noise_variance * np.ones(len(params.mean))

    def _columns(self, params: Any, x: Any) -> np.ndarray:
        x = self.check(x)
        check_n_features(x, len(params.mean))
        return x

    def expected_log_joint(self, params: Any, x: Any, q: GaussianPosterior) -> np.ndarray:
        """E_q log p(z) + E_q log p(x_i | z) (n,)."""
        spread = (q.factors * q.factors).sum(axis=(1, 2))
        prior = -0.5 * ((q.means * q.means).sum(axis=1) + spread + self.n_factors * LOG_2PI)
        return prior + self.expected_log_conditional(params, x, q)

    def latent_prior(self, params: Any, x: Any) -> GaussianPosterior:
        """p(z) = N(0, I) for every row."""
        n = len(self._columns(params, x))
        return GaussianPosterior(np.zeros((n, self.n_factors)), np.eye(self.n_factors)[None])

    def expected_log_conditional(self, params: Any, x: Any, q: GaussianPosterior) -> np.ndarray:
        """E_q log p(x_i | z) (n,), over the seen cells."""
        x = self._columns(params, x)
        noise = self._noise(params)
        residuals, seen, _, _ = _residuals(x, params.mean)
        left = seen * (residuals - q.means @ params.loadings.T)
        mapped = params.loadings @ q.factors  # (n, d, q)
        expected = left * left + seen * (mapped * mapped).sum(axis=2)
        return -0.5 * ((expected / noise).sum(axis=1) + (seen * (np.log(noise) + LOG_2PI)).sum(axis=1))

    def suff_stats(self, x: Any, q: GaussianPosterior, weight: np.ndarray | None = None) -> LinearStats:
        """Moments of x and z under q, for every column over the rows that see it."""
        return linear_stats(self.check(x), q, weight)

    def m_step(self, stats: LinearStats, params: Any) -> Any:
        """Loadings, mean and noise by regression of each column on z.

        DegenerateError where a noise variance has fallen to 0 (the columns are linearly dependent), or heads for it
        with a factor that has become one column (a Heywood case).
        """
        if not (stats.counts > 0).all():
            raise DegenerateError(f"no row with weight sees column {int(np.argmin(stats.counts))}")
        loadings = np.linalg.solve(stats.z_scatter + stats.z_spread, stats.cross[:, :, None])[:, :, 0]
        scatter = stats.x_scatter - (loadings * stats.cross).sum(axis=1)
        pseudo = 0.0 if self.prior_variances is None else self.noise_prior * np.asarray(self.prior_variances)
        noise = self.pool(scatter + pseudo, stats.counts + self.noise_prior)
        mean = stats.x_mean - (loadings * stats.z_mean).sum(axis=1)
        new = self.Params(mean, loadings, np.asarray(noise))
        self.refuse_collapse(new, params, stats)
        return new

    def log_prior(self, params: Any) -> float:
        """-½ c Σ_j (log ψ_j + s_j/ψ_j): c pseudo-rows whose noise in column j is its variance s_j in the data."""
        if self.noise_prior == 0:
            return 0.0
        if self.prior_variances is None:
            raise ValueError("this prior is scaled from the data: use fit, or model.resolve(x) first")
        noise = self._noise(params)
        return float(-0.5 * self.noise_prior * (np.log(noise) + np.asarray(self.prior_variances) / noise).sum())

    def initial_params(self, x: np.ndarray, method: str, rng: np.random.Generator, weight: Any = None) -> Any:
        """Half of each column's variance to the noise, half to random loadings; all named methods mean this."""
        check_method(method)
        means, variances = available_moments(x, np.ones((len(x), 1)) if weight is None else weight[:, None])
        half = self.pool(0.5 * variances[0], np.ones(1))
        scale = np.sqrt(half / self.n_factors) * np.ones(x.shape[1])
        loadings = scale[:, None] * rng.standard_normal((x.shape[1], self.n_factors))
        return self.Params(means[0], loadings, np.asarray(half))

    def check_params(self, params: Any, x: np.ndarray) -> Any:
        """mean (d,), loadings (d, q) and noise_variance > 0."""
        fields = named_fields(params, self.Params._fields, type(self).__name__)
        d = x.shape[1]
        mean, loadings = as_field(fields, "mean", (d,)), as_field(fields, "loadings", (d, self.n_factors))
        noise = as_field(fields, "noise_variance", self.noise_shape(d))
        if not (noise > 0).all():
            raise ValueError(f"params.noise_variance must be above 0, but it is {noise.tolist()}")
        return self.Params(mean, loadings, noise)

    def constraints(self, params: Any) -> Mapping[str, Constraint]:
        """The set that each field lives in."""
        return {"mean": Real(), "loadings": Real(), "noise_variance": Positive()}

    def n_params(self, params: Any) -> int:
        """d for the mean, d·q - q(q - 1)/2 for loadings up to rotation, and the noise's own."""
        d, q = params.loadings.shape
        return d + d * q - q * (q - 1) // 2 + np.size(params.noise_variance)

    def sample(self, params: Any, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """n rows x (n, d) and the factors z (n, q) that made them."""
        z = rng.standard_normal((n, self.n_factors))
        noise = np.sqrt(params.noise_variance) * rng.standard_normal((n, len(params.mean)))
        return params.mean + z @ params.loadings.T + noise, z


def _residuals(x: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]:
    """x - mean with 0 for missing cells, 1 for seen ones (1|n, d), each row's pattern, and the patterns (p, d)."""
    residuals = x - mean
    if not has_holes(x):
        ones = np.ones((1, x.shape[1]))
        return residuals, ones, None, ones
    pattern, patterns = missing_patterns(x)
    patterns = patterns.astype(float)
    return np.nan_to_num(residuals), patterns[pattern], pattern, patterns


def _factor_of_inverse(roots: np.ndarray) -> np.ndarray:
    """Lower factors L (p, q, q) with L Lᵀ = (AᵀA)⁻¹ for every A (p, d, q) of full rank.

    From A's own triangle R, U = Rᵀ with the order of the columns reversed twice, L = U⁻ᵀ: AᵀA, whose condition is the
    square of A's, is never formed, and a small noise variance costs half the digits that it would.
    """
    lower = np.swapaxes(np.linalg.qr(roots[..., ::-1], mode="r"), -1, -2)
    signs = np.where(lower.diagonal(axis1=-2, axis2=-1) < 0, -1.0, 1.0)
    upper = (lower * signs[..., None, :])[..., ::-1, ::-1]
    return np.swapaxes(np.linalg.solve(upper, np.eye(roots.shape[-1])), -1, -2)


def _times(factors: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """factors_i vector_i for every row (n, q); one factor may serve all."""
    if len(factors) == 1:
        return vectors @ factors[0].T
    return np.einsum("nij,nj->ni", factors, vectors)
