"""log p(x_i) and p(z | x_i) of a decoder with bends, by the trapezoid rule on an even grid around each posterior.

A coarse look at log p(x_i, z) over the prior's whole width finds where row i may come from; there an even grid is laid,
whose spacing follows the narrowest that the posterior can be and the sharpest bend of a tanh unit nearby. The error is
measured: the sums of p and of z p over every other node, even and odd, must agree, or the row's grid is refined. As the
rule converges geometrically (Trefethen & Weideman 2014, SIAM Review 56, 385-458), the whole grid is then far better
than its halves. `fineness=2` halves every spacing.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from emcore.models.vae_decoder import DecoderParams, hidden_units, log_joint_table, slopes
from emcore.models.vae_posteriors import GridPosterior, Source
from emcore.numerics import DegenerateError, row_blocks

_REACH, _COARSE = (0.0, 10.0, 7.5), (0, 401, 41)  # half-width in prior sd and nodes per axis of the look, by n_factors
_NEAR = 35.0  # nats below its peak where a posterior ends
_PER_SD, _PER_BEND = 0.7, 0.5  # the spacing over the narrowest sd, and over 1/|hidden weight|, to begin with
_HALVES_AGREE = (0.0, 1e-6, 1e-6)  # relative, by n_factors
_BLOCK = 1_000_000  # cells worked on at once


class _Boxes(NamedTuple):
    """Where the rows' grids lie."""

    low: np.ndarray  # (n, q)
    high: np.ndarray  # (n, q)
    spacing: np.ndarray  # (n, q)

    def finer(self, rows: np.ndarray) -> "_Boxes":
        """The boxes of some rows with twice the nodes, or √2 times the nodes per axis where there are two."""
        return _Boxes(self.low[rows], self.high[rows], self.spacing[rows] / 2.0 ** (1.0 / self.low.shape[1]))

    def alike(self) -> Iterator[np.ndarray]:
        """Rows of one spacing: they share their nodes."""
        kinds, kind = np.unique(self.spacing, axis=0, return_inverse=True)
        for k in range(len(kinds)):
            yield np.flatnonzero(kind.ravel() == k)

    def nodes(self, rows: np.ndarray, max_nodes: int) -> tuple[np.ndarray, np.ndarray]:
        """Nodes (m, q) that span the boxes of rows of one spacing, and which are odd (m,)."""
        step = self.spacing[rows[0]]
        first, last = np.floor(self.low[rows].min(axis=0) / step), np.ceil(self.high[rows].max(axis=0) / step)
        most = int(np.prod(last - first + 1.0))
        if most > max_nodes:
            raise DegenerateError(
                f"the decoder is so steep beside its noise that p(x) needs {most} nodes, more than max_nodes="
                f"{max_nodes} allows: use more noise, fewer hidden units, or a larger max_nodes"
            )
        axes = np.meshgrid(*[np.arange(a, b + 1.0) for a, b in zip(first, last)], indexing="ij")
        index = np.stack([axis.ravel() for axis in axes], axis=1)
        return index * step, index.sum(axis=1) % 2 == 1


