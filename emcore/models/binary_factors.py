"""Binary factors: features that add up, each present or absent in a row.

z_ij         ~  Bernoulli(probs_j), j = 1 … q, independent
x_i | z_i    ~  N(mean + loadings z_i, noise_variance · I)
log p(x_i)   =  log Σ over the 2^q states s of  Π_j probs_j^{s_j} (1 - probs_j)^{1 - s_j} N(x_i; mean + loadings s, ·)
prior        ~  a pseudo-ones and b pseudo-zeros for every probs_j, Beta(1 + a, 1 + b) up to a constant
A priori the factors are independent; given x they compete to explain it (they are alternatives for the same
residual), which is what a fully factorised Q cannot express.
Reference: Hinton & Zemel (1994), NIPS 6, 3-10; Ghahramani (1995), NIPS 7, 617-624; Saul, Jaakkola & Jordan (1996).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.special import expit, logit, xlog1py, xlogy

from emcore.data import as_matrix, check_n_features
from emcore.families.base import as_field, check_range
from emcore.families.binomial import check_pseudo
from emcore.model import AbstractDiscreteLatent
from emcore.models.checks import check_method, named_fields
from emcore.numerics import LOG_2PI, DegenerateError, log_or_minus_inf
from emcore.parameters import Constraint, Positive, Real, UnitInterval
from emcore.posteriors import CategoricalPosterior, FactorisedPosterior

_MOST_FACTORS = 12  # 4096 states a row
_COLLAPSED = 1e-14  # noise this small beside the variance of the data is rounding


class BinaryFactorsParams(NamedTuple):
    """Chances of the factors, what each adds to x, and what is left."""

    probs: np.ndarray  # (q,)
    loadings: np.ndarray  # (d, q)
    mean: np.ndarray  # (d,) of x where every factor is absent
    noise_variance: np.ndarray  # ()


class BinaryFactorsStats(NamedTuple):
    """Weight, means of z and x, and scatter about them: additive by `merge`, and blind to an offset of the data."""

    total: float  # Σ weight
    mean_z: np.ndarray  # (q,)
    mean_x: np.ndarray  # (d,)
    scatter_z: np.ndarray  # (q, q)
    scatter_xz: np.ndarray  # (d, q)
    scatter_x: float  # summed over features
    n_features: int

    def merge(self, other: "BinaryFactorsStats") -> "BinaryFactorsStats":
        """stats(A ∪ B), by the pairwise update of Chan, Golub & LeVeque (1983), Amer. Statist. 37, 242-247."""
        total = self.total + other.total
        share = other.total / total if total > 0 else 0.0
        z, x = other.mean_z - self.mean_z, other.mean_x - self.mean_x
        factor = self.total * share
        return BinaryFactorsStats(
            total,
            self.mean_z + share * z,
            self.mean_x + share * x,
            self.scatter_z + other.scatter_z + factor * np.outer(z, z),
            self.scatter_xz + other.scatter_xz + factor * np.outer(x, z),
            self.scatter_x + other.scatter_x + factor * float(x @ x),
            self.n_features,
        )


@dataclass(frozen=True)
class BinaryFactors(AbstractDiscreteLatent):
    """`n_factors` binary latents (at most 12: the exact posterior lists all 2^q states); x (n, d) of real numbers.

    Responsibilities are those of the states: state s has factor j present where (s >> j) & 1. `mean_field` gives the
    best factorised Q instead. `prior` is (pseudo-ones, pseudo-zeros) of every factor.

    >>> import numpy as np, emcore as em
    >>> z = (np.arange(40)[:, None] >> np.arange(2)) & 1
    >>> x = z @ np.array([[1.0, 1.0, 0.0], [0.0, 2.0, 2.0]]) + 0.1 * np.random.default_rng(0).normal(size=(40, 3))
    >>> fit = em.fit(em.BinaryFactors(2), x, restarts=5, seed=0)
    >>> np.sort(np.abs(fit.params.loadings), axis=1).round(1)
    array([[0., 1.],
           [1., 2.],
           [0., 2.]])
    """

    n_factors: int
    prior: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if isinstance(self.n_factors, bool) or not isinstance(self.n_factors, int | np.integer) or self.n_factors < 1:
            raise ValueError(f"n_factors must be a whole number of at least 1, not {self.n_factors!r}")
        if self.n_factors > _MOST_FACTORS:
            raise ValueError(
                f"n_factors={self.n_factors} means 2^{self.n_factors} states for every row; BinaryFactors lists them "
                f"all and takes at most {_MOST_FACTORS} factors"
            )
        check_pseudo(self.prior, 2)

    def states(self) -> np.ndarray:
        """All states (2^q, q) of 0 and 1."""
        return ((np.arange(2**self.n_factors)[:, None] >> np.arange(self.n_factors)) & 1).astype(float)

    def check(self, x: Any) -> np.ndarray:
        """x as float64 (n, d)."""
        return as_matrix(x)

    def resolve(self, x: np.ndarray) -> Self:
        """Itself; ValueError where x does not vary."""
        if np.ptp(x, axis=0).max() <= 1e-13 * np.abs(x).max():
            raise ValueError("every row of x is the same: its noise variance is 0 and the likelihood has no maximum")
        return self

    def log_joint(self, params: Any, x: Any) -> np.ndarray:
        """log p(state) + log p(x_i | state) (n, 2^q)."""
        return self._log_prior_of_states(params) + self._log_conditional(params, self.check(x))

    def _log_prior_of_states(self, params: Any) -> np.ndarray:
        states = self.states().astype(bool)
        return np.where(states, log_or_minus_inf(params.probs), log_or_minus_inf(1.0 - params.probs)).sum(axis=1)

    def _log_conditional(self, params: Any, x: np.ndarray) -> np.ndarray:
        check_n_features(x, len(params.mean))
        residuals = x - params.mean
        # Residuals state by state: expanding the square would cancel where the noise is small.
        squares = np.stack([((residuals - s) ** 2).sum(axis=1) for s in self.states() @ params.loadings.T], axis=1)
        return -0.5 * (squares / params.noise_variance + x.shape[1] * (LOG_2PI + np.log(params.noise_variance)))

    def latent_prior(self, params: Any, x: Any) -> CategoricalPosterior:
        """p(z) of every state (n, 2^q)."""
        log_probs = np.broadcast_to(self._log_prior_of_states(params), (len(x), 2**self.n_factors))
        return CategoricalPosterior(np.exp(log_probs), log_probs)

    def expected_log_conditional(self, params: Any, x: Any, q: Any) -> np.ndarray:
        """E_q log p(x_i | z) (n,)."""
        return (q.probs * self._log_conditional(params, self.check(x))).sum(axis=1)

    def mean_field(self, params: Any, x: Any, q_prev: Any = None, sweeps: int = 10) -> FactorisedPosterior:
        """Coordinate ascent over a factorised Q: each update is the best Q_ij given the others, so the ELBO climbs.

        From `q_prev` (factorised, or its marginals where it is over states), or from p(z) where there is none.
        """
        residuals = self.check(x) - params.mean
        means = self._marginals(params, residuals, q_prev)
        overlap = params.loadings.T @ params.loadings  # (q, q)
        evidence = residuals @ params.loadings  # (n, q)
        for _ in range(sweeps):
            for j in range(self.n_factors):
                others = means @ overlap[:, j] - means[:, j] * overlap[j, j]
                drive = (evidence[:, j] - others - 0.5 * overlap[j, j]) / params.noise_variance
                means[:, j] = expit(logit(params.probs[j]) + drive)
        return FactorisedPosterior(means)

    def _marginals(self, params: Any, x: np.ndarray, q: Any) -> np.ndarray:
        if q is None:
            return np.tile(params.probs, (len(x), 1))
        return np.array(q.means) if isinstance(q, FactorisedPosterior) else q.probs @ self.states()

    def suff_stats(self, x: Any, q: Any, weight: np.ndarray | None = None) -> BinaryFactorsStats:
        """Means and scatter of z and x under q."""
        x, states = self.check(x), self.states()
        weight = np.ones(len(x)) if weight is None else weight
        total = float(weight.sum())
        share = weight / total if total > 0 else weight
        of_states = share @ q.probs  # (2^q,)
        mean_z, mean_x = of_states @ states, x[0] + share @ (x - x[0])
        z, centred = q.probs @ states - mean_z, (x - mean_x) * share[:, None]
        deviations = states - mean_z
        return BinaryFactorsStats(
            total,
            mean_z,
            mean_x,
            total * (deviations.T * of_states) @ deviations,
            total * centred.T @ z,
            total * float((centred * (x - mean_x)).sum()),
            x.shape[1],
        )

    def m_step(self, stats: BinaryFactorsStats, params: Any) -> BinaryFactorsParams:
        """Least squares of x on z, and the mean squared residual; a factor that never varies loads nothing."""
        if not stats.total > 0:
            raise DegenerateError("no rows are left: every weight is zero")
        loadings = np.linalg.lstsq(stats.scatter_z, stats.scatter_xz.T, rcond=None)[0].T
        residual = stats.scatter_x - 2.0 * (loadings * stats.scatter_xz).sum()
        residual += ((loadings @ stats.scatter_z) * loadings).sum()
        if residual <= _COLLAPSED * stats.scatter_x:
            raise DegenerateError(
                "the factors explain x without any noise, and the likelihood grows without bound: use fewer factors"
            )
        a, b = self.prior
        probs = np.clip((stats.total * stats.mean_z + a) / (stats.total + a + b), 0.0, 1.0)
        noise = np.array(residual / (stats.total * stats.n_features))
        return BinaryFactorsParams(probs, loadings, stats.mean_x - loadings @ stats.mean_z, noise)

    def log_prior(self, params: Any) -> float:
        """Σ_j a log probs_j + b log(1 - probs_j)."""
        a, b = self.prior
        return float(xlogy(a, params.probs).sum() + xlog1py(b, -params.probs).sum())

    def initial_params(self, x: np.ndarray, method: str, rng: np.random.Generator, weight: Any = None) -> Any:
        """One M-step from guesses of z. For every factor two rows are drawn, and z_ij leans to the nearer: both rows
        evenly ("random-rows"), or the second by its squared distance from the first ("k-means++"). With
        "random-responsibilities" every guess is an even draw from (0, 1)."""
        check_method(method)
        if method == "random-responsibilities":
            means = rng.random((len(x), self.n_factors))
        else:
            means = np.column_stack([self._split(x, method, rng, weight) for _ in range(self.n_factors)])
        return self.params_from_responsibilities(x, means, weight)

    def _split(self, x: np.ndarray, method: str, rng: np.random.Generator, weight: Any) -> np.ndarray:
        chances = np.ones(len(x)) if weight is None else weight
        here = ((x - x[rng.choice(len(x), p=chances / chances.sum())]) ** 2).sum(axis=1)
        odds = chances * (here if method == "k-means++" else here > 0)
        odds = odds if odds.any() else chances  # every weighted row is the same
        there = ((x - x[rng.choice(len(x), p=odds / odds.sum())]) ** 2).sum(axis=1)
        return np.where(there < here, 0.9, 0.1)

    def params_from_responsibilities(self, x: np.ndarray, responsibilities: np.ndarray, weight: Any = None) -> Any:
        """One M-step from chances of the factors (n, q), or of the states (n, 2^q)."""
        shapes = (len(x), self.n_factors), (len(x), 2**self.n_factors)
        if responsibilities.shape not in shapes:
            raise ValueError(f"init must be params, or chances of the factors {shapes[0]} or of the states {shapes[1]}")
        factorised = responsibilities.shape == shapes[0]
        q: Any = FactorisedPosterior(responsibilities) if factorised else CategoricalPosterior(responsibilities)
        return self.m_step(self.suff_stats(x, q, weight), None)

    def check_params(self, params: Any, x: np.ndarray) -> BinaryFactorsParams:
        """probs (q,), loadings (d, q), mean (d,), noise_variance () > 0."""
        fields = named_fields(params, BinaryFactorsParams._fields, type(self).__name__)
        d, q = x.shape[1], self.n_factors
        shapes = {"probs": (q,), "loadings": (d, q), "mean": (d,), "noise_variance": ()}
        checked = BinaryFactorsParams(*(as_field(fields, name, shape) for name, shape in shapes.items()))
        check_range("probs", checked.probs, 0.0, 1.0)
        check_range("noise_variance", checked.noise_variance[None], np.finfo(float).tiny)
        return checked

    def constraints(self, params: Any) -> Mapping[str, Constraint]:
        """The set that each field lives in."""
        return {"probs": UnitInterval(), "loadings": Real(), "mean": Real(), "noise_variance": Positive()}

    def n_params(self, params: Any) -> int:
        """q + d q + d + 1."""
        d, q = params.loadings.shape
        return q + d * q + d + 1

    def sample(self, params: Any, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """n rows x (n, d) and their factors z (n, q)."""
        z = (rng.random((n, self.n_factors)) < params.probs).astype(float)
        noise = rng.standard_normal((n, len(params.mean))) * np.sqrt(params.noise_variance)
        return params.mean + z @ params.loadings.T + noise, z

    def relabel(self, params: Any, order: Any) -> BinaryFactorsParams:
        """The same model with its factors in another order."""
        return params._replace(probs=params.probs[order], loadings=params.loadings[:, order])
