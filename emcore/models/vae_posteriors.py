"""Distributions over the latent variables of a nonlinear decoder: what an encoder says, and the truth on a grid.

DiagonalGaussian:  Q_i = N(m_i, diag s_i²), the family of a variational autoencoder
GridPosterior:     p(z | x_i) on an even grid; the trapezoid rule, which for smooth functions that die off at both
                   ends converges faster than any power of the spacing (Trefethen & Weideman 2014, SIAM Review 56)
Expectations under a Gaussian Q are sums over the nodes of a Gauss-Hermite rule, z = m + s·ε with fixed ε.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from emcore.divergence import entropy_gaussian, kl_gaussian
from emcore.models.vae_decoder import DecoderParams, log_joint
from emcore.numerics import LOG_2PI, row_blocks
from emcore.posteriors import GaussianPosterior

_TAIL, _OWN_NODES = 7.0, (0, 113, 29)  # half-width in sd, and nodes per axis by n_factors, of a Gaussian's own grid
_BLOCK = 500_000  # numbers worked on at once


class DiagonalGaussian(NamedTuple):
    """Q_i = N(means_i, diag scales_i²), and the encoder that said so, if one did."""

    means: np.ndarray  # (n, q)
    scales: np.ndarray  # (n, q) standard deviations
    encoder: Any = None

    @property
    def factors(self) -> np.ndarray:
        """Lower Cholesky factors (n, q, q)."""
        return self.scales[:, :, None] * np.eye(self.scales.shape[1])

    def entropy(self) -> np.ndarray:
        """Differential entropy H(Q_i) (n,); it may be negative."""
        return entropy_gaussian(self.factors)

    def kl(self, other: Any) -> np.ndarray:
        """KL(Q_i ‖ other_i) (n,): closed between Gaussians, summed over the grid where `other` lives on one."""
        if isinstance(other, GridPosterior):
            return other.kl_from(self)
        return kl_gaussian(self.means, self.factors, other.means, other.factors)

    def log_densities(self, nodes: np.ndarray) -> np.ndarray:
        """log Q_i at points (m, q): (n, m)."""
        axes = zip(nodes.T, self.means.T, self.scales.T)
        return np.sum([log_normal(node, mean, scale) for node, mean, scale in axes], axis=0)

    def rows(self, index: Any) -> "DiagonalGaussian":
        """The posterior of some of the rows."""
        return DiagonalGaussian(self.means[index], self.scales[index], self.encoder)


class Source(NamedTuple):
    """What a posterior follows from: it gives its density at any point, on the grid or off."""

    params: DecoderParams
    x: np.ndarray  # (n, d)
    log_likelihood: np.ndarray  # (n,)

    def log_densities(self, points: np.ndarray) -> np.ndarray:
        """log p(z | x_i) at points (n|1, s, q): (n, s)."""
        return log_joint(self.params, self.x, points) - self.log_likelihood[:, None]

    def rows(self, index: Any) -> "Source":
        """The source of some of the rows."""
        return Source(self.params, self.x[index], self.log_likelihood[index])


class GridPosterior(NamedTuple):
    """p(z | x_i) by its probability in every cell of one even grid, shared by all rows."""

    nodes: np.ndarray  # (m, q)
    probs: np.ndarray  # (n, m), rows sum to one
    log_probs: np.ndarray  # (n, m)
    spacing: float
    source: "Source"

    @property
    def log_cell(self) -> float:
        """log volume of a cell: what turns a probability into a density."""
        return self.nodes.shape[1] * float(np.log(self.spacing))

    def entropy(self) -> np.ndarray:
        """Differential entropy (n,)."""
        return self.log_cell - np.where(self.probs > 0, self.probs * self.log_probs, 0.0).sum(axis=1)

    def kl(self, other: Any) -> np.ndarray:
        """KL(p_i ‖ other_i) (n,), over this grid; `other` on any grid, or Gaussian."""
        if isinstance(other, GridPosterior):
            same = self.nodes.shape == other.nodes.shape and self.spacing == other.spacing
            log_other = other.log_probs if same else other.source.log_densities(self.nodes[None]) + self.log_cell
        else:
            log_other = other.log_densities(self.nodes) + self.log_cell
        return _divergence(self.probs, self.log_probs, log_other)

    def kl_from(self, q: DiagonalGaussian) -> np.ndarray:
        """KL(Q_i ‖ p_i) = E_Q (log Q_i - log p_i) (n,), by the trapezoid rule on a grid of Q_i's own."""
        n_factors = q.means.shape[1]
        steps, _ = grid(n_factors, _TAIL, _OWN_NODES[n_factors])
        weights = np.exp(-0.5 * (steps * steps).sum(axis=1))
        weights /= weights.sum()
        result = np.empty(len(q.means))
        for rows in row_blocks(len(result), max(1, _BLOCK // (len(steps) * self.source.x.shape[1]))):
            means, scales = q.means[rows, None, :], q.scales[rows, None, :]
            log_q = -(0.5 * (steps * steps) + np.log(scales) + 0.5 * LOG_2PI).sum(axis=2)
            result[rows] = (log_q - self.source.rows(rows).log_densities(means + scales * steps)) @ weights
        return np.maximum(result, 0.0)  # below 0 it is rounding

    def moments(self) -> DiagonalGaussian:
        """The diagonal Gaussian with the same means and standard deviations."""
        means = self.probs @ self.nodes
        second = np.maximum(self.probs @ self.nodes**2 - means**2, (0.5 * self.spacing) ** 2)
        return DiagonalGaussian(means, np.sqrt(second))

    def rows(self, index: Any) -> "GridPosterior":
        """The posterior of some of the rows."""
        return GridPosterior(
            self.nodes, self.probs[index], self.log_probs[index], self.spacing, self.source.rows(index)
        )


def _divergence(q: np.ndarray, log_q: np.ndarray, log_p: np.ndarray) -> np.ndarray:
    """Σ q log(q/p) - q + p (n,): each cell's share is ≥ 0 in exact arithmetic; a share below rounding counts as 0."""
    difference = log_p - log_q
    small = np.abs(difference) < 1e-4  # q expm1(difference) - q difference would cancel
    series = q * difference * difference * (0.5 + difference * (1.0 / 6.0 + difference / 24.0))
    whole = np.exp(log_p) - q - q * difference
    return np.maximum(np.where(small, series, whole), 0.0).sum(axis=1)


def log_normal(points: np.ndarray, means: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """log N(points_m; means_i, scales_i²) (n, m)."""
    deviations = (points - means[:, None]) / scales[:, None]
    return -0.5 * deviations * deviations - (np.log(scales) + 0.5 * LOG_2PI)[:, None]


def grid(n_factors: int, reach: float, per_axis: int) -> tuple[np.ndarray, float]:
    """Nodes (m, q) of an even grid over [-reach, reach]^q, and its spacing."""
    axis = np.linspace(-reach, reach, per_axis)
    mesh = np.meshgrid(*[axis] * n_factors, indexing="ij")
    return np.stack([part.ravel() for part in mesh], axis=1), float(axis[1] - axis[0])


@cache
def rule(n_factors: int, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes ε (s, q) and weights (s,) of E f(ε) for ε ~ N(0, I_q).

    Gauss-Hermite, exact for polynomials below degree 2·order in each axis; order 1 stands for the 2q points ±√q along
    the axes, which are exact below degree 4: all that a line needs.
    """
    if order == 1:
        nodes = np.sqrt(n_factors) * np.concatenate([np.eye(n_factors), -np.eye(n_factors)])
        weights = np.full(2 * n_factors, 0.5 / n_factors)
    else:
        points, shares = np.polynomial.hermite_e.hermegauss(order)
        shares = shares / shares.sum()
        nodes = np.stack([part.ravel() for part in np.meshgrid(*[points] * n_factors, indexing="ij")], axis=1)
        weights = np.prod(np.meshgrid(*[shares] * n_factors, indexing="ij"), axis=0).ravel()
    nodes.flags.writeable = weights.flags.writeable = False
    return nodes, weights


def cloud(q: Any, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (n|1, s, q) and weights (n|1, s) that stand for Q_i in expectations of smooth functions."""
    if isinstance(q, GridPosterior):
        return q.nodes[None], q.probs
    epsilon, weights = rule(q.means.shape[1], order)
    factors = np.broadcast_to(q.factors, (len(q.means), *q.factors.shape[1:]))
    return q.means[:, None, :] + epsilon @ factors.swapaxes(1, 2), weights[None]


def as_diagonal(q: DiagonalGaussian | GaussianPosterior | GridPosterior) -> DiagonalGaussian:
    """The diagonal Gaussian with the means and standard deviations of q."""
    if isinstance(q, DiagonalGaussian):
        return q
    if isinstance(q, GridPosterior):
        return q.moments()
    spread = np.sqrt((q.factors * q.factors).sum(axis=2))
    return DiagonalGaussian(q.means, np.broadcast_to(spread, q.means.shape).copy())
