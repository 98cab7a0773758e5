"""Linear regression with normal errors: the response given the predictors, one plane per component.

y_i | z_i = k, v_i  ~  N(coefficients_k0 + Σ_j coefficients_kj v_ij, scales_k²)     for rows x_i = (v_i, y_i)
prior               ~  normal-inverse-gamma, counted as pseudo-rows (see `NormalInverseGamma`).
The predictors are given, not modelled. With `Mixture` a mixture of regressions, with `HMM` a switching regression.
Reference: Quandt & Ramsey (1978), J. Amer. Statist. Assoc. 73, 730-738; DeSarbo & Cron (1988), J. Classif. 5, 249-282.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from emcore.data import as_matrix, check_pseudo_count
from emcore.families.base import as_field, check_range, standardised
from emcore.families.crossproducts import PlaneStats, least_squares, plane_stats
from emcore.numerics import LOG_2PI, DegenerateError
from emcore.parameters import Constraint, Positive, Real

_COLLAPSED = 1e-16  # residual variance over the response's
_DEPENDENT = 1e-9  # length of a predictor off the span of those before it, over its own length


class RegressionParams(NamedTuple):
    """Planes and residual standard deviations."""

    coefficients: np.ndarray  # (k, p + 1), the intercept first; (k, p) without one
    scales: np.ndarray  # (k,)


@dataclass(frozen=True)
class NormalInverseGamma:
    """The conjugate prior of every component, as pseudo-rows.

    log p = -½ [ (rows + p·ridged) log σ² + (rows · mean_square + Σ_j penalties_j slope_j²) / σ² ] + constant, where
    p·ridged counts the slopes if any penalty is positive: then slope_j | σ² ~ N(0, σ²/penalty_j).
    """

    rows: float
    mean_square: float
    penalties: tuple[float, ...]

    @property
    def divisor(self) -> float:
        """What the prior adds to the rows that share the sum of squares."""
        return self.rows + len(self.penalties) * any(self.penalties)


@dataclass(frozen=True)
class RegressionPrior:
    """A prior scaled from the data; `fit` fills in the scale, so that units do not matter.

    `rows`: pseudo-rows whose mean squared residual is that of one least-squares plane through all rows: it bounds the
    scales away from 0. `ridge`: pseudo-rows that pull every slope to 0 (penalty = ridge · variance of the predictor).
    """

    rows: float = 1.0
    ridge: float = 0.0

    def __post_init__(self) -> None:
        check_pseudo_count(self.rows, "rows")
        check_pseudo_count(self.ridge, "ridge")


@dataclass(frozen=True)
class LinearRegression:
    """x is (n, p + 1): the predictors, then the response in the last column.

    A missing response (NaN) is marginalised exactly: such a row has density 1 under every component. A missing
    predictor is refused. `prior`: None (maximum likelihood), `RegressionPrior(rows, ridge)` or `NormalInverseGamma`.
    """

    intercept: bool = True
    prior: RegressionPrior | NormalInverseGamma | None = None
    Params: ClassVar[Any] = RegressionParams

    def __post_init__(self) -> None:
        if not isinstance(self.intercept, bool):
            raise TypeError(f"intercept must be True or False, not {self.intercept!r}")
        if not isinstance(self.prior, RegressionPrior | NormalInverseGamma | None):
            raise TypeError(f"prior must be None, a RegressionPrior or a NormalInverseGamma, not {self.prior!r}")

    def check(self, x: Any) -> np.ndarray:
        """x (n, p + 1), finite but for missing responses."""
        x = as_matrix(x, allow_missing=True)
        if x.shape[1] < 2 - self.intercept:
            raise ValueError("a regression without an intercept needs a predictor: x has the response's column alone")
        refuse_missing_predictors(x[:, :-1])
        return x

    def resolve(self, x: np.ndarray, n_components: int) -> Self:
        """The family with its prior scaled; ValueError where the predictors are collinear or the rows too few."""
        seen = x[~np.isnan(x[:, -1])]
        refuse_unfit(seen, self.intercept)
        if isinstance(self.prior, RegressionPrior):
            return replace(self, prior=self._scaled(seen, self.prior))
        if self.prior is not None and len(self.prior.penalties) != x.shape[1] - 1:
            raise ValueError(f"prior.penalties must be one for each of the {x.shape[1] - 1} predictors")
        return self

    def _scaled(self, seen: np.ndarray, prior: RegressionPrior) -> NormalInverseGamma:
        stats = plane_stats(seen, np.ones((len(seen), 1)), intercept=self.intercept)
        _, squares = least_squares(stats, intercept=self.intercept)
        centre = seen[:, :-1].mean(axis=0) if self.intercept else 0.0
        variances = ((seen[:, :-1] - centre) ** 2).mean(axis=0)
        penalties = tuple((prior.ridge * variances).tolist())
        return NormalInverseGamma(prior.rows, float(squares[0]) / len(seen), penalties)

    def _prior(self) -> NormalInverseGamma | None:
        if isinstance(self.prior, RegressionPrior):
            raise ValueError("this prior is scaled from the data: use fit, or model.resolve(x) first")
        return self.prior

    def log_prob(self, params: Any, x: np.ndarray) -> np.ndarray:
        """log N(y_i; plane_k(v_i), scales_k²) (n, k); 0 where the response is missing."""
        residuals = x[:, -1:] - fitted(params.coefficients, x[:, :-1], self.intercept)
        log_prob = -0.5 * ((residuals / params.scales) ** 2 + LOG_2PI) - np.log(params.scales)
        return np.where(np.isnan(x[:, -1:]), 0.0, log_prob)

    def suff_stats(self, x: np.ndarray, responsibilities: np.ndarray) -> PlaneStats:
        """Moments of predictors and response about a plane, over the rows that have a response."""
        seen = ~np.isnan(x[:, -1])
        if not seen.all():
            x, responsibilities = x[seen], responsibilities[seen]
        return plane_stats(x, responsibilities, intercept=self.intercept)

    def mle(self, stats: PlaneStats, params: Any) -> RegressionParams:
        """(Penalised) least squares; DegenerateError where a component has emptied or fits its rows exactly."""
        prior = self._prior()
        penalties = None if prior is None else np.asarray(prior.penalties)
        coefficients, squares = least_squares(stats, intercept=self.intercept, penalties=penalties)
        rows, extra = (0.0, 0.0) if prior is None else (prior.rows, prior.divisor)
        if prior is not None:
            squares = squares + rows * prior.mean_square
        variances = squares / (stats.cross.weight + extra)
        refuse_exact_fit(variances, stats.response_variance())
        return RegressionParams(coefficients, np.sqrt(variances))

    def log_prior(self, params: Any) -> float:
        """The normal-inverse-gamma log density up to a constant, summed over components."""
        prior = self._prior()
        if prior is None:
            return 0.0
        slopes = params.coefficients[:, int(self.intercept) :]
        squares = prior.rows * prior.mean_square + slopes**2 @ np.asarray(prior.penalties)
        return float(-0.5 * (2.0 * prior.divisor * np.log(params.scales) + squares / params.scales**2).sum())

    def check_params(self, fields: Mapping[str, Any], n_components: int, n_features: int) -> RegressionParams:
        """coefficients (k, p + 1), or (k, p) without an intercept, and scales (k,) > 0."""
        length = n_features - 1 + self.intercept
        coefficients = as_field(fields, "coefficients", (n_components, length))
        return RegressionParams(coefficients, positive_field(fields, "scales", (n_components,)))

    def constraints(self) -> Mapping[str, Constraint]:
        """The set that each field lives in."""
        return {"coefficients": Real(), "scales": Positive()}

    def n_params(self, n_components: int, n_features: int) -> int:
        """k·(coefficients + 1); `n_features` is the number of coefficients: that of columns, where an intercept is."""
        return n_components * (n_features + 1)

    def seeding_features(self, x: np.ndarray) -> np.ndarray:
        """The scores of one plane through all rows: its residuals, and residuals times each predictor.

        Rows that pull the plane the same way lie near one another in them, whatever their predictors.
        """
        seen = ~np.isnan(x[:, -1])
        predictors = standardised(x[:, :-1]) if x.shape[1] > 1 else x[:, :0]
        design = np.column_stack([np.ones(len(x)), predictors]) if self.intercept else predictors
        response = standardised(x[:, -1:])[:, 0]
        plane = np.linalg.lstsq(design[seen], response[seen], rcond=None)[0]
        residuals = np.where(seen, response - design @ plane, 0.0)
        return standardised(np.column_stack([residuals, residuals[:, None] * predictors]))

    def sample(self, params: Any, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Rows (n, p + 1) for labels z (n,); the predictors, which the model leaves open, are standard normal."""
        p = params.coefficients.shape[1] - self.intercept
        predictors = rng.standard_normal((len(z), p))
        plane = fitted(params.coefficients, predictors, self.intercept)[np.arange(len(z)), z]
        return np.column_stack([predictors, plane + params.scales[z] * rng.standard_normal(len(z))])

    def select(self, params: Any, order: Any) -> RegressionParams:
        """Components in another order."""
        return RegressionParams(params.coefficients[order], params.scales[order])


