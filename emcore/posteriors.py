"""Distributions over the latent variables: what an E-step returns.

Each is a NamedTuple of arrays with `entropy() -> (n,)` and `kl(other) -> (n,)`, in nats.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import entr

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

    def mode(self) -> "CategoricalPosterior":
        """All of Q_i on its most probable value; of equals, the first."""
        table = self.probs if self.log_probs is None else self.log_probs
        return CategoricalPosterior(np.eye(table.shape[1])[table.argmax(axis=1)])

    def with_rows(self, index: slice | np.ndarray, other: "CategoricalPosterior") -> "CategoricalPosterior":
        """The posterior with some of the rows replaced by `other`, row for row."""
        probs = self.probs.copy()
        probs[index] = other.probs
        if self.log_probs is None or other.log_probs is None:
            return CategoricalPosterior(probs)
        log_probs = self.log_probs.copy()
        log_probs[index] = other.log_probs
        return CategoricalPosterior(probs, log_probs)


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

    def with_rows(self, index: slice | np.ndarray, other: "GaussianPosterior") -> "GaussianPosterior":
        """The posterior with some of the rows replaced by `other`, row for row."""
        means, factors = self.means.copy(), np.repeat(self.factors, len(self.means) // len(self.factors), axis=0)
        means[index], factors[index] = other.means, other.factors
        return GaussianPosterior(means, factors)


class FactorisedPosterior(NamedTuple):
    """Q_i over q binary latents, independent of one another: the mean-field family.

    Its `probs` over the 2^q states are the product; state s has latent j at (s >> j) & 1.
    """

    means: np.ndarray  # (n, q) Q(z_ij = 1)

    @property
    def probs(self) -> np.ndarray:
        """Q_i of every state (n, 2^q)."""
        probs = np.ones((len(self.means), 1))
        for mean in self.means.T[:, :, None]:
            probs = np.concatenate([probs * (1.0 - mean), probs * mean], axis=1)
        return probs

    @property
    def log_probs(self) -> np.ndarray | None:
        """Not known better than by `probs`."""
        return None

    def entropy(self) -> np.ndarray:
        """H(Q_i) (n,): the sum over latents."""
        return (entr(self.means) + entr(1.0 - self.means)).sum(axis=1)

    def kl(self, other: "CategoricalPosterior | FactorisedPosterior") -> np.ndarray:
        """KL(Q_i ‖ other_i) (n,), over all states."""
        return kl_rows(self.probs, other.probs, self.log_probs, other.log_probs)

    def with_probs(self, probs: np.ndarray) -> CategoricalPosterior:
        """A posterior over the states, from their probabilities (n, 2^q)."""
        return CategoricalPosterior(probs)

    def rows(self, index: slice | np.ndarray) -> "FactorisedPosterior":
        """The posterior of some of the rows."""
        return FactorisedPosterior(self.means[index])
