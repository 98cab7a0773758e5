"""Zero-inflated Poisson regression: some rows are always zero, the others count.

z_i             ~  Bernoulli(π_i),  logit π_i = inflation_0 + Σ_j inflation_j v_ij      1: the row is always zero
y_i | z_i = 0   ~  Poisson(λ_i),    log λ_i  = coefficients_0 + Σ_j coefficients_j v_ij
y_i | z_i = 1   =  0
E-step: a zero is a structural one with probability π/(π + (1 - π) e^-λ). M-step: a logistic regression of those
probabilities, and a Poisson regression weighted by what is left of each row.
Reference: Lambert (1992), Technometrics 34, 1-14; Zeileis, Kleiber & Jackman (2008), J. Statist. Software 27(8).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from scipy.special import expit, gammaln

from emcore.data import as_matrix, check_counts
from emcore.families.base import as_field
from emcore.families.regression import fitted, refuse_collinear, refuse_missing_predictors
from emcore.model import AbstractDiscreteLatent
from emcore.models.checks import check_method, named_fields
from emcore.models.glm import LOG, LOGIT, fit_glm, softplus
from emcore.numerics import expectation_rows
from emcore.parameters import Constraint, Real
from emcore.posteriors import CategoricalPosterior


class ZeroInflatedPoissonParams(NamedTuple):
    """Log-odds of a structural zero, and log rates of the counts."""

    inflation: np.ndarray  # (number of inflation predictors + 1,), the intercept first
    coefficients: np.ndarray  # (number of predictors + 1,), the intercept first


class WeightedRows(NamedTuple):
    """What the two regressions need of every row: they have no shorter sufficient statistics. They add by joining."""

    predictors: np.ndarray  # (n, p)
    trials: np.ndarray  # (n,) weight
    structural: np.ndarray  # (n,) weight · Q(z = 1)
    exposure: np.ndarray  # (n,) weight · Q(z = 0) where the count was seen
    events: np.ndarray  # (n,) exposure · count

    def merge(self, other: "WeightedRows") -> "WeightedRows":
        """The rows of both."""
        return WeightedRows(*(np.concatenate(pair) for pair in zip(self, other)))


@dataclass(frozen=True)
class ZeroInflatedPoisson(AbstractDiscreteLatent):
    """x is (n, p + 1): the predictors, then the count last; with p = 0 it is a mixture of 0 and one Poisson.

    `predictors` and `inflation_predictors` are the columns that the counts and the structural zeros depend on: None for
    all, () for an intercept alone. In posteriors (n, 2) column 1 is the structural zero. A missing count (NaN) is
    marginalised. Where the data ask for no extra zeros, inflation runs to 0 and the fit ends DEGENERATE.

    >>> import numpy as np, emcore as em
    >>> counts = np.repeat(np.arange(6.0), [50, 20, 15, 8, 5, 2])[:, None]
    >>> fit = em.fit(em.ZeroInflatedPoisson(), counts)
    >>> structural = 1 / (1 + np.exp(-fit.params.inflation[0]))
    >>> [round(float(v), 4) for v in (structural, np.exp(fit.params.coefficients[0]), fit.log_likelihood)]
    [0.3882, 1.7, -139.2395]
    """

    predictors: tuple[int, ...] | None = None
    inflation_predictors: tuple[int, ...] | None = None
    n_components: ClassVar[int] = 2

    def __post_init__(self) -> None:
        for name in ("predictors", "inflation_predictors"):
            columns = getattr(self, name)
            if columns is not None:
                if np.ndim(columns) != 1 or (len(columns) and np.asarray(columns).dtype.kind not in "iu"):
                    raise TypeError(f"{name} must be a tuple of column numbers, not {columns!r}")
                columns = tuple(int(column) for column in columns)
                if len(set(columns)) < len(columns) or min(columns, default=0) < 0:
                    raise ValueError(f"{name} must be different column numbers ≥ 0, not {columns}")
                object.__setattr__(self, name, columns)

    def check(self, x: Any) -> np.ndarray:
        """x (n, p + 1) with whole numbers ≥ 0, or NaN, in the last column."""
        x = as_matrix(x, allow_missing=True)
        refuse_missing_predictors(x[:, :-1])
        check_counts(x[:, -1:], "ZeroInflatedPoisson")
        for name in ("predictors", "inflation_predictors"):
            if max(getattr(self, name) or (0,)) >= max(x.shape[1] - 1, 1):
                raise ValueError(
                    f"{name}={getattr(self, name)}, but x has {x.shape[1] - 1} predictor(s) before the count"
                )
        return x

    def resolve(self, x: np.ndarray) -> Self:
        """Itself; ValueError where predictors are collinear, or there is no zero or nothing else."""
        counts = x[~np.isnan(x[:, -1]), -1]
        if (counts > 0).all() or (counts == 0).all():
            what = "no zero among the counts, so none is structural" if (counts > 0).all() else "every count is 0"
            raise ValueError(f"{what}: a zero-inflated model has no maximum; use Poisson counts alone")
        for part in self._parts(x):
            refuse_collinear(part, intercept=True)
        return self

    def _parts(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The predictors of the counts and of the structural zeros."""
        every = x[:, :-1]
        chosen = (every if c is None else every[:, list(c)] for c in (self.predictors, self.inflation_predictors))
        return tuple(chosen)  # type: ignore[return-value]

    def _lines(self, params: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log λ and logit π (n,)."""
        counts, inflation = self._parts(x)
        log_rates = fitted(params.coefficients[None], counts, True)[:, 0]
        return log_rates, fitted(params.inflation[None], inflation, True)[:, 0]

    def _log_poisson(self, log_rates: np.ndarray, y: np.ndarray) -> np.ndarray:
        """log p(y_i | z = 0) (n,); 0 where the count is missing."""
        seen = ~np.isnan(y)
        counts = np.where(seen, y, 0.0)
        return np.where(seen, counts * log_rates - np.exp(log_rates) - gammaln(counts + 1.0), 0.0)

    def _log_prob(self, log_rates: np.ndarray, y: np.ndarray) -> np.ndarray:
        """log p(y_i | z) (n, 2): a structural zero cannot have a count above 0."""
        return np.column_stack([self._log_poisson(log_rates, y), np.where(y > 0, -np.inf, 0.0)])

    def log_joint(self, params: Any, x: Any) -> np.ndarray:
        """log p(y_i, z) (n, 2)."""
        x = self.check(x)
        log_rates, logits = self._lines(params, x)
        return self._log_prob(log_rates, x[:, -1]) - np.column_stack([softplus(logits), softplus(-logits)])

    def expected_log_conditional(self, params: Any, x: Any, q: CategoricalPosterior) -> np.ndarray:
        """E_q log p(y_i | z) (n,)."""
        x = self.check(x)
        return expectation_rows(q.probs, self._log_prob(self._lines(params, x)[0], x[:, -1]))

    def latent_prior(self, params: Any, x: Any) -> CategoricalPosterior:
        """1 - π_i and π_i (n, 2)."""
        _, logits = self._lines(params, self.check(x))
        log_probs = -np.column_stack([softplus(logits), softplus(-logits)])
        return CategoricalPosterior(np.column_stack([expit(-logits), expit(logits)]), log_probs)

    def suff_stats(self, x: Any, q: CategoricalPosterior, weight: np.ndarray | None = None) -> WeightedRows:
        """The rows with their expected weights in the two regressions."""
        x = self.check(x)
        weight = np.ones(len(x)) if weight is None else weight
        seen = ~np.isnan(x[:, -1])
        exposure = np.where(seen, weight * q.probs[:, 0], 0.0)
        rows = WeightedRows(
            x[:, :-1], weight, weight * q.probs[:, 1], exposure, exposure * np.where(seen, x[:, -1], 0.0)
        )
        if x.shape[1] > 1:
            return rows
        return WeightedRows(np.zeros((1, 0)), *(column.sum(keepdims=True) for column in rows[1:]))

    def m_step(self, stats: WeightedRows, params: Any) -> ZeroInflatedPoissonParams:
        """The two regressions at their maxima; DegenerateError where one runs off to infinity."""
        x = np.column_stack([stats.predictors, stats.events])
        counts, inflation = self._parts(x)
        first, second = (None, None) if params is None else params
        return ZeroInflatedPoissonParams(
            fit_glm(LOGIT, inflation, stats.structural, stats.trials, first, "the inflation"),
            fit_glm(LOG, counts, stats.events, stats.exposure, second, "the counts"),
        )

    def initial_params(self, x: np.ndarray, method: str, rng: np.random.Generator, weight: Any = None) -> Any:
        """One M-step with every zero structural with a random probability; all named methods mean this."""
        check_method(method)
        chances = np.where(x[:, -1] > 0, 0.0, rng.uniform(0.1, 0.9, len(x)))
        return self.params_from_responsibilities(x, np.column_stack([1.0 - chances, chances]), weight)

    def check_params(self, params: Any, x: np.ndarray) -> ZeroInflatedPoissonParams:
        """inflation and coefficients, the intercept first."""
        fields = named_fields(params, ZeroInflatedPoissonParams._fields, "ZeroInflatedPoisson")
        counts, inflation = self._parts(x)
        return ZeroInflatedPoissonParams(
            as_field(fields, "inflation", (inflation.shape[1] + 1,)),
            as_field(fields, "coefficients", (counts.shape[1] + 1,)),
        )

    def constraints(self, params: Any) -> Mapping[str, Constraint]:
        """The set that each field lives in."""
        return {"inflation": Real(), "coefficients": Real()}

    def n_params(self, params: Any) -> int:
        """All coefficients."""
        return len(params.inflation) + len(params.coefficients)

    def sample(self, params: Any, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Rows x (n, p + 1) with standard normal predictors, and the structural zeros z (n,) among them."""
        pairs = ((self.predictors, params.coefficients), (self.inflation_predictors, params.inflation))
        width = max(len(beta) - 1 if columns is None else max(columns, default=-1) + 1 for columns, beta in pairs)
        x = np.column_stack([rng.standard_normal((n, width)), np.zeros(n)])
        log_rates, logits = self._lines(params, x)
        z = (rng.random(n) < expit(logits)).astype(np.intp)
        x[:, -1] = np.where(z == 1, 0, rng.poisson(np.exp(log_rates)))
        return x, z
