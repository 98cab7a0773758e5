"""Distributions over the latent variables of a nonlinear decoder: what an encoder says, and the truth on a grid.

DiagonalGaussian:  Q_i = N(m_i, diag s_i²), the family of a variational autoencoder
GridPosterior:     p(z | x_i) on an even grid of the row's own (see `vae_grid`)
Every expectation is a sum over a `Cloud`: weighted points, each of them some row's.
"""

from typing import Any, NamedTuple

import numpy as np

from emcore.divergence import entropy_gaussian, kl_gaussian
from emcore.models.vae_clouds import Cloud, gaussian_clouds, orders_for
from emcore.models.vae_decoder import DecoderParams, log_joint
from emcore.numerics import LOG_2PI
from emcore.posteriors import GaussianPosterior


class DiagonalGaussian(NamedTuple):
    """Q_i = N(means_i, diag scales_i²), the encoder that said so, and the nodes that an M-step takes for it."""

    means: np.ndarray  # (n, q)
    scales: np.ndarray  # (n, q) standard deviations
    encoder: Any = None
    orders: np.ndarray | None = None  # (n,) of `vae_clouds.rule`, where a decoder has asked for them

    @property
    def factors(self) -> np.ndarray:
        """Lower Cholesky factors (n, q, q)."""
        return self.scales[:, :, None] * np.eye(self.scales.shape[1])

    def entropy(self) -> np.ndarray:
        """Differential entropy H(Q_i) (n,); it may be negative."""
        return entropy_gaussian(self.factors)

    def kl(self, other: Any) -> np.ndarray:
        """KL(Q_i ‖ other_i) (n,): closed between Gaussians, summed over nodes where `other` lives on a grid."""
        if isinstance(other, GridPosterior):
            return other.kl_from(self)
        return kl_gaussian(self.means, self.factors, other.means, other.factors)

    def rows(self, index: Any) -> "DiagonalGaussian":
        """The posterior of some of the rows."""
        orders = None if self.orders is None else self.orders[index]
        return DiagonalGaussian(self.means[index], self.scales[index], self.encoder, orders)


class Source(NamedTuple):
    """What a posterior follows from: it gives its density at any point, on the grid or off."""

    params: DecoderParams
    x: np.ndarray  # (n, d)
    log_likelihood: np.ndarray  # (n,)

    def log_densities(self, owner: np.ndarray, points: np.ndarray) -> np.ndarray:
        """log p(z | x_i) at points (m, q) of the rows `owner` (m,): (m,)."""
        return log_joint(self.params, self.x[owner], points) - self.log_likelihood[owner]

    def rows(self, index: Any) -> "Source":
        """The source of some of the rows."""
        return Source(self.params, self.x[index], self.log_likelihood[index])


