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

from emcore.data import check_n_features
from emcore.families.base import as_field, standardised
from emcore.families.covariance import (
    Covariance,
    Diag,
    Full,
    Precision,
    Spherical,
    Tied,
    constant_columns,
    refuse_collapse,
)
from emcore.families.gaussian_prior import (
    FraleyRaftery,
    NormalInverseWishart,
    Prior,
    log_density,
    scaled_from_data,
    with_prior,
)
from emcore.families.gaussian_stats import GaussianStats, WideStats, stats_of_completed, stats_of_rows
from emcore.families.missing import (
    CompletesCells,
    MissingCells,
    as_incomplete_matrix,
    condition,
    has_holes,
)
from emcore.numerics import LOG_2PI, emptied, row_blocks
from emcore.parameters import Constraint, Positive, PositiveDefinite, Real

_BLOCK_ROWS = 8192

__all__ = ["FraleyRaftery", "Gaussian", "GaussianFamily", "GaussianParams", "GaussianStats", "NormalInverseWishart"]

_SHAPES: Mapping[str, Covariance] = MappingProxyType(
    {"full": Full(), "tied": Tied(), "diag": Diag(), "spherical": Spherical()}
)


class GaussianParams(NamedTuple):
    """Means and covariances; the shape of `covariances` follows the family."""

    means: np.ndarray  # (k, d)
    covariances: np.ndarray  # (k, d, d) full, (d, d) tied, (k, d) diag, (k,) spherical


