"""Factor analysis and probabilistic PCA: a few Gaussian factors behind many columns.

z_i ~ N(0, I_q),   x_i = mean + loadings z_i + noise,   so that   x_i ~ N(mean, loadings loadingsᵀ + Ψ)
FactorAnalysis: Ψ = diag(noise_variance), one number a column; the answer does not depend on the columns' units.
PPCA: Ψ = noise_variance · I, one number; at its maximum the loadings span the leading principal axes.
Loadings are determined up to a rotation of the factors. EM is in `linear_gaussian`.
Reference: Rubin & Thayer (1982), Psychometrika 47, 69-76; Tipping & Bishop (1999), J. R. Statist. Soc. B 61, 611-622.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from emcore.models.linear_gaussian import AbstractLinearGaussian
from emcore.models.linear_stats import LinearStats
from emcore.numerics import DegenerateError

_COLLAPSED = 1e-13  # of a column's variance: noise that only rounding keeps above 0
_HEYWOOD = 1e-4  # of a column's variance: noise below which a Heywood case is looked for


class FactorParams(NamedTuple):
    """Mean, loadings and noise; the noise's shape follows the model."""

    mean: np.ndarray  # (d,)
    loadings: np.ndarray  # (d, q)
    noise_variance: np.ndarray  # (d,) FactorAnalysis, () PPCA


