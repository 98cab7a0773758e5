"""Forward and backward passes over packed pieces of chains, in any arithmetic.

Three phases, exact: (1) the operator of every piece that has a neighbour, all pieces and all entry states at once;
(2) from piece to piece, what enters and leaves each; (3) both passes inside all pieces at once, their ends now known.
Numbers lie as `Pack.tables` has them, so that every step is one contiguous block (k, width): states by pieces.
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
    emissions: list[np.ndarray]  # (steps, k, width) for every slab


class Swept(NamedTuple):
    """For each piece the scale that a pass took out."""

    log_scale: np.ndarray  # (pieces,) sum of the logarithms of the factors
    least: np.ndarray  # (pieces,) the least of them: a very small one has cost digits

    def note(self, log_factors: np.ndarray, pieces: slice) -> None:
        """Factors taken out of some pieces."""
        self.log_scale[pieces] += log_factors
        self.least[pieces] = np.minimum(self.least[pieces], log_factors)


def _blocks(tables: list[np.ndarray]) -> list[np.ndarray]:
    """The block (k, width) of every step."""
    return [block for table in tables for block in table]


def _ends(pack: Pack) -> dict[int, slice]:
    """The pieces that end, by the step that they end with."""
    steps = np.cumsum([slab.steps for slab in pack.slabs]) - 1
    return {int(step): slice(slab.after, slab.width) for step, slab in zip(steps, pack.slabs)}


def forward(ring: Arithmetic, pack: Pack, chain: Chain, operators: np.ndarray | None, out: list[np.ndarray]) -> Swept:
    """At every place Σ over the past of all factors up to it, this emission included; rescaled; written to `out`.

    `operators` are those of `piece_operators`, None where no sequence is cut. The last column of a piece is rescaled,
    so that `log_scale` sums to log Σ over each sequence.
    """
    swept, ends = _nothing(pack), _ends(pack)
    ahead = np.ascontiguousarray(chain.transitions.T)
    before = _entering(ring, pack, chain, operators)
    for step, (block, emissions) in enumerate(zip(_blocks(out), _blocks(chain.emissions))):
        if step:
            width = block.shape[1]
            ring.apply(ahead, before if before.shape[1] == width else before[:, :width], out=block)
            ring.times(block, emissions, out=block)
            if step % _EVERY == 0:
                swept.note(ring.rescale(block), slice(width))
        else:
            ring.times(before, emissions, out=block)
        if step in ends:
            swept.note(ring.rescale(block[:, ends[step]]), ends[step])
        before = block
    return swept


def backward(ring: Arithmetic, pack: Pack, chain: Chain, operators: np.ndarray | None, out: list[np.ndarray]) -> Swept:
    """At every place Σ over the future of all factors after it, up to a factor per place; written to `out`.

    The emissions are overwritten by g, emissions times what follows, scaled so that `out` of a step is transitions · g
    of the next one in the piece.
    """
    swept, ends = _nothing(pack), _ends(pack)
    leaving = _leaving(ring, pack, len(chain.start), operators)
    blocks, tilts = _blocks(out), _blocks(chain.emissions)
    back = np.ascontiguousarray(chain.transitions)
    for step in range(len(blocks) - 1, -1, -1):
        block, tilt = blocks[step], tilts[step]
        if step in ends:
            block[:, ends[step]] = leaving[:, ends[step]]
        ring.times(block, tilt, out=tilt)
        if step:
            width = block.shape[1]
            target = blocks[step - 1]
            target = target if target.shape[1] == width else target[:, :width]
            ring.apply(back, tilt, out=target)
            if step % _EVERY == 0:
                swept.note(ring.rescale(target, tilt), slice(width))
    return swept


def _nothing(pack: Pack) -> Swept:
    return Swept(np.zeros(len(pack.sequence)), np.zeros(len(pack.sequence)))


def piece_operators(ring: Arithmetic, pack: Pack, chain: Chain) -> np.ndarray | None:
    """(pieces, k, k), in the order `by_level`: from the state before a piece to the last state in it.

    Before a sequence's first piece stands its first state, not yet weighed by its emission. The future of each entry
    state is a filter of its own and is rescaled on its own, so that an unlikely one keeps its digits. None where no
    sequence is cut.
    """
    if len(pack.levels) == 1:
        return None
    k, pieces = len(chain.start), len(pack.sequence)
    columns = np.repeat(chain.transitions.T[:, :, None], pieces, axis=2)  # (to, from, piece)
    columns[:, :, pack.by_level[: pack.level_bounds[1]]] = ring.number(np.eye(k))[:, :, None]
    ahead = np.ascontiguousarray(chain.transitions.T)
    done, log_factors, step = np.empty_like(columns), np.zeros((k, pieces)), 0
    for slab, table in zip(pack.slabs, chain.emissions):
        columns = np.ascontiguousarray(columns[:, :, : slab.width])
        moved = columns.copy()
        flat, flat_moved = columns.reshape(k, -1), moved.reshape(k, -1)
        for emissions in table[:, :, None]:
            if step:
                ring.apply(ahead, flat, out=flat_moved)
            ring.times(moved, emissions, out=columns)
            if step % _EVERY == _EVERY - 1:
                log_factors[:, : slab.width] += ring.rescale(flat).reshape(k, -1)
            step += 1
        done[:, :, slab.after : slab.width] = columns[:, :, slab.after :]
    log_factors += ring.rescale(done.reshape(k, -1)).reshape(k, -1)
    return np.ascontiguousarray(ring.rejoin(done, log_factors).transpose(2, 1, 0)[pack.by_level])


def _entering(ring: Arithmetic, pack: Pack, chain: Chain, operators: np.ndarray | None) -> np.ndarray:
    """(k, pieces): the first state of each piece given what precedes the piece, not yet weighed by its emission."""
    starts = np.repeat(chain.start[:, None], pack.level_bounds[1], axis=1)
    if operators is None:
        return starts
    vectors = starts.T[:, :, None]  # (sequences, k, 1)
    across = np.ascontiguousarray(np.swapaxes(operators, 1, 2))
    ends = [_one_after_another(ring, across[:-1], vectors[0])] if pack.level_bounds[1] == 1 else []
    for level, (low, high) in enumerate(pack.levels[1:] if not ends else []):
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
    if pack.level_bounds[1] == 1:
        heads_backwards = _one_after_another(ring, operators[:0:-1], nothing[0])
        return _by_piece(pack, _as_columns(ring, np.concatenate([nothing, heads_backwards])[::-1]))
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


def _one_after_another(ring: Arithmetic, matrices: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """(m, k, 1): the vector (k, 1) after the first of matrices (m, k, k), after the second, …; rescaled."""
    after = np.empty((len(matrices), len(vector), 1))
    for step, (matrix, out) in enumerate(zip(matrices, after)):
        vector = ring.apply(matrix, vector, out=out)
        if step % (2 * _EVERY) == 0:  # operators have scale 1 already
            ring.rescale(vector)
    return after


def _as_columns(ring: Arithmetic, vectors: np.ndarray) -> np.ndarray:
    columns = np.ascontiguousarray(vectors[:, :, 0].T)
    ring.rescale(columns)
    return columns


def _by_piece(pack: Pack, columns: np.ndarray) -> np.ndarray:
    """Columns in the order `by_level` as columns in the order of the pieces."""
    ordered = np.empty_like(columns)
    ordered[:, pack.by_level] = columns
    return ordered