@dataclass(frozen=True)
class GaussianFamily(CompletesCells):
    """Gaussian components; make one with `Gaussian("full" | "tied" | "diag" | "spherical")`.

    Missing cells are marginalised exactly. Diagonal and spherical covariances leave them out of every sum; full and
    tied ones need their conditional distribution from the E-step, which a structure must ask for (`CompletesCells`).
    """

    shape: Covariance
    prior: Prior = None
    Params: ClassVar[Any] = GaussianParams

    @property
    def separable(self) -> bool:
        """True where features are independent within a component, so that missing cells can be left out."""
        return isinstance(self.shape, Diag | Spherical)

    def check(self, x: Any) -> np.ndarray:
        """x as float64 (n, d); ValueError for missing cells that only their conditional distribution could complete."""
        x = as_incomplete_matrix(x)
        if self.completes(x):
            rows = np.flatnonzero(np.isnan(x).any(axis=1))
            raise ValueError(
                f"x has missing values (NaN or null) in {len(rows)} of {len(x)} rows: rows {rows[:8].tolist()}; "
                f'this model cannot marginalise missing cells under {self._name}: use Gaussian("diag") or '
                'Gaussian("spherical"), or drop those rows'
            )
        return x

    def check_incomplete(self, x: Any) -> np.ndarray:
        """x as float64 (n, d), NaN where a cell is missing."""
        return as_incomplete_matrix(x)

    def completes(self, x: np.ndarray) -> bool:
        """True for missing cells under full and tied covariances."""
        return not self.separable and has_holes(x)

    @property
    def shared_fields(self) -> dict[str, int]:
        """Fields of params and statistics that all components share, and how many axes they have."""
        return {"covariances": 2, "scatter": 2} if isinstance(self.shape, Tied) else {}

    @property
    def piles(self) -> bool:
        """Whether `mle` may be asked for the components of many mixtures at once (see `kernels.base`)."""
        return self.prior is None or not isinstance(self.shape, Tied)

    @property
    def _name(self) -> str:
        return f'Gaussian("{type(self.shape).__name__.lower()}")'

    def resolve(self, x: np.ndarray, n_components: int) -> Self:
        """The family with its prior scaled from the data; ValueError where x cannot carry a covariance."""
        if len(x) < 2:
            raise ValueError("x has one row: a covariance needs at least two")
        flat = constant_columns(x)
        if flat.any() and not (isinstance(self.shape, Spherical) and not flat.all()):
            column = int(np.flatnonzero(flat)[0])
            raise ValueError(
                f"column {column} of x is constant, so its variance is 0 and the likelihood has no maximum; "
                "drop the column"
            )
        if not (self.separable or isinstance(self.prior, NormalInverseWishart) or has_holes(x)):
            _refuse_collinear(x)
        if isinstance(self.prior, FraleyRaftery):
            return replace(self, prior=scaled_from_data(self.shape, x, n_components, self.prior.strength))
        return self

    def log_prob(self, params: Any, x: np.ndarray) -> np.ndarray:
        """log N(x_i; means_k, covariances_k) (n, k); over the observed cells where some are missing."""
        k, d = params.means.shape
        check_n_features(x, d)
        if has_holes(x):
            return self._log_prob_of_seen(params, x) if self.separable else condition(*self.moments(params), x)[0].T
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
        """Counts, means and scatter; rows are centred first, so that an offset of the data costs no digits.

        ValueError for missing cells under full and tied covariances: see `completed_stats`.
        """
        if self.completes(x):
            raise ValueError(
                f"x has missing cells, and {self._name} needs their conditional distribution for its statistics: "
                "take q from model.posterior(params, x), or from its with_probs"
            )
        return stats_of_rows(self.shape, x, responsibilities)

    def moments(self, params: Any) -> tuple[np.ndarray, np.ndarray]:
        """Means (k, d) and covariances as matrices (k, d, d)."""
        return params.means, self.shape.dense(params.covariances, *params.means.shape)

    def completed_stats(self, cells: MissingCells, responsibilities: np.ndarray) -> GaussianStats:
        """Counts, means and scatter of the completed rows, and the covariance of what completed them."""
        return stats_of_completed(self.shape, cells, responsibilities)

    def mle(self, stats: GaussianStats, params: Any) -> GaussianParams:
        """Means and covariances at the mode; DegenerateError where a component has emptied or collapsed."""
        prior = self._scaled_prior()
        merged, extra = (stats, 0.0) if prior is None else with_prior(stats, prior)
        if not merged.counts.min() > 0:
            raise emptied(int(np.flatnonzero(~(merged.counts > 0).all(axis=1))[0]))
        covariances = self.shape.estimate(merged.scatter, merged.counts, extra)
        if prior is not None or not isinstance(stats, WideStats):
            refuse_collapse(self.shape, covariances, stats.pooled_variances())
        return GaussianParams(merged.mean, covariances)

    def _scaled_prior(self) -> NormalInverseWishart | None:
        if isinstance(self.prior, FraleyRaftery):
            raise ValueError("this prior is scaled from the data: use fit, or model.resolve(x) first")
        return self.prior

    def log_prior(self, params: Any) -> float:
        """The normal-inverse-Wishart log density, up to a constant."""
        prior = self._scaled_prior()
        if prior is None or prior.strength == 0:
            return 0.0
        return log_density(self.shape, prior, params.means, params.covariances)

    def check_params(self, fields: Mapping[str, Any], n_components: int, n_features: int) -> GaussianParams:
        """means (k, d) and covariances of the family's shape, positive definite."""
        means = as_field(fields, "means", (n_components, n_features))
        covariances = as_field(fields, "covariances", self.shape.shape(n_components, n_features))
        dense = self.shape.dense(covariances, n_components, n_features)
        scale = np.sqrt(np.abs(np.diagonal(dense, axis1=1, axis2=2)))
        if (np.abs(dense - np.swapaxes(dense, 1, 2)) > 1e-8 * scale[:, :, None] * scale[:, None, :]).any():
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
    """ValueError where one column is a linear combination of the others: every full covariance is singular then.

    By the triangle of a QR decomposition that grows block by block: it has the singular values of all rows.
    """
    centre = x.mean(axis=0)
    triangle: Any = np.empty((0, x.shape[1]))
    for rows in row_blocks(len(x), _BLOCK_ROWS):
        triangle = np.linalg.qr(np.concatenate([triangle, x[rows] - centre]), mode="r")
    _, values, directions = np.linalg.svd(triangle / np.linalg.norm(triangle, axis=0), full_matrices=False)
    if len(values) < x.shape[1] or values[-1] < 1e-8 * values[0]:
        raise ValueError(
            f"the columns of x are linearly dependent (column {int(np.argmax(np.abs(directions[-1])))} is a "
            "combination of others), so every covariance is singular; drop a column or use "
            'Gaussian("diag")'
        )


def Gaussian(covariance: str = "full", prior: Prior | str = None) -> GaussianFamily:
    """Gaussian components with "full", "tied", "diag" or "spherical" covariances.

    `prior`: None (maximum likelihood), "fraley-raftery" (the data-scaled default), `FraleyRaftery(strength)` or
    `NormalInverseWishart(...)`. ValueError for another name.
    """
    if not isinstance(covariance, str) or covariance not in _SHAPES:
        raise ValueError(f"covariance must be one of {', '.join(map(repr, _SHAPES))}, not {covariance!r}")
    if isinstance(prior, str):
        if prior != "fraley-raftery":
            raise ValueError(f'prior must be None, "fraley-raftery" or a prior object, not {prior!r}')
        prior = FraleyRaftery()
    if not isinstance(prior, NormalInverseWishart | FraleyRaftery | None):
        raise TypeError(f'prior must be None, "fraley-raftery" or a prior object, not {prior!r}')
    return GaussianFamily(_SHAPES[covariance], prior)