def integrate(
    params: DecoderParams, x: np.ndarray, fineness: float, max_nodes: int
) -> tuple[GridPosterior, np.ndarray]:
    """The posterior of every row and log p(x_i) (n,). DegenerateError where a row needs more than `max_nodes`."""
    boxes, rows = _boxes(params, x, fineness), np.arange(len(x))
    parts, log_likelihood, log_cells = [], np.empty(len(x)), np.empty(len(x))
    while len(rows):
        agree = np.empty(len(rows), dtype=bool)
        for alike in boxes.alike():
            nodes, odd = boxes.nodes(alike, max_nodes)
            for block in row_blocks(len(alike), max(1, _BLOCK // len(nodes))):
                some = alike[block]
                here = rows[some]
                (owner, *part), log_sums, agree[some] = _sum(params, x[here], nodes, odd)
                keep = agree[some][owner]
                parts.append((here[owner[keep]], *(each[keep] for each in part)))
                log_cells[here] = np.log(boxes.spacing[some]).sum(axis=1)
                log_likelihood[here] = log_sums + log_cells[here]
        rows, boxes = rows[~agree], boxes.finer(~agree)
    owner, nodes, probs, log_probs = (np.concatenate(part) for part in zip(*parts))
    by = np.argsort(owner, kind="stable")
    source = Source(params, x, log_likelihood)
    return GridPosterior(owner[by], nodes[by], probs[by], log_probs[by], log_cells, source), log_likelihood


def _sum(
    params: DecoderParams, x: np.ndarray, nodes: np.ndarray, odd: np.ndarray
) -> tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
    """Owners, nodes, probabilities and their logs (m, …), the log of each row's sum, and whether its halves agree."""
    table = log_joint_table(params, x, nodes)
    top = table.max(axis=1)
    owner, place = np.nonzero(table > (top - _NEAR)[:, None])
    log_probs, z = table[owner, place] - top[owner], nodes[place]
    probs = np.exp(log_probs)
    total = np.bincount(owner, probs)
    log_probs -= np.log(total)[owner]
    probs /= total[owner]
    agree = _halves_agree(owner, z, probs, np.where(odd[place], -probs, probs))
    return (owner, z, probs, log_probs), top + np.log(total), agree


def _halves_agree(owner: np.ndarray, nodes: np.ndarray, probs: np.ndarray, signed: np.ndarray) -> np.ndarray:
    """Whether even and odd nodes give one total and, lest they do so by chance, one mean."""
    worst = np.abs(np.bincount(owner, signed))
    for z in nodes.T:
        left = z - np.bincount(owner, probs * z)[owner]
        spread = np.sqrt(np.bincount(owner, probs * left * left))
        np.maximum(worst, np.abs(np.bincount(owner, signed * left)) / spread, out=worst)
    return worst < _HALVES_AGREE[nodes.shape[1]]


def _boxes(params: DecoderParams, x: np.ndarray, fineness: float) -> _Boxes:
    n_factors = params.loadings.shape[1]
    axis = np.linspace(-_REACH[n_factors], _REACH[n_factors], _COARSE[n_factors])
    coarse = axis[1] - axis[0]
    z = np.stack([part.ravel() for part in np.meshgrid(*[axis] * n_factors, indexing="ij")], axis=1)
    precisions = 1.0 + slopes(params, z) ** 2 / params.noise_variance  # (m, q), had each axis a Gaussian to itself
    finest = np.minimum(_PER_SD / np.sqrt(precisions), _PER_BEND / np.maximum(_bends(params, z), 1e-9))
    hidden_peak = precisions.sum(axis=1) * coarse**2 / 8.0  # what may rise above a node within half a cell
    table = log_joint_table(params, x, z)
    near = table + hidden_peak > table.max(axis=1, keepdims=True) - _NEAR
    low, high, spacing = [], [], []
    for j in range(n_factors):
        others = tuple(1 + k for k in range(n_factors) if k != j)
        touched = near.reshape(len(x), *[len(axis)] * n_factors).any(axis=others)
        low.append(axis[touched.argmax(axis=1)] - coarse)
        high.append(axis[len(axis) - 1 - touched[:, ::-1].argmax(axis=1)] + coarse)
        widest = np.where(near, finest[:, j], np.inf).min(axis=1)
        spacing.append(np.exp2(np.floor(2.0 * np.log2(widest)) / 2.0))  # few spacings, so that rows share nodes
    return _Boxes(np.stack(low, axis=1), np.stack(high, axis=1), np.stack(spacing, axis=1) / fineness)


def _bends(params: DecoderParams, z: np.ndarray) -> np.ndarray:
    """The largest |hidden weight| (m, q) of the units that bend f at points (m, q), seen beside the noise."""
    if not len(params.hidden_offsets):
        return np.zeros_like(z)
    sizes = np.sqrt((params.hidden_loadings**2).sum(axis=0) / params.noise_variance)
    acting = (1.0 - hidden_units(params, z) ** 2) * sizes > 1e-4
    return np.stack([(acting * np.abs(column)).max(axis=1) for column in params.hidden_weights.T], axis=1)
