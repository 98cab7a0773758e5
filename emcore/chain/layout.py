"""How sequences lie in the rows of one table, and how they are cut and packed so that a scan steps them together.

A *piece* is a run of consecutive rows of one sequence. Piece by piece a scan takes as many numpy calls as the longest
piece has steps, whatever their number: many short sequences are one piece each, and long ones are cut into pieces.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

_WIDE = 256  # pieces side by side beyond which more would not pay: numpy's overhead per call is paid off
_SHORTEST = 12  # steps of a piece under which cutting does not pay


class Pack(NamedTuple):
    """Pieces side by side, the longest first: their places are (step 0 of all), (step 1 of those that have one), …"""

    places: slice  # of the columns of all packs
    bounds: tuple[int, ...]  # (steps + 1,) where each step begins, counted from the pack's first place
    last: np.ndarray  # (pieces,) place of the last step of each
    sequence: np.ndarray  # (pieces,) which sequence
    # Pieces that are the 0th of their sequence, then the 1st, …; the sequences of a level lead those of the one before.
    by_level: np.ndarray  # (pieces,)
    level_bounds: tuple[int, ...]  # (levels + 1,)

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """The places (from, to) of each step."""
        return list(zip(self.bounds[:-1], self.bounds[1:]))

    @property
    def levels(self) -> list[tuple[int, int]]:
        """The positions (from, to) of each level in `by_level`."""
        return list(zip(self.level_bounds[:-1], self.level_bounds[1:]))

    @property
    def seams(self) -> tuple[np.ndarray, np.ndarray]:
        """Every pair of pieces (before, after) that follow one another in a sequence."""
        sizes = np.diff(self.level_bounds)
        position = np.arange(sizes[0], len(self.by_level))
        return self.by_level[position - np.repeat(sizes[:-1], sizes[1:])], self.by_level[position]


@dataclass(frozen=True, eq=False)
class Layout:
    """Sequences one after another in the rows of a table: their lengths, and the packing for a scan."""

    lengths: np.ndarray  # (n,) steps of each sequence, at least 1

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def n_rows(self) -> int:
        """Steps of all sequences."""
        return int(self.lengths.sum())

    @cached_property
    def firsts(self) -> np.ndarray:
        """The first row of every sequence (n,)."""
        return np.cumsum(self.lengths) - self.lengths

    @cached_property
    def later(self) -> np.ndarray:
        """The rows that are not the first of their sequence (t - n,)."""
        return np.delete(np.arange(self.n_rows), self.firsts)

    @cached_property
    def sequence(self) -> np.ndarray:
        """The sequence that each row belongs to (t,)."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def sum_rows(self, values: np.ndarray) -> np.ndarray:
        """Σ over the rows of each sequence (n,) of values (t,)."""
        return np.add.reduceat(values, self.firsts)

    def subset(self, sequences: Any) -> tuple["Layout", np.ndarray]:
        """The layout of some of the sequences, and their rows in the present table."""
        chosen = np.arange(len(self))[sequences]
        lengths = self.lengths[chosen]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return Layout(lengths), np.repeat(self.firsts[chosen], lengths) + within

    @cached_property
    def order(self) -> np.ndarray:
        """The row at every place of the packs, one pack after another (t,)."""
        return self._packing[0]

    @cached_property
    def inverse(self) -> np.ndarray:
        """The place of every row (t,)."""
        inverse = np.empty(self.n_rows, dtype=np.intp)
        inverse[self.order] = np.arange(self.n_rows)
        return inverse

    @property
    def packs(self) -> tuple[Pack, ...]:
        """Whole sequences, then sequences in pieces; either may be absent."""
        return self._packing[1]

    @cached_property
    def _packing(self) -> tuple[np.ndarray, tuple[Pack, ...]]:
        pieces = self._pieces_per_sequence()
        orders, packs, begin = [], [], 0
        for sequences in (np.flatnonzero(pieces == 1), np.flatnonzero(pieces > 1)):
            if len(sequences):
                order, pack = _pack(self, sequences, pieces[sequences], begin)
                orders.append(order)
                packs.append(pack)
                begin += len(order)
        return np.concatenate(orders), tuple(packs)

    def _pieces_per_sequence(self) -> np.ndarray:
        """1, or more for a sequence so long that few others keep it company to the end.

        A cut costs a sweep for the operators of the pieces (three sweeps instead of two) and one more call for every
        piece in turn; the square root balances the calls.
        """
        longest = int(self.lengths.max())
        steps = max(_SHORTEST, int(np.ceil(np.sqrt(longest))))
        beside = self.n_rows / longest
        if beside >= _WIDE or longest <= 4 * steps:
            return np.ones(len(self), dtype=np.intp)
        return np.maximum(1, -(-self.lengths // steps))


def _pack(layout: Layout, sequences: np.ndarray, pieces: np.ndarray, begin: int) -> tuple[np.ndarray, Pack]:
    """The rows of a pack by place, and the pack. `sequences` (m,) are cut into nearly equal `pieces` (m,) each."""
    owner = np.repeat(np.arange(len(sequences)), pieces)  # position in `sequences`
    level = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    size, extra = np.divmod(layout.lengths[sequences], pieces)
    length = size[owner] + (level < extra[owner])
    first = layout.firsts[sequences][owner] + level * size[owner] + np.minimum(level, extra[owner])

    by_length = np.argsort(-length, kind="stable")
    length, first = length[by_length], first[by_length]
    beside = np.searchsorted(-length, -np.arange(length[0]), side="left")  # pieces longer than s, for every step s
    bounds = np.concatenate([[0], np.cumsum(beside)])
    steps = np.repeat(np.arange(length[0]), beside)
    rank = np.arange(len(steps)) - np.repeat(bounds[:-1], beside)
    by_level, level_bounds = _levels(by_length, pieces)
    pack = Pack(
        places=slice(begin, begin + len(steps)),
        bounds=tuple(bounds.tolist()),
        last=bounds[length - 1] + np.arange(len(length)),
        sequence=sequences[owner[by_length]],
        by_level=by_level,
        level_bounds=level_bounds,
    )
    return first[rank] + steps, pack


def _levels(by_length: np.ndarray, pieces: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    rank = np.empty_like(by_length)
    rank[by_length] = np.arange(len(by_length))
    begin = np.cumsum(pieces) - pieces
    most_first = np.argsort(-pieces, kind="stable")
    sizes = [int((pieces > level).sum()) for level in range(int(pieces.max()))]
    members = [rank[begin[most_first[:size]] + level] for level, size in enumerate(sizes)]
    return np.concatenate(members), tuple(np.cumsum([0, *sizes]).tolist())


def as_lengths(lengths: Any, n_rows: int) -> np.ndarray:
    """Lengths of sequences as integers (n,); TypeError or ValueError where they do not cut n_rows rows."""
    array = np.asarray(lengths)
    if array.dtype.kind not in "iu":
        raise TypeError(f"lengths must hold whole numbers, but their dtype is {array.dtype}")
    if array.ndim != 1 or len(array) == 0:
        raise ValueError(f"lengths must be one number per sequence, (n,), but their shape is {array.shape}")
    if (array < 1).any():
        place = int(np.flatnonzero(array < 1)[0])
        raise ValueError(f"every sequence needs at least one step, but lengths[{place}] is {array[place]}")
    if int(array.sum()) != n_rows:
        raise ValueError(f"lengths add up to {int(array.sum())}, but x has {n_rows} rows")
    return array.astype(np.intp)


@dataclass(frozen=True, eq=False)
class Sequences:
    """Checked data of a Markov model: rows x (t, d) and where each sequence lies. Its length is the number of them."""

    x: np.ndarray
    layout: Layout

    def __len__(self) -> int:
        return len(self.layout)

    def __getitem__(self, index: Any) -> "Sequences":
        """Some of the sequences."""
        layout, rows = self.layout.subset(index)
        return Sequences(self.x[rows], layout)

    @property
    def shape(self) -> tuple[int, ...]:
        """(t, d), as a plain table's."""
        return self.x.shape

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each sequence (n,)."""
        return self.layout.lengths

    def per_row(self, weight: np.ndarray | None) -> np.ndarray | None:
        """Weights of sequences (n,) as weights of rows (t,)."""
        return None if weight is None else weight[self.layout.sequence]
