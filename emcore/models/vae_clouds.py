"""Weighted points that stand for a distribution over z, and how many of them a decoder needs.

A Gaussian Q takes z = m + s·ε with fixed ε: a Gauss-Hermite rule where tanh units bend little within Q, and else an
even grid, as the trapezoid rule converges geometrically for functions that are analytic in a strip and die off at both
ends (Trefethen & Weideman 2014, SIAM Review 56, 385-458). A unit tanh(w z + b) is analytic as far as π/(2|w|) from the
real line, which is π/(2|w|s) in units of ε. The orders below leave errors of about 1e-12 of E tanh².
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from emcore.models.vae_decoder import DecoderParams

_HERMITE = 16  # the largest order of a Gauss-Hermite rule; above it nodes are even
_ORDERS = (12, 16, 24, 32, 48, 96, 192, 384, 768, 1536, 3072, 6144)
_BENDS = (0.2, 0.25, 0.3, 0.5, 0.8, 1.8, 3.8, 7.6, 15.0, 30.0, 60.0)  # up to which |w|s each order will do
_TAIL = 8.0  # half-width of an even rule in sd
_NEGLIGIBLE = 1e-17  # of the largest weight of an even rule
_BLOCK = 200_000  # points worked on at once


class Cloud(NamedTuple):
    """Weighted points z, each of them some row's."""

    owner: np.ndarray  # (m,) rows
    points: np.ndarray  # (m, q)
    weights: np.ndarray  # (m,)

    def sums(self, values: np.ndarray, n: int) -> np.ndarray:
        """Σ weights · values (m,) over each row's points (n,)."""
        return np.bincount(self.owner, self.weights * values, minlength=n)

    def blocks(self) -> Iterator["Cloud"]:
        """The same points in pieces that fit the cache."""
        for start in range(0, len(self.owner), _BLOCK):
            yield Cloud(*(part[start : start + _BLOCK] for part in self))


@cache
def rule(n_factors: int, order: int, even: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Nodes ε (s, q) and weights (s,) of E f(ε) for ε ~ N(0, I_q), `order` nodes per axis.

    Gauss-Hermite up to order 16, exact for polynomials below degree 2·order in each axis; even nodes beyond, or if
    `even`. Order 1 stands for the 2q points ±√q along the axes, which are exact below degree 4: all that a line needs.
    """
    if order == 1:
        nodes = np.sqrt(n_factors) * np.concatenate([np.eye(n_factors), -np.eye(n_factors)])
        weights = np.full(2 * n_factors, 0.5 / n_factors)
    else:
        points, shares = _one_axis(order, even or order > _HERMITE)
        nodes = np.stack([part.ravel() for part in np.meshgrid(*[points] * n_factors, indexing="ij")], axis=1)
        weights = np.prod(np.meshgrid(*[shares] * n_factors, indexing="ij"), axis=0).ravel()
        kept = weights > _NEGLIGIBLE * weights.max()
        nodes, weights = nodes[kept], weights[kept] / weights[kept].sum()
    nodes.flags.writeable = weights.flags.writeable = False
    return nodes, weights


def _one_axis(order: int, even: bool) -> tuple[np.ndarray, np.ndarray]:
    if even:
        points = np.linspace(-_TAIL, _TAIL, order)
        shares = np.exp(-0.5 * points * points)
    else:
        points, shares = np.polynomial.hermite_e.hermegauss(order)
    return points, shares / shares.sum()


def orders_for(params: DecoderParams, q: Any, ahead: float = 1.0) -> np.ndarray:
    """The order (n,) of the rule that each Gaussian needs beside this decoder; 1 where the decoder is a line.

    With `ahead` above 1 also beside decoders that an M-step may reach: idle units may act, weights grow by that factor.
    """
    acting = (params.hidden_loadings != 0).any(axis=0) | (ahead > 1.0)
    scales = np.sqrt((q.factors * q.factors).sum(axis=2))
    scales = np.broadcast_to(scales, q.means.shape)
    if not acting.any():
        return np.ones(len(scales), dtype=int)
    bends = (scales * np.abs(params.hidden_weights[acting]).max(axis=0)).max(axis=1) * ahead
    return np.array(_ORDERS)[np.searchsorted(_BENDS, bends)]


def gaussian_clouds(q: Any, orders: np.ndarray | int, even: bool = False) -> Iterator[Cloud]:
    """Clouds of Gaussians Q_i, rows of one order together."""
    n, n_factors = q.means.shape
    orders = np.broadcast_to(orders, n)
    factors = np.broadcast_to(q.factors, (n, *q.factors.shape[1:]))
    for order in np.unique(orders):
        epsilon, weights = rule(n_factors, int(order), even)
        rows = np.flatnonzero(orders == order)
        for start in range(0, len(rows), max(1, _BLOCK // len(weights))):
            some = rows[start : start + max(1, _BLOCK // len(weights))]
            points = q.means[some, None, :] + epsilon @ factors[some].swapaxes(1, 2)
            owner = np.repeat(some, len(weights))
            yield Cloud(owner, points.reshape(-1, n_factors), np.tile(weights, len(some)))