def fitted(coefficients: np.ndarray, predictors: np.ndarray, intercept: bool) -> np.ndarray:
    """The planes (k, p + intercept) at predictors (n, p): (n, k). ValueError where their numbers do not match."""
    p = coefficients.shape[1] - intercept
    if predictors.shape[1] != p:
        raise ValueError(
            f"x has {predictors.shape[1]} predictor(s) before the response, but the coefficients were made for {p}"
        )
    slopes = coefficients[:, 1:] if intercept else coefficients
    return predictors @ slopes.T + (coefficients[:, 0] if intercept else 0.0)


def positive_field(fields: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> np.ndarray:
    """One named parameter > 0; ValueError otherwise."""
    array = as_field(fields, name, shape)
    check_range(name, array, np.finfo(float).tiny)
    return array


def refuse_missing_predictors(predictors: np.ndarray) -> None:
    """ValueError that names the first predictor with a missing cell."""
    missing = np.isnan(predictors)
    if missing.any():
        row, column = np.argwhere(missing)[0]
        raise ValueError(
            f"predictor column {column} of x is missing at row {row}: only the response may be missing, since the "
            "predictors are given and not modelled; drop those rows or fill them in"
        )


def refuse_unfit(x: np.ndarray, intercept: bool) -> None:
    """ValueError where rows (predictors, response) cannot carry a plane: too few, collinear, without residuals."""
    n, p = x.shape[0], x.shape[1] - 1
    if n < p + intercept + 1:
        raise ValueError(
            f"{p + intercept} coefficients and a scale need at least {p + intercept + 1} rows with a response, "
            f"but x has {n}"
        )
    refuse_collinear(x[:, :p], intercept)
    off_span, lost = _off_span(x, intercept)
    if lost[p] or off_span[p] ** 2 <= _COLLAPSED:
        raise ValueError(
            "the response (last column of x) is constant or an exact linear function of the predictors: the residuals "
            "are 0, and the likelihood grows without bound as the scale shrinks"
        )


def refuse_collinear(predictors: np.ndarray, intercept: bool) -> None:
    """ValueError that names the first predictor in the span of those before it (and of a constant)."""
    off_span, lost = _off_span(predictors, intercept)
    bad = (off_span < _DEPENDENT) | lost
    if bad.any():
        raise ValueError(
            f"predictor column {int(np.flatnonzero(bad)[0])} of x is collinear with the columns before it"
            + (" and the intercept" if intercept else "")
            + ", so its coefficient is not determined; drop the column"
        )


def _off_span(x: np.ndarray, intercept: bool) -> tuple[np.ndarray, np.ndarray]:
    """Length of each column off the span of those before it, over its own; and which columns do not vary at all."""
    centred = x - x.mean(axis=0) if intercept else x
    size = np.linalg.norm(centred, axis=0)
    lost = size <= 10 * np.finfo(float).eps * np.linalg.norm(x, axis=0)  # only the rounding of an offset is left
    scaled = centred / np.where(size > 0, size, 1.0)
    lengths = np.zeros(x.shape[1])  # with fewer rows than columns, the last ones are in the span of the first
    triangle = np.diagonal(np.linalg.qr(scaled, mode="r"))
    lengths[: len(triangle)] = np.abs(triangle)
    return lengths, lost


def refuse_exact_fit(variances: np.ndarray, response_variance: float) -> None:
    """DegenerateError where a residual variance is nothing beside the response's own."""
    bad = ~(variances > _COLLAPSED * response_variance)
    if bad.any():
        raise DegenerateError(
            f"component {int(np.flatnonzero(bad)[0])} has collapsed: its plane passes exactly through its rows, and "
            "the likelihood grows without bound as its scale shrinks"
        )
