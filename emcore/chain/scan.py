"""Forward and backward passes over packed pieces of chains, in any arithmetic.

Three phases, exact: (1) the operator of every piece that has a neighbour, all pieces and all entry states at once;
(2) from piece to piece, what enters and leaves each; (3) both passes inside all pieces at once, their ends now known.
Layout of numbers: (k, t), states by places of the packs (see `layout`), so that every step is one contiguous block.
Reference: Rabiner (1989), Proc. IEEE 77, 257-286; the scan: Särkkä & García-Fernández (2021), IEEE Trans. Automat.
Control 66, 299-306.
"""

from typing import NamedTuple

import numpy as np

from emcore.chain.arithmetic import Arithmetic
from emcore.chain.layout import Pack

_EVERY = 8  # steps between two rescalings


class Chain(NamedTuple):
    """Factors of p(z) ∝ Π start(z_1) Π transitions(z_s-1, z_s) Π emissions_s(z_s), numbers of one arithmetic."""

    start: np.ndarray  # (k,)
    transitions: np.ndarray  # (k, k), from row to column
    emissions: np.ndarray  # (k, t) by place


class Swept(NamedTuple):
    """What a pass leaves: a vector at every place, and for each piece the scale that was taken out."""

    columns: np.ndarray  # (k, t)
    log_scale: np.ndarray  # (pieces,) sum of the logarithms of the factors
    least: np.ndarray  # (pieces,) the least of them: a very small one has cost digits


def forward(ring: Arithmetic, pack: Pack, chain: Chain, operators: np.ndarray | None, out: np.ndarray) -> Swept:
    """At every place Σ over the past of all factors up to it, this emission included; rescaled; written to `out`.

    `operators` are those of `piece_operators`, None where no sequence is cut. The last column of a piece is rescaled,
    so that `log_scale` sums to log Σ over each sequence.
    """
    swept = Swept(out, np.zeros(len(pack.last)), np.zeros(len(pack.last)))
    ahead = chain.transitions.T
    block = swept.columns[:, : len(pack.last)]
    ring.times(_entering(ring, pack, chain, operators), chain.emissions[:, : len(pack.last)], out=block)
    for step, (low, high) in enumerate(pack.blocks[1:], start=1):
        before, block = block, swept.columns[:, low:high]
        ring.apply(ahead, before[:, : high - low], out=block)
        ring.times(block, chain.emissions[:, low:high], out=block)
        if step % _EVERY == 0:
            _note(swept, ring.rescale(block), slice(high - low))
    ends = swept.columns[:, pack.last]
    _note(swept, ring.rescale(ends), slice(None))
    swept.columns[:, pack.last] = ends
    return swept


def backward(ring: Arithmetic, pack: Pack, chain: Chain, operators: np.ndarray | None, out: np.ndarray) -> Swept:
    """At every place Σ over the future of all factors after it, up to a factor per place; written to `out`."""
    swept = Swept(out, np.zeros(len(pack.last)), np.zeros(len(pack.last)))
    swept.columns[:, pack.last] = _leaving(ring, pack, len(chain.start), operators)
    blocks = pack.blocks
    for step in range(len(blocks) - 1, 0, -1):
        low, high = blocks[step]
        weighed = ring.times(swept.columns[:, low:high], chain.emissions[:, low:high])
        below = blocks[step - 1][0]
        target = swept.columns[:, below : below + high - low]
        ring.apply(chain.transitions, weighed, out=target)
        if step % _EVERY == 0:
            _note(swept, ring.rescale(target), slice(high - low))
    return swept


def _note(swept: Swept, log_factors: np.ndarray, pieces: slice) -> None:
    swept.log_scale[pieces] += log_factors
    swept.least[pieces] = np.minimum(swept.least[pieces], log_factors)


def piece_operators(ring: Arithmetic, pack: Pack, chain: Chain) -> np.ndarray | None:
    """(pieces, k, k), in the order `by_level`: from the state before a piece to the last state in it.

    Before a sequence's first piece stands its first state, not yet weighed by its emission. Each row is a filter of
    its own and is rescaled on its own, so that an unlikely entry keeps its digits. None where no sequence is cut.
    """
    if len(pack.levels) == 1:
        return None
    k, pieces = len(chain.start), len(pack.last)
    ahead = chain.transitions.T
    rows = np.repeat(chain.transitions[:, :, None], pieces, axis=2)  # (from, to, piece)
    rows[:, :, pack.by_level[: pack.level_bounds[1]]] = ring.number(np.eye(k))[:, :, None]
    rows = ring.times(rows, chain.emissions[:, :pieces])
    log_factors = np.zeros((k, pieces))
    moved = np.empty_like(rows)
    for step, (low, high) in enumerate(pack.blocks[1:], start=1):
        active = rows[:, :, : high - low]
        ring.apply(ahead, active, out=moved[:, :, : high - low])
        ring.times(moved[:, :, : high - low], chain.emissions[:, low:high], out=active)
        if step % _EVERY == 0:
            log_factors[:, : high - low] += ring.rescale(active)
    log_factors += ring.rescale(rows)
    return np.moveaxis(ring.rejoin(rows, log_factors), 2, 0)[pack.by_level]


def _entering(ring: Arithmetic, pack: Pack, chain: Chain, operators: np.ndarray | None) -> np.ndarray:
    """(k, pieces): the first state of each piece given what precedes the piece, not yet weighed by its emission."""
    starts = np.repeat(chain.start[:, None], pack.level_bounds[1], axis=1)
    if operators is None:
        return starts
    vectors = starts.T[:, :, None]  # (sequences, k, 1)
    across = np.swapaxes(operators, 1, 2)
    ends = []
    for level, (low, high) in enumerate(pack.levels[1:]):
        begin = pack.level_bounds[level]
        vectors = ring.apply(across[begin : begin + high - low], vectors[: high - low])
        if level % _EVERY == _EVERY - 1:
            ring.rescale(vectors)
        ends.append(vectors)
    columns = _as_columns(ring, np.concatenate(ends))
    return _by_piece(pack, np.concatenate([starts, ring.apply(chain.transitions.T, columns)], axis=1))


def _leaving(ring: Arithmetic, pack: Pack, k: int, operators: np.ndarray | None) -> np.ndarray:
    """(k, pieces): what the pieces after each say of its last state."""
    nothing = np.full((pack.level_bounds[1], k, 1), ring.one)
    if operators is None:
        return _as_columns(ring, nothing)
    low, high = pack.levels[-1]
    vectors = nothing[: high - low]
    heads = [vectors]
    levels = pack.levels
    for level in range(len(levels) - 1, 0, -1):
        low, high = levels[level]
        vectors = ring.apply(operators[low:high], vectors)
        if level % _EVERY == 0:
            ring.rescale(vectors)
        sequences = low - pack.level_bounds[level - 1]
        if sequences > high - low:
            vectors = np.concatenate([vectors, nothing[: sequences - (high - low)]])
        heads.append(vectors)
    return _by_piece(pack, _as_columns(ring, np.concatenate(heads[::-1])))


def _as_columns(ring: Arithmetic, vectors: np.ndarray) -> np.ndarray:
    columns = np.ascontiguousarray(vectors[:, :, 0].T)
    ring.rescale(columns)
    return columns


def _by_piece(pack: Pack, columns: np.ndarray) -> np.ndarray:
    """Columns in the order `by_level` as columns in the order of the pieces."""
    ordered = np.empty_like(columns)
    ordered[:, pack.by_level] = columns
    return ordered
