"""Counts more variable than Poisson: each row has a rate of its own.

u_i         ~  Gamma(shapes, rate shapes)          a latent factor, of mean 1 and variance 1/shapes
x_i | u_i   ~  Poisson(means · u_i)
log p(x_i)  =  the negative binomial, log Γ(s + x)/(Γ(s) x!) + s log(s/(s + m)) + x log(m/(s + m)),  u integrated out
E-step: u_i | x_i ~ Gamma(s + x_i, s + m). M-step: means = Σ x / Σ E u, and the shape at which E log u and E u average
to what a Gamma(s, s) says.
Reference: Bliss & Fisher (1953), Biometrics 9, 176-200 (whose k is the shape); Adamidis (1999), Statist. Probab. Lett.
41, 277-280.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.special import gammaln, xlogy

from emcore.data import as_matrix, as_numbers, check_counts, check_n_features
from emcore.families.gamma import GammaPosterior, best_shape, log_density_of_mean_one
from emcore.families.regression import positive_field
from emcore.models.checks import check_method, named_fields
from emcore.models.continuous import AbstractContinuousLatent
from emcore.numerics import DegenerateError
from emcore.parameters import Constraint, Fixed, Positive


class NegativeBinomialParams(NamedTuple):
    """The mean count, and the shape: the variance is means + means²/shapes."""

    means: np.ndarray  # ()
    shapes: np.ndarray  # ()


class NegativeBinomialStats(NamedTuple):
    """Expected sums over rows."""

    rows: np.ndarray  # () Σ weight
    events: np.ndarray  # () Σ counts
    exposure: np.ndarray  # () Σ E u
    log_factor: np.ndarray  # () Σ E log u - E u


@dataclass(frozen=True)
class NegativeBinomial(AbstractContinuousLatent):
    """x is (n, 1): counts. The shape is estimated within `shape_bounds`.

    Counts no more variable than Poisson carry it to its upper bound, where the negative binomial is Poisson to the eye.

    >>> import numpy as np, emcore as em
    >>> counts, leaves = np.arange(8.0)[:, None], [70, 38, 17, 10, 9, 3, 2, 1]
    >>> fit = em.fit(em.NegativeBinomial(), counts, weight=leaves, restarts=1)
    >>> [round(float(v), 4) for v in (*fit.params, fit.log_likelihood)]
    [1.1467, 1.0246, -222.4372]
    """

    shape_bounds: tuple[float, float] = (1e-3, 1e3)

    def __post_init__(self) -> None:
        bounds = as_numbers(self.shape_bounds, "shape_bounds")
        if not (bounds.shape == (2,) and 0 < bounds[0] < bounds[1] < np.inf):
            raise ValueError(f"shape_bounds must be two finite numbers with 0 < low < high, not {self.shape_bounds!r}")

    def check(self, x: Any) -> np.ndarray:
        """x (n, 1) of whole numbers ≥ 0."""
        x = as_matrix(x)
        check_n_features(x, 1)
        check_counts(x, "NegativeBinomial")
        return x

    def resolve(self, x: np.ndarray) -> Self:
        """Itself; ValueError where every count is 0."""
        if not x.any():
            raise ValueError("every count is 0: the likelihood is highest at a mean of 0, whatever the shape")
        return self

    def infer(self, params: Any, x: Any) -> tuple[GammaPosterior, np.ndarray]:
        """p(u_i | x_i) and log p(x_i) (n,)."""
        x = self.check(x)[:, 0]
        m, s = params
        poisson = xlogy(x, m / (s + m)) - gammaln(x + 1.0)
        return GammaPosterior(s + x, np.full(len(x), s + m)), (
            poisson + gammaln(s + x) - gammaln(s) - s * np.log1p(m / s)
        )

    def expected_log_joint(self, params: Any, x: Any, q: GammaPosterior) -> np.ndarray:
        """E_q log p(x_i, u_i) (n,)."""
        return self.expected_log_conditional(params, x, q) + log_density_of_mean_one(params.shapes, q)

    def expected_log_conditional(self, params: Any, x: Any, q: GammaPosterior) -> np.ndarray:
        """E_q log p(x_i | u_i) (n,)."""
        x = self.check(x)[:, 0]
        return x * (np.log(params.means) + q.mean_log()) - params.means * q.mean() - gammaln(x + 1.0)

    def latent_prior(self, params: Any, x: Any) -> GammaPosterior:
        """p(u_i): the same Gamma for every row."""
        return GammaPosterior(np.full(1, params.shapes), np.full(len(x), params.shapes))

    def suff_stats(self, x: Any, q: GammaPosterior, weight: np.ndarray | None = None) -> NegativeBinomialStats:
        """Rows, events, expected exposure, and the sum of E log u - E u."""
        x = self.check(x)[:, 0]
        weight = np.ones(len(x)) if weight is None else weight
        factor = q.mean()
        return NegativeBinomialStats(weight.sum(), weight @ x, weight @ factor, weight @ (q.mean_log() - factor))

    def m_step(self, stats: NegativeBinomialStats, params: Any) -> NegativeBinomialParams:
        """means = events / exposure, and the best shape; DegenerateError where no event is left."""
        if not stats.events > 0:
            raise DegenerateError("every count with a weight is 0: the likelihood is highest at a mean of 0")
        shape = best_shape(float(stats.log_factor / stats.rows), *self.shape_bounds)
        return NegativeBinomialParams(np.asarray(stats.events / stats.exposure), np.array(shape))

    def initial_params(self, x: np.ndarray, method: str, rng: np.random.Generator, weight: Any = None) -> Any:
        """The mean count, and a shape of 1; the likelihood has one maximum, so all named methods are one."""
        check_method(method)
        mean = np.average(x[:, 0], weights=weight)
        if not mean > 0:
            raise ValueError("every count with a weight is 0: the likelihood is highest at a mean of 0")
        return NegativeBinomialParams(np.asarray(mean), np.clip(1.0, *self.shape_bounds))

    def check_params(self, params: Any, x: np.ndarray) -> NegativeBinomialParams:
        """means () > 0, and shapes () within their bounds."""
        fields = named_fields(params, NegativeBinomialParams._fields, "NegativeBinomial")
        shape = positive_field(fields, "shapes", ())
        if not self.shape_bounds[0] <= shape <= self.shape_bounds[1]:
            raise ValueError(f"params.shapes is {shape:g}, outside shape_bounds={self.shape_bounds}")
        return NegativeBinomialParams(positive_field(fields, "means", ()), shape)

    def constraints(self, params: Any) -> Mapping[str, Constraint]:
        """The set that each field lives in; a shape at its bound is held there."""
        free = self.shape_bounds[0] < params.shapes < self.shape_bounds[1]
        return {"means": Positive(), "shapes": Positive() if free else Fixed()}

    def n_params(self, params: Any) -> int:
        """Two."""
        return 2

    def sample(self, params: Any, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Counts x (n, 1), and the factors u (n,) that made them."""
        u = rng.gamma(params.shapes, 1.0 / params.shapes, n)
        return rng.poisson(params.means * u).astype(float)[:, None], u