@dataclass(frozen=True)
class FactorAnalysis(AbstractLinearGaussian):
    """Factor analysis with `n_factors` factors; params `mean` (d,), `loadings` (d, q), `noise_variance` (d,).

    Missing cells (NaN) are left out exactly. `noise_prior` counts that many pseudo-rows whose noise has the column's
    own variance: it keeps noise variances off 0. All named starts mean random loadings; loadings of exactly 0 are a
    saddle, where EM stays. From a table of covariances alone: fit `rows_with_moments(covariance, n_rows)`.

    >>> import numpy as np, emcore as em
    >>> table = em.datasets.load("ability_cov").drop("variable").to_numpy()
    >>> scale = np.sqrt(np.diag(table))
    >>> x = em.rows_with_moments(table / np.outer(scale, scale), 112)
    >>> fit = em.fit(em.FactorAnalysis(1), x, restarts=1)
    >>> fit.params.noise_variance.round(3)  # what factanal of R prints as uniquenesses
    array([0.535, 0.853, 0.748, 0.91 , 0.232, 0.28 ])
    """

    Params: ClassVar[Any] = FactorParams

    def noise_shape(self, d: int) -> tuple[int, ...]:
        """(d,)."""
        return (d,)

    def pool(self, scatter: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Each column its own."""
        return scatter / counts

    def refuse_collapse(self, new: Any, old: Any, stats: LinearStats) -> None:
        """DegenerateError for a noise variance of 0, or one on its way there: a Heywood case."""
        relative = new.noise_variance * stats.counts / stats.x_scatter
        j = int(np.argmin(relative))
        if not relative[j] > _COLLAPSED:
            raise DegenerateError(
                f"the noise variance of column {j} has fallen to 0: the columns are linearly dependent, or there are "
                "too many factors for the rows, and the likelihood grows without bound"
            )
        if relative[j] < _HEYWOOD and self.noise_prior == 0 and _is_heywood(new, old, stats, j, relative[j]):
            raise DegenerateError(
                f"a Heywood case: a factor has become column {j}, whose noise variance is down to {relative[j]:.1g} of "
                "its variance and still falling: the likelihood rises all the way to the boundary at 0. Use fewer "
                "factors, or a prior (noise_prior=1)"
            )

    def refuse_constant(self, constant: np.ndarray) -> None:
        """ValueError where any column is constant."""
        if constant.any():
            column = int(np.flatnonzero(constant)[0])
            raise ValueError(
                f"column {column} of x is constant, so its noise variance is 0 and the likelihood has no maximum; "
                "drop the column"
            )


@dataclass(frozen=True)
class PPCA(AbstractLinearGaussian):
    """Probabilistic PCA with `n_factors` factors; params `mean` (d,), `loadings` (d, q), `noise_variance` ().

    At the maximum noise_variance is the mean of the d - q smallest eigenvalues of the covariance (divisor n), and the
    loadings are the leading eigenvectors scaled by √(eigenvalue - noise_variance), up to a rotation. Missing cells,
    `noise_prior` and starts as for `FactorAnalysis`.

    >>> import numpy as np, emcore as em
    >>> x = em.datasets.load("iris").drop("species")
    >>> fit = em.fit(em.PPCA(1), x, restarts=1)
    >>> round(fit.log_likelihood, 5), fit.params.noise_variance.round(6)
    (-470.66946, np.float64(0.114139))
    >>> stuck = fit.params._replace(loadings=np.zeros((4, 1)))
    >>> round(em.fit(em.PPCA(1), x, init=stuck).log_likelihood, 2)  # a saddle
    -889.52
    """

    Params: ClassVar[Any] = FactorParams

    def noise_shape(self, d: int) -> tuple[int, ...]:
        """()."""
        return ()

    def pool(self, scatter: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """One number for all columns."""
        return scatter.sum() / (counts.sum() * (len(scatter) if len(counts) == 1 else 1))

    def refuse_collapse(self, new: Any, old: Any, stats: LinearStats) -> None:
        """DegenerateError for a noise variance of 0 beside the columns' mean variance."""
        if not new.noise_variance > _COLLAPSED * self.pool(stats.x_scatter, stats.counts):
            raise DegenerateError(
                f"the noise variance has fallen to 0: the rows lie in {self.n_factors} dimensions, and the likelihood "
                "grows without bound; use fewer factors"
            )

    def refuse_constant(self, constant: np.ndarray) -> None:
        """ValueError where all columns are constant."""
        if constant.all():
            raise ValueError("every column of x is constant, so the likelihood has no maximum")


def _is_heywood(new: Any, old: Any, stats: LinearStats, j: int, relative: float) -> bool:
    """Whether the noise variance ψ_j of column j is on its way to the boundary 0, which EM never reaches.

    Two signs: a factor is read off column j alone, so that nearly all of ψ_j is uncertainty about z; and 1/ψ_j grows
    evenly, by a rate of s_j / var(x_j | other columns) per variance s_j. A rate over 50 means that the other columns
    know column j too well: small noise everywhere, which settles.
    """
    if old is None:
        return False
    spread = (stats.z_spread / stats.counts[:, None, None])[j if len(stats.counts) > 1 else 0]
    read_off = new.loadings[j] @ spread @ new.loadings[j] > 0.99 * new.noise_variance[j]
    fall = old.noise_variance[j] / new.noise_variance[j] - 1.0
    return bool(read_off and 0.0 < fall < 50.0 * relative)


def rows_with_moments(covariance: Any, n_rows: int, mean: Any = None) -> np.ndarray:
    """Rows (n, d) whose mean and covariance (divisor n) are exactly those given; nothing is random.

    A Gaussian model's likelihood of complete rows depends on them through these moments alone, so a fit to the rows is
    the fit to the table. They are not data otherwise: do not plot them, or fit a mixture to them.

    Raises ValueError for a table that is not symmetric or not positive semi-definite, or with n_rows ≤ d.

    >>> x = rows_with_moments([[2.0, 0.5], [0.5, 1.0]], 10, mean=[3.0, 4.0])
    >>> np.cov(x.T, ddof=0).round(12), x.mean(axis=0).round(12)
    (array([[2. , 0.5],
           [0.5, 1. ]]), array([3., 4.]))
    """
    table = np.asarray(covariance, dtype=float)
    d = len(table) if table.ndim == 2 else 0
    scale = np.sqrt(np.abs(np.diagonal(table))) if d else np.ones(0)
    if table.shape != (d, d) or d == 0 or (np.abs(table - table.T) > 1e-8 * np.outer(scale, scale)).any():
        raise ValueError(f"covariance must be a symmetric table (d, d), but its shape is {table.shape}")
    if n_rows <= d:
        raise ValueError(f"n_rows={n_rows} must be above the number of columns, {d}, for the covariance to be exact")
    values, vectors = np.linalg.eigh(table)
    if values[0] < -1e-10 * values[-1]:
        raise ValueError(f"covariance must be positive semi-definite, but it has the eigenvalue {values[0]:.3g}")
    # cosines of d frequencies at n points: orthogonal to one another and to the constant
    basis = np.cos(np.pi / n_rows * np.outer(np.arange(n_rows) + 0.5, np.arange(1, d + 1))) * np.sqrt(2.0)
    rows = basis @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    return rows if mean is None else rows + np.asarray(mean, dtype=float)