class GridPosterior(NamedTuple):
    """p(z | x_i) by its probability in every cell of an even grid, one grid for each row, end to end."""

    owner: np.ndarray  # (m,) rows, rising
    nodes: np.ndarray  # (m, q)
    probs: np.ndarray  # (m,), those of a row sum to one
    log_probs: np.ndarray  # (m,)
    log_cells: np.ndarray  # (n,) log volume of a row's cell: what turns a probability into a density
    source: Source

    @property
    def cloud(self) -> Cloud:
        """The grid as weighted points."""
        return Cloud(self.owner, self.nodes, self.probs)

    def entropy(self) -> np.ndarray:
        """Differential entropy (n,)."""
        return self.log_cells - self.cloud.sums(self.log_probs, len(self.log_cells))

    def kl(self, other: Any) -> np.ndarray:
        """KL(p_i ‖ other_i) (n,), over this grid; `other` on any grid, or Gaussian."""
        n, owner = len(self.log_cells), self.owner
        if isinstance(other, GridPosterior):
            if np.array_equal(self.nodes, other.nodes) and np.array_equal(owner, other.owner):
                return np.bincount(owner, _divergence(self.probs, self.log_probs, other.log_probs), minlength=n)
            log_other = other.source.log_densities(owner, self.nodes)
        else:
            log_other = _log_normal(other, owner, self.nodes)
        return np.maximum(self.cloud.sums(self.log_probs - self.log_cells[owner] - log_other, n), 0.0)

    def kl_from(self, q: Any) -> np.ndarray:
        """KL(Q_i ‖ p_i) = E_Q (log Q_i - log p_i) (n,), by the trapezoid rule on a grid of Q_i's own.

        Its nodes are others than those of the ELBO's rule, so that log p = ELBO + KL checks both.
        """
        result = np.zeros(len(q.means))
        for cloud in gaussian_clouds(q, 5 + np.maximum(orders_for(self.source.params, q), 24), even=True):
            log_ratio = _log_normal(q, cloud.owner, cloud.points) - self.source.log_densities(cloud.owner, cloud.points)
            result += cloud.sums(log_ratio, len(result))
        return np.maximum(result, 0.0)  # below 0 it is rounding

    def moments(self) -> DiagonalGaussian:
        """The diagonal Gaussian with the same means and standard deviations."""
        n, axes = len(self.log_cells), self.nodes.T
        means = np.stack([self.cloud.sums(axis, n) for axis in axes], axis=1)
        spread = np.stack([self.cloud.sums((a - m[self.owner]) ** 2, n) for a, m in zip(axes, means.T)], axis=1)
        return DiagonalGaussian(means, np.sqrt(np.maximum(spread, np.finfo(float).tiny)))

    def rows(self, index: Any) -> "GridPosterior":
        """The posterior of some of the rows."""
        picked = np.arange(len(self.log_cells))[index]
        sizes = np.bincount(self.owner, minlength=len(self.log_cells))
        starts, taken = np.cumsum(sizes) - sizes, sizes[picked]
        owner = np.repeat(np.arange(len(picked)), taken)
        at = np.arange(len(owner)) + np.repeat(starts[picked] - (np.cumsum(taken) - taken), taken)
        nodes, probs, log_probs = (part[at] for part in (self.nodes, self.probs, self.log_probs))
        return GridPosterior(owner, nodes, probs, log_probs, self.log_cells[picked], self.source.rows(picked))


def _divergence(q: np.ndarray, log_q: np.ndarray, log_p: np.ndarray) -> np.ndarray:
    """q log(q/p) - q + p: each cell's share is ≥ 0 in exact arithmetic; a share below rounding counts as 0."""
    difference = log_p - log_q
    small = np.abs(difference) < 1e-4  # q expm1(difference) - q difference would cancel
    series = q * difference * difference * (0.5 + difference * (1.0 / 6.0 + difference / 24.0))
    whole = np.exp(log_p) - q - q * difference
    return np.maximum(np.where(small, series, whole), 0.0)


def _log_normal(q: Any, owner: np.ndarray, points: np.ndarray) -> np.ndarray:
    """log N(z; m_i, S_i) at points (m, q) of the rows `owner` (m,), from Cholesky factors: (m,)."""
    inverse = np.linalg.inv(q.factors)
    log_scale = np.log(np.diagonal(q.factors, axis1=1, axis2=2)).sum(axis=1) + 0.5 * points.shape[1] * LOG_2PI
    inverse, log_scale = (
        np.broadcast_to(inverse, (len(q.means), *inverse.shape[1:])),
        np.broadcast_to(log_scale, len(q.means)),
    )
    epsilon = ((points - q.means[owner])[:, None, :] * inverse[owner]).sum(axis=2)
    return -0.5 * (epsilon * epsilon).sum(axis=1) - log_scale[owner]


def density_on(q: Any, row: int, points: np.ndarray) -> np.ndarray:
    """The density of one row's Q, or posterior, at points (m, q): (m,)."""
    owner = np.full(len(points), row)
    if isinstance(q, GridPosterior):
        return np.exp(q.source.log_densities(owner, points))
    return np.exp(_log_normal(q, owner, points))


def clouds(q: Any, orders: np.ndarray | int) -> Any:
    """The clouds that stand for Q in expectations: its own grid, or nodes of these orders for a Gaussian."""
    return q.cloud.blocks() if isinstance(q, GridPosterior) else gaussian_clouds(q, orders)


def as_diagonal(q: DiagonalGaussian | GaussianPosterior | GridPosterior) -> DiagonalGaussian:
    """The diagonal Gaussian with the means and standard deviations of q."""
    if isinstance(q, DiagonalGaussian):
        return q
    if isinstance(q, GridPosterior):
        return q.moments()
    spread = np.sqrt((q.factors * q.factors).sum(axis=2))
    return DiagonalGaussian(q.means, np.broadcast_to(spread, q.means.shape).copy())
