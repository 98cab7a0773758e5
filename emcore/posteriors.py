"""Distributions over the latent variables: what an E-step returns.

Each is a NamedTuple of arrays with `entropy() -> (n,)` and `kl(other) -> (n,)`, in nats.
"""

from typing import NamedTuple

import numpy as np

from emcore.divergence import entropy_gaussian, entropy_rows, kl_gaussian, kl_rows


class CategoricalPosterior(NamedTuple):
    """Q_i over a finite z: one row of probabilities per row of data."""

    probs: np.ndarray  # (n, k), rows sum to one
    log_probs: np.ndarray | None = None  # (n, k) where the E-step knows them: they do not underflow

    def entropy(self) -> np.ndarray:
        """H(Q_i) (n,)."""
        return entropy_rows(self.probs)

    def kl(self, other: "CategoricalPosterior") -> np.ndarray:
        """KL(Q_i ‖ other_i) (n,)."""
        return kl_rows(self.probs, other.probs, self.log_probs, other.log_probs)

    def with_probs(self, probs: np.ndarray) -> "CategoricalPosterior":
        """The same kind of posterior with other probabilities (n, k)."""
        return CategoricalPosterior(probs)

    def rows(self, index: slice | np.ndarray) -> "CategoricalPosterior":
        """The posterior of some of the rows."""
        return CategoricalPosterior(self.probs[index], None if self.log_probs is None else self.log_probs[index])


class GaussianPosterior(NamedTuple):
    """Q_i = N(means_i, L_i L_iᵀ) over a continuous z; rows may share one factor."""

    means: np.ndarray  # (n, q)
    factors: np.ndarray  # (n, q, q) or (1, q, q), lower Cholesky factors of the covariances

    def entropy(self) -> np.ndarray:
        """Differential entropy H(Q_i) (n,); it may be negative."""
        return np.broadcast_to(entropy_gaussian(self.factors), len(self.means))

    def kl(self, other: "GaussianPosterior") -> np.ndarray:
        """KL(Q_i ‖ other_i) (n,)."""
        return kl_gaussian(self.means, self.factors, other.means, other.factors)

    def rows(self, index: slice | np.ndarray) -> "GaussianPosterior":
        """The posterior of some of the rows."""
        return GaussianPosterior(self.means[index], self.factors if len(self.factors) == 1 else self.factors[index])
