"""Linear regression where the rows of a group share an intercept of their own: one-way random effects.

u_g               ~  N(0, 1)                                                          one for every group
y_gj | u_g, v_gj  ~  N(coefficients_0 + Σ_j coefficients_j v_gj + group_scale · u_g, scales²)
log p(y_g)        =  the normal of a group's rows, with covariance scales² I + group_scale² 1 1ᵀ
E-step: u_g is normal given its rows. M-step: least squares on the predictors and E u_g, with Σ var u_g added to the
square of the latter. The variance between groups is group_scale²: as a coefficient it may reach 0, which it could not
as the variance of a latent (Meng & van Dyk 1998, J. R. Statist. Soc. B 60, 559-578).
Reference: Dempster, Laird & Rubin (1977), section 4.4; Laird & Ware (1982), Biometrics 38, 963-974.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from emcore.data import as_matrix, check_counts
from emcore.families.base import as_field
from emcore.families.crossproducts import PlaneStats, least_squares, plane_stats
from emcore.families.regression import fitted, positive_field, refuse_exact_fit, refuse_unfit
from emcore.models.checks import named_fields
from emcore.models.continuous import AbstractContinuousLatent, starting_weights
from emcore.numerics import LOG_2PI, total
from emcore.parameters import Constraint, Positive, Real
from emcore.posteriors import GaussianPosterior

_NOTHING = 1e-8  # group_scale over scales, under which it changes the likelihood by less than rounding: it is 0


class RandomInterceptParams(NamedTuple):
    """The plane, and the standard deviations within and between groups."""

    coefficients: np.ndarray  # (p + 1,), the intercept first
    scales: np.ndarray  # () within groups
    group_scale: np.ndarray  # () between groups, up to its sign, which nothing determines


class RandomInterceptStats(NamedTuple):
    """Expected sums over groups."""

    planes: PlaneStats  # of the predictors, E u of the row's group, and the response
    spread: np.ndarray  # () Σ rows of the group · var u


@dataclass(frozen=True, eq=False)
class Groups:
    """A long table, read and checked. Its length is the number of groups."""

    rows: np.ndarray  # (r, p + 1): predictors and response
    group: np.ndarray  # (r,) 0, 1, … in the order of the codes
    codes: np.ndarray  # (n,) the code of every group

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: Any) -> "Groups":
        """Some of the groups, the same one more than once if so asked."""
        chosen = np.arange(len(self))[index]
        order = np.argsort(self.group, kind="stable")
        parts = np.split(order, np.cumsum(self.sizes())[:-1])
        rows = np.concatenate([parts[g] for g in chosen])
        return Groups(self.rows[rows], np.repeat(np.arange(len(chosen)), self.sizes()[chosen]), self.codes[chosen])

    def sizes(self) -> np.ndarray:
        """Rows of every group (n,)."""
        return np.bincount(self.group, minlength=len(self))

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sums over the rows of every group (n,)."""
        return np.bincount(self.group, values, len(self))


