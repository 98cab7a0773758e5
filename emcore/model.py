"""The protocol of a latent-variable model p(x, z; θ), and what follows when z is finite.

Every method is a pure function of its arguments. A model is a frozen dataclass of hyper-parameters: it holds no
data, no parameters and no state. Rows n, components k, features d; θ is `params`, Q is `q`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

import numpy as np

from emcore.data import as_matrix
from emcore.numerics import expectation_rows, log_sum_exp_rows, normalize_log_rows
from emcore.parameters import Constraint, by_name
from emcore.posteriors import CategoricalPosterior

Survey = tuple[Any, np.ndarray, Callable[[Any], np.ndarray]]


class Posterior(Protocol):
    """A distribution over the latent variables of each row."""

    def entropy(self) -> np.ndarray:
        """H(Q_i) (n,) in nats."""
        ...

    def kl(self, other: Any) -> np.ndarray:
        """KL(Q_i ‖ other_i) (n,) in nats."""
        ...


class Model(Protocol):
    """What `steps`, `fit`, `elbo` and the diagnoses ask of a model; they know nothing else."""

    def check(self, x: Any) -> Any:
        """The data as this model reads them, float64 (n, d); TypeError or ValueError says what is wrong."""
        ...

    def resolve(self, x: Any) -> Self:
        """The model with hyper-parameters that are scaled from the data filled in (and n checked)."""
        ...

    def infer(self, params: Any, x: Any) -> tuple[Any, np.ndarray]:
        """The exact posterior q and log p(x_i; θ) (n,), from one pass."""
        ...

    def log_likelihood(self, params: Any, x: Any) -> np.ndarray:
        """log p(x_i; θ) (n,)."""
        ...

    def posterior(self, params: Any, x: Any) -> Any:
        """q = p(z | x; θ), the maximiser of the ELBO over all q."""
        ...

    def expected_log_joint(self, params: Any, x: Any, q: Any) -> np.ndarray:
        """E_q log p(x_i, z; θ) (n,)."""
        ...

    def suff_stats(self, x: Any, q: Any, weight: np.ndarray | None = None) -> Any:
        """Expected sufficient statistics, additive over rows (see `trees.add_stats`)."""
        ...

    def m_step(self, stats: Any, params: Any) -> Any:
        """argmax_θ of expected log joint + log prior; `params` are the present ones (None at the start)."""
        ...

    def log_prior(self, params: Any) -> float:
        """log p(θ) up to a constant: the very function that `m_step` adds to its objective."""
        ...

    def initial_params(self, x: Any, method: str, rng: np.random.Generator, weight: Any = None) -> Any:
        """A start by a named method (see `initialise`)."""
        ...

    def params_from_responsibilities(self, x: Any, responsibilities: np.ndarray, weight: Any = None) -> Any:
        """One M-step from given responsibilities (n, k)."""
        ...

    def check_params(self, params: Any, x: Any) -> Any:
        """The same params as float64 arrays, or an error that names the field."""
        ...

    def constraints(self, params: Any) -> Mapping[str, Constraint]:
        """The set that each field of the params lives in (see `parameters`)."""
        ...

    def n_params(self, params: Any) -> int:
        """Free parameters, for BIC and AIC."""
        ...


class AbstractDiscreteLatent(ABC):
    """A model with finite z: write `log_joint`, `suff_stats` and `m_step`; everything else follows.

    `check`, `resolve`, `log_prior`, `check_params`, `initial_params`, `constraints` and `n_params` are hooks: their
    defaults here (a plain matrix, nothing to resolve, maximum likelihood, params taken as they are) may be replaced.
    """

    @abstractmethod
    def log_joint(self, params: Any, x: np.ndarray) -> np.ndarray:
        """log p(x_i, z = k; θ) (n, k)."""

    @abstractmethod
    def suff_stats(self, x: np.ndarray, q: Any, weight: np.ndarray | None = None) -> Any:
        """Expected sufficient statistics under q, additive over rows; `weight` (n,) multiplies rows."""

    @abstractmethod
    def m_step(self, stats: Any, params: Any) -> Any:
        """The params that maximise expected log joint + log prior, from the statistics alone."""

    def check(self, x: Any) -> np.ndarray:
        """The data as a float64 matrix (n, d) without missing cells."""
        return as_matrix(x)

    def resolve(self, x: np.ndarray) -> Self:
        """Itself: nothing is scaled from the data."""
        return self

    def log_prior(self, params: Any) -> float:
        """0: maximum likelihood."""
        return 0.0

    def check_params(self, params: Any, x: np.ndarray) -> Any:
        """The params as given."""
        return params

    def initial_params(self, x: np.ndarray, method: str, rng: np.random.Generator, weight: Any = None) -> Any:
        """None by default: a start must be given as params, labels or responsibilities."""
        raise ValueError(
            f"{type(self).__name__} has no start named {method!r}: give init= a params tuple, labels (n,) or "
            "responsibilities (n, k)"
        )

    def constraints(self, params: Any) -> Mapping[str, Constraint]:
        """What the field names imply (`weights` a simplex, `rates` positive, …)."""
        return by_name(params)

    def n_params(self, params: Any) -> int:
        """Unknown by default; needed by `bic` and `aic` alone."""
        raise TypeError(f"{type(self).__name__} does not say how many free parameters it has: define n_params(params)")

    def infer(self, params: Any, x: Any) -> tuple[CategoricalPosterior, np.ndarray]:
        """The posterior p(z | x_i) and log p(x_i) (n,), from one evaluation of `log_joint`."""
        return self.survey(params, x)[:2]

    def survey(self, params: Any, x: Any) -> Survey:
        """The posterior, log p(x_i) (n,), and q -> E_q log p(x_i, z) (n,), from one evaluation of `log_joint`."""
        log_joint = self.log_joint(params, self.check(x))
        probs, log_likelihood = normalize_log_rows(log_joint)
        posterior = CategoricalPosterior(probs, log_joint - log_likelihood[:, None])
        return posterior, log_likelihood, lambda q: expectation_rows(q.probs, log_joint)

    def log_likelihood(self, params: Any, x: Any) -> np.ndarray:
        """log p(x_i; θ) = log Σ_k p(x_i, z = k; θ) (n,)."""
        return log_sum_exp_rows(self.log_joint(params, self.check(x)))

    def posterior(self, params: Any, x: Any) -> CategoricalPosterior:
        """p(z | x_i; θ), the responsibilities."""
        return self.infer(params, x)[0]

    def expected_log_joint(self, params: Any, x: Any, q: CategoricalPosterior) -> np.ndarray:
        """Σ_k q_ik log p(x_i, z = k; θ) (n,); a q of 0 wipes out log 0."""
        return expectation_rows(q.probs, self.log_joint(params, self.check(x)))

    def params_from_responsibilities(self, x: np.ndarray, responsibilities: np.ndarray, weight: Any = None) -> Any:
        """One M-step from given responsibilities (n, k)."""
        return self.m_step(self.suff_stats(x, CategoricalPosterior(responsibilities), weight), None)
