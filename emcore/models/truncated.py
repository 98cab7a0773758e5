"""Normal and exponential laws cut to an interval, by quadrature about their mode.

On [lower, upper] both are exp(-slope·s - curvature·s²/2) in the distance s from the mode, in units of their scale:
curvature 1 and slope = the mode's standardised distance from the centre for a normal, 0 and 1 for an exponential.
Gauss-Legendre over where the law is above e^-40 of its mode gives mass, mean and variance to rounding, however far in
the tail or narrow the interval: no difference of nearly equal numbers is ever taken.
"""

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np

from emcore.divergence import excess
from emcore.numerics import LOG_2PI

_NODES = 48  # e^-40·s and the normal over ±9 are resolved to 1e-15
_DROP = 40.0  # log of what is cut off
_SMALL = 1e-3  # a divergence under this is integrated term by term: its closed form would cancel


@cache
def _legendre() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    nodes, weights = 0.5 * (1.0 + nodes), 0.5 * weights
    nodes.flags.writeable = weights.flags.writeable = False
    return nodes, weights


class Cut(NamedTuple):
    """An interval about the mode of a law, in units of the law's scale; one entry a row."""

    below: np.ndarray  # (n,) lower end minus mode, ≤ 0, -inf where open
    above: np.ndarray  # (n,) upper end minus mode, ≥ 0, inf where open
    slope: np.ndarray  # (n,) of -log density at the mode; not 0 only where the mode is an end
    curvature: float  # of -log density: 1 for a normal, 0 for an exponential

    def masses(self) -> tuple[np.ndarray, np.ndarray]:
        """Distances s (n, m) from the mode, and quadrature weights times density relative to the mode's (n, m)."""
        steep = np.abs(self.slope)
        reach = 2.0 * _DROP / (steep + np.sqrt(steep**2 + 2.0 * _DROP * self.curvature))
        start, end = np.maximum(self.below, -reach), np.minimum(self.above, reach)
        nodes, weights = _legendre()
        s = start[:, None] + (end - start)[:, None] * nodes
        return s, (end - start)[:, None] * weights * np.exp(-(self.slope[:, None] + 0.5 * self.curvature * s) * s)


def moments(cut: Cut) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """log ∫ density / density at the mode, mean of s, and variance of s (n,)."""
    s, masses = cut.masses()
    mass = masses.sum(axis=1)
    mean = (masses * s).sum(axis=1) / mass
    return np.log(mass), mean, (masses * (s - mean[:, None]) ** 2).sum(axis=1) / mass


def small_kl(cut: Cut, linear: np.ndarray, quadratic: np.ndarray) -> np.ndarray:
    """KL(Q ‖ P) (n,) where log P/Q = linear·s + quadratic·s²/2 + constant on the same interval, P close to Q.

    The mean under Q of excess(P/Q - 1): every term is ≥ 0 (see `divergence.kl_rows`).
    """
    s, masses = cut.masses()
    chances = masses / masses.sum(axis=1, keepdims=True)
    u = np.expm1((linear[:, None] + 0.5 * quadratic[:, None] * s) * s)
    shift = (chances * u).sum(axis=1, keepdims=True)
    return (chances * excess((u - shift) / (1.0 + shift))).sum(axis=1)


def normal_cut(means: np.ndarray, scale: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, Cut]:
    """The mode (n,) of N(means, scale²) on [lower, upper], and the interval about it."""
    mode = np.clip(means, lower, upper)
    return mode, Cut((lower - mode) / scale, (upper - mode) / scale, (mode - means) / scale, 1.0)


class TruncatedNormalPosterior(NamedTuple):
    """Q_i = N(means_i, scale²) cut to [lower_i, upper_i]; where both ends are one point, z_i is known and not latent.

    A known z adds 0 to entropy and divergence. Make one with `truncated_normal`.
    """

    means: np.ndarray  # (n,) of the law before the cut
    scale: np.ndarray  # () or (n,)
    lower: np.ndarray  # (n,)
    upper: np.ndarray  # (n,)
    expectation: np.ndarray  # (n,) E z
    variance: np.ndarray  # (n,) var z
    log_mass: np.ndarray  # (n,) log P(lower ≤ z ≤ upper) before the cut; 0 where z is known

    def _latent(self) -> np.ndarray:
        return self.lower < self.upper

    def expected_log_density(self, means: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """E_Q log N(z; means, scale²) (n,)."""
        squares = self.variance + (self.expectation - means) ** 2
        return -0.5 * (LOG_2PI + squares / scale**2) - np.log(scale)

    def entropy(self) -> np.ndarray:
        """Differential entropy (n,)."""
        entropy = self.log_mass - self.expected_log_density(self.means, self.scale)
        return np.where(self._latent(), entropy, 0.0)

    def kl(self, other: "TruncatedNormalPosterior") -> np.ndarray:
        """KL(Q ‖ other) (n,), for an other whose interval holds this one."""
        cross = self.expected_log_density(other.means, other.scale) - other.log_mass
        kl = np.where(self._latent(), np.maximum(-self.entropy() - cross, 0.0), 0.0)
        same = self._latent() & (self.lower == other.lower) & (self.upper == other.upper)
        near = np.flatnonzero(same & (kl < _SMALL))
        kl[near] = self.rows(near)._small_kl(other.rows(near))
        return kl

    def _small_kl(self, other: "TruncatedNormalPosterior") -> np.ndarray:
        scale, theirs = (np.broadcast_to(s, self.means.shape) for s in (self.scale, other.scale))
        mode, cut = normal_cut(self.means, scale, self.lower, self.upper)
        quadratic = (theirs - scale) * (theirs + scale) / theirs**2
        linear = (other.means - self.means + (mode - other.means) * quadratic) / scale
        return small_kl(cut, linear, quadratic)

    def rows(self, index: slice | np.ndarray) -> "TruncatedNormalPosterior":
        """The posterior of some of the rows."""
        return TruncatedNormalPosterior(*(part[index] if np.ndim(part) else part for part in self))

    def with_rows(self, index: slice | np.ndarray, other: "TruncatedNormalPosterior") -> "TruncatedNormalPosterior":
        """The posterior with some of the rows replaced by `other`, row for row."""
        return TruncatedNormalPosterior(*replace_rows(self, index, other))


def replace_rows(parts: Iterable, index: slice | np.ndarray, others: Iterable) -> list[np.ndarray]:
    """The arrays (n,) with some of the rows replaced; a number shared by all rows becomes one for each."""
    arrays = [np.asarray(part) for part in parts]
    renewed = [np.broadcast_to(array, max(a.shape for a in arrays)).copy() for array in arrays]
    for array, other in zip(renewed, others):
        array[index] = other
    return renewed


def truncated_normal(
    means: np.ndarray, scale: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> TruncatedNormalPosterior:
    """N(means, scale²) cut to [lower, upper], with its moments; means, lower and upper (n,)."""
    expectation, variance, log_mass = lower.copy(), np.zeros(len(means)), np.zeros(len(means))
    latent = np.flatnonzero(lower < upper)
    mode, cut = normal_cut(means[latent], scale, lower[latent], upper[latent])
    log_ratio, mean, spread = moments(cut)
    expectation[latent] = mode + scale * mean
    variance[latent] = scale**2 * spread
    log_mass[latent] = log_ratio - 0.5 * (cut.slope**2 + LOG_2PI)
    return TruncatedNormalPosterior(means, scale, lower, upper, expectation, variance, log_mass)
