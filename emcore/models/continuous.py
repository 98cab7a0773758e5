"""What follows from one-pass inference where z is continuous and there are no components to name."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from emcore.models.checks import check_method


class AbstractContinuousLatent(ABC):
    """A model that writes `infer`: its posterior and log-likelihood follow, by maximum likelihood."""

    @abstractmethod
    def infer(self, params: Any, x: Any) -> tuple[Any, np.ndarray]:
        """The exact posterior of every row and log p(x_i; θ) (n,), from one pass."""

    def log_likelihood(self, params: Any, x: Any) -> np.ndarray:
        """log p(x_i; θ) (n,)."""
        return self.infer(params, x)[1]

    def posterior(self, params: Any, x: Any) -> Any:
        """p(z | x_i; θ)."""
        return self.infer(params, x)[0]

    def log_prior(self, params: Any) -> float:
        """0: maximum likelihood."""
        return 0.0

    def params_from_responsibilities(self, x: Any, responsibilities: np.ndarray, weight: Any = None) -> Any:
        """Refused: there are no labels."""
        raise ValueError(
            f"{type(self).__name__} has no components, so labels or responsibilities cannot start it: give init= a "
            "params tuple, or the name of a method"
        )


def starting_weights(method: str, n: int, rng: np.random.Generator, weight: np.ndarray | None) -> np.ndarray:
    """Weights (n,) under which a plain estimate makes a start: the rows' own, times exponential draws of mean 1.

    Without components the named methods of `initialise` all mean this (the Bayesian bootstrap, Rubin 1981), so that
    restarts differ. ValueError for another name.
    """
    check_method(method)
    draws = rng.standard_exponential(n)
    return draws if weight is None else draws * weight