@dataclass(frozen=True)
class RandomIntercept(AbstractContinuousLatent):
    """x is a long table (r, p + 2): the group's code (a whole number ≥ 0), p predictors, and the response last.

    Everything that comes back per group, and `weight=`, is in the order of the codes. Maximum likelihood, not REML.
    Groups that differ no more than their rows do give a `group_scale` of 0.

    >>> import numpy as np, emcore as em
    >>> dyestuff = em.datasets.load("dyestuff")
    >>> x = np.column_stack([np.repeat(np.arange(6), 5), dyestuff["yield"]])
    >>> fit = em.fit(em.RandomIntercept(), x, restarts=1)
    >>> [round(float(v), 3) for v in (fit.params.coefficients[0], fit.params.group_scale, fit.params.scales)]
    [1527.5, 37.26, 49.51]
    """

    def check(self, x: Any) -> Any:
        """The groups; TypeError or ValueError where x is no long table."""
        if isinstance(x, Groups):
            return x
        x = as_matrix(x)
        if x.shape[1] < 2:
            raise ValueError("x needs a column of group codes first and the response last, but it has one column")
        check_counts(x[:, :1], "RandomIntercept (the group codes)", 2.0**53)
        codes, group = np.unique(x[:, 0], return_inverse=True)
        return Groups(x[:, 1:], group.ravel(), codes.astype(np.intp))

    def resolve(self, x: Any) -> Self:
        """Itself; ValueError where the rows carry no plane, or the groups cannot be told from the rows."""
        if len(x) < 2 or x.sizes().max() < 2:
            raise ValueError(
                f"x has {len(x)} group(s) of at most {x.sizes().max()} row(s): two groups and a group of two rows are "
                "needed to tell the variance between groups from that within"
            )
        refuse_unfit(x.rows, intercept=True)
        return self

    def _residuals(self, params: Any, x: Groups) -> np.ndarray:
        return x.rows[:, -1] - fitted(params.coefficients[None], x.rows[:, :-1], True)[:, 0]

    def infer(self, params: Any, x: Any) -> tuple[GaussianPosterior, np.ndarray]:
        """p(u_g | y_g) and log p(y_g) (n,)."""
        x = self.check(x)
        residuals = self._residuals(params, x) / params.scales
        ratio = params.group_scale / params.scales
        n = x.sizes()
        precision = 1.0 + n * ratio**2
        means = ratio * x.total(residuals) / precision
        squares = x.total((residuals - ratio * means[x.group]) ** 2) + means**2
        rows = -0.5 * (n * LOG_2PI + squares + np.log(precision)) - n * np.log(params.scales)
        return GaussianPosterior(means[:, None], 1.0 / np.sqrt(precision)[:, None, None]), rows

    def expected_log_joint(self, params: Any, x: Any, q: GaussianPosterior) -> np.ndarray:
        """E_q log p(y_g, u_g) (n,)."""
        second = q.means[:, 0] ** 2 + q.factors[:, 0, 0] ** 2
        return self.expected_log_conditional(params, x, q) - 0.5 * (LOG_2PI + second)

    def expected_log_conditional(self, params: Any, x: Any, q: GaussianPosterior) -> np.ndarray:
        """E_q log p(y_g | u_g) (n,)."""
        x = self.check(x)
        n = x.sizes()
        misses = self._residuals(params, x) - params.group_scale * q.means[x.group, 0]
        squares = x.total(misses**2) + n * (params.group_scale * q.factors[:, 0, 0]) ** 2
        return -0.5 * (n * LOG_2PI + squares / params.scales**2) - n * np.log(params.scales)

    def latent_prior(self, params: Any, x: Any) -> GaussianPosterior:
        """p(u_g): standard normal."""
        return GaussianPosterior(np.zeros((len(self.check(x)), 1)), np.ones((1, 1, 1)))

    def suff_stats(self, x: Any, q: GaussianPosterior, weight: np.ndarray | None = None) -> RandomInterceptStats:
        """Moments of the rows with E u as a predictor, and the sum of var u."""
        x = self.check(x)
        weight = np.ones(len(x)) if weight is None else weight
        rows = np.column_stack([x.rows[:, :-1], q.means[x.group, 0], x.rows[:, -1]])
        planes = plane_stats(rows, weight[x.group][:, None], intercept=True)
        return RandomInterceptStats(planes, (weight * x.sizes()) @ q.factors[:, 0, 0] ** 2)

    def m_step(self, stats: RandomInterceptStats, params: Any) -> RandomInterceptParams:
        """Least squares and the mean square; DegenerateError where the plane and the groups fit exactly."""
        p = stats.planes.planes.shape[1] - 2
        penalties = np.append(np.zeros(p), stats.spread)
        coefficients, squares = least_squares(stats.planes, intercept=True, penalties=penalties)
        variances = squares / stats.planes.cross.weight
        refuse_exact_fit(variances, stats.planes.response_variance())
        scale, between = np.sqrt(variances[0]), coefficients[0, -1]
        between = between if abs(between) > _NOTHING * scale else 0.0
        return RandomInterceptParams(coefficients[0, :-1], np.asarray(scale), np.asarray(between))

    def initial_params(self, x: Any, method: str, rng: np.random.Generator, weight: Any = None) -> Any:
        """Least squares under random weights on the groups, its mean square shared evenly between the two scales."""
        weights = starting_weights(method, len(x), rng, weight)[x.group]
        coefficients, squares = least_squares(plane_stats(x.rows, weights[:, None], intercept=True), intercept=True)
        scale = np.asarray(np.sqrt(0.5 * squares[0] / weights.sum()))
        return RandomInterceptParams(coefficients[0], scale, scale)

    def check_params(self, params: Any, x: Any) -> RandomInterceptParams:
        """coefficients (p + 1,), scales () > 0 and group_scale ()."""
        fields = named_fields(params, RandomInterceptParams._fields, "RandomIntercept")
        coefficients = as_field(fields, "coefficients", (x.rows.shape[1],))
        scales = positive_field(fields, "scales", ())
        return RandomInterceptParams(coefficients, scales, as_field(fields, "group_scale", ()))

    def constraints(self, params: Any) -> Mapping[str, Constraint]:
        """The set that each field lives in."""
        return {"coefficients": Real(), "scales": Positive(), "group_scale": Real()}

    def n_params(self, params: Any) -> int:
        """Coefficients and two scales."""
        return len(params.coefficients) + 2

    def n_observations(self, x: Any, weight: np.ndarray | None = None) -> float:
        """Rows of the table: n of the BIC."""
        return total(self.check(x).sizes(), weight)

    def sample(self, params: Any, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A long table of n groups of five rows with standard normal predictors, and the intercepts u (n,)."""
        group, u = np.repeat(np.arange(n), 5), rng.standard_normal(n)
        predictors = rng.standard_normal((len(group), len(params.coefficients) - 1))
        plane = fitted(params.coefficients[None], predictors, True)[:, 0] + params.group_scale * u[group]
        return np.column_stack([group, predictors, plane + params.scales * rng.standard_normal(len(group))]), u
