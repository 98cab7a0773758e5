"""Gamma distributions over a latent precision or rate: moments, entropy and divergence of whole arrays at once.

u ~ Gamma(shape a, rate b) has density b^a u^(a-1) e^(-bu) / Γ(a): mean a/b, E log u = ψ(a) - log b.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import digamma, gammaln, polygamma

from emcore.divergence import excess

_NODES = 12  # of Gauss-Legendre, for an integrand that is nearly a polynomial
_NEAR = 0.25  # relative distance of two shapes under which their divergence is integrated, not subtracted


class GammaPosterior(NamedTuple):
    """Q = Gamma(shapes, rates), one for every entry of `rates` (n,) or (n, k); rows may share one shape."""

    shapes: np.ndarray  # like rates, or with a first axis of 1
    rates: np.ndarray  # (n,) or (n, k)

    def mean(self) -> np.ndarray:
        """E u, like `rates`."""
        return self.shapes / self.rates

    def mean_log(self) -> np.ndarray:
        """E log u, like `rates`."""
        return digamma(self.shapes) - np.log(self.rates)

    def entropy(self) -> np.ndarray:
        """Differential entropy a - log b + log Γ(a) + (1 - a) ψ(a), like `rates`; it may be negative."""
        a = self.shapes
        return a + gammaln(a) + (1.0 - a) * digamma(a) - np.log(self.rates)

    def kl(self, other: "GammaPosterior") -> np.ndarray:
        """KL(Q ‖ other), like `rates`: the shapes' part at equal means, and a' · excess(ratio of means - 1).

        Each part is ≥ 0 and computed without cancellation, so that a tiny divergence keeps its digits.
        """
        a, b = other.shapes, other.rates
        shift = (b * self.shapes - a * self.rates) / (a * self.rates)
        return _kl_of_shapes(self.shapes, a) + a * excess(shift)

    def rows(self, index: slice | np.ndarray) -> "GammaPosterior":
        """The posterior of some of the rows."""
        return GammaPosterior(self.shapes if len(self.shapes) == 1 else self.shapes[index], self.rates[index])

    def with_rows(self, index: slice | np.ndarray, other: "GammaPosterior") -> "GammaPosterior":
        """The posterior with some of the rows replaced by `other`, row for row."""
        shapes, rates = np.broadcast_to(self.shapes, self.rates.shape).copy(), self.rates.copy()
        shapes[index], rates[index] = other.shapes, other.rates
        return GammaPosterior(shapes, rates)


def log_density_of_mean_one(shape: np.ndarray, q: GammaPosterior) -> np.ndarray:
    """E_q log Gamma(u; shape, rate shape), like the rates of q."""
    return shape * np.log(shape) - gammaln(shape) + (shape - 1.0) * q.mean_log() - shape * q.mean()


def best_shape(mean: float, low: float, high: float) -> float:
    """The shape a in [low, high] that maximises the mean of E log Gamma(u; a, rate a), given that of E log u - E u.

    The slope log a + 1 - ψ(a) + mean falls in a, so there is one maximum, at its root or at the nearer bound.
    """
    from scipy.optimize import brentq

    def slope(log_shape: float) -> float:
        shape = np.exp(log_shape)
        return float(log_shape + 1.0 - digamma(shape) + mean)

    first, last = np.log(low), np.log(high)
    if slope(first) <= 0.0:
        return low
    if slope(last) >= 0.0:
        return high
    return float(np.exp(brentq(slope, first, last, xtol=1e-15, rtol=1e-15)))


def _kl_of_shapes(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """KL(Gamma(a, a) ‖ Gamma(b, b)) = ∫_a^b (b - t) (ψ'(t) - 1/t) dt ≥ 0."""
    a, b = np.broadcast_arrays(np.asarray(a, dtype=float), np.asarray(b, dtype=float))
    step = b - a
    near = np.abs(step) < _NEAR * np.minimum(a, b)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    at = 0.5 * (1.0 + nodes)
    t = a[..., None] + np.where(near, step, 0.0)[..., None] * at
    integral = step**2 * (0.5 * weights * (1.0 - at) * (polygamma(1, t) - 1.0 / t)).sum(axis=-1)
    direct = (a - b) * digamma(a) - gammaln(a) + gammaln(b) + b * (np.log(a) - np.log(b)) + b - a
    return np.where(near, integral, direct)
