"""How sequences lie in the rows of one table, and how they are cut and packed so that a scan steps them together.

A *piece* is a run of consecutive rows of one sequence. Piece by piece a scan takes as many numpy calls as the longest
piece has steps, whatever their number: many short sequences are one piece each, and long ones are cut into pieces.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from emcore.numerics import row_blocks

_WIDE = 256  # pieces side by side beyond which more would not pay: numpy's overhead per call is paid off
_SHORTEST = 12  # steps of a piece under which cutting does not pay


class Slab(NamedTuple):
    """Consecutive steps that the same pieces have, those ranked below `width`."""

    places: slice  # of the pack's
    steps: int
    width: int
    after: int  # width of the next slab: the pieces ranked from here on end with this one


class Pack(NamedTuple):
    """Pieces side by side, the longest first: their places are (step 0 of all), (step 1 of those that have one), …"""

    places: slice  # of the columns of all packs
    slabs: tuple[Slab, ...]
    sequence: np.ndarray  # (pieces,) which sequence
    # Pieces that are the 0th of their sequence, then the 1st, …; the sequences of a level lead those of the one before.
    by_level: np.ndarray  # (pieces,)
    level_bounds: tuple[int, ...]  # (levels + 1,)

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

    def tables(self, flat: np.ndarray, k: int) -> list[np.ndarray]:
        """The pack's part of `flat` (k · places of all packs,) as one table (steps, k, width) for every slab.

        So each step is one contiguous block, states by pieces: what a scan needs to be quick.
        """
        own = flat[k * self.places.start : k * self.places.stop]
        shapes = [(slab.steps, k, slab.width) for slab in self.slabs]
        return [own[k * slab.places.start : k * slab.places.stop].reshape(*s) for slab, s in zip(self.slabs, shapes)]

    def chunks(self, size: int) -> Iterator[tuple[int, slice, slice]]:
        """Consecutive steps of one slab with about `size` places: which slab, which of its steps, places of all packs.

        Work done chunk by chunk stays in the cache from one operation to the next.
        """
        for number, slab in enumerate(self.slabs):
            begin = self.places.start + slab.places.start
            for steps in row_blocks(slab.steps, max(1, size // slab.width)):
                yield number, steps, slice(begin + steps.start * slab.width, begin + steps.stop * slab.width)

    def heads(self, tables: list[np.ndarray]) -> np.ndarray:
        """The first block of tables: step 0 of every piece (k, pieces)."""
        return tables[0][0]

    def tails(self, tables: list[np.ndarray]) -> np.ndarray:
        """The last step of every piece (k, pieces)."""
        return np.concatenate([t[-1][:, slab.after :] for t, slab in zip(tables[::-1], self.slabs[::-1])], axis=1)

    def spread(self, columns: np.ndarray, flat: np.ndarray) -> list[np.ndarray]:
        """The tables of `flat`, filled with columns (k, t) by place."""
        tables = self.tables(flat, len(columns))
        for table, view in zip(tables, self.views(columns)):
            table[...] = view
        return tables

    def views(self, columns: np.ndarray) -> list[np.ndarray]:
        """The same of columns (…, t) by place: views (steps, …, width), one for every slab."""
        own = columns[..., self.places]
        parts = [own[..., slab.places].reshape(*own.shape[:-1], slab.steps, slab.width) for slab in self.slabs]
        return [np.moveaxis(part, -2, 0) for part in parts]


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

    def place(self, rows: np.ndarray) -> np.ndarray:
        """Rows (t, k) as columns (k, t) by place."""
        return np.take(rows.T, self.order, axis=1)

    def placing(self, rows: np.ndarray) -> Callable[[slice, np.ndarray], object]:
        """A function that writes columns (k, b) of some places, from rows (t, k)."""
        return lambda places, columns: np.take(rows.T, self.order[places], axis=1, out=columns, mode="clip")

    def columns(self, flat: np.ndarray, k: int) -> np.ndarray:
        """Tables (see `Pack.tables`) as columns (k, t) by place."""
        columns = np.empty((k, self.n_rows))
        for pack in self.packs:
            for table, view in zip(pack.tables(flat, k), pack.views(columns)):
                view[...] = table
        return columns

    def by_row(self, flat: np.ndarray, k: int) -> np.ndarray:
        """Tables as rows (t, k)."""
        return np.take(self.columns(flat, k), self.inverse, axis=1, mode="clip").T

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
        steps = max(_SHORTEST, int(np.ceil(np.sqrt(longest / 2))))
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
    steps = np.repeat(np.arange(length[0]), beside)
    rank = np.arange(len(steps)) - np.repeat(np.cumsum(beside) - beside, beside)
    by_level, level_bounds = _levels(by_length, pieces)
    pack = Pack(
        places=slice(begin, begin + len(steps)),
        slabs=tuple(_slabs(beside)),
        sequence=sequences[owner[by_length]],
        by_level=by_level,
        level_bounds=level_bounds,
    )
    return first[rank] + steps, pack


def _slabs(widths: np.ndarray) -> Iterator[Slab]:
    """Runs of equal widths (steps,)."""
    begins = [0, *(np.flatnonzero(np.diff(widths)) + 1).tolist(), len(widths)]
    place = 0
    for low, high in pairwise(begins):
        width = int(widths[low])
        size = width * (high - low)
        after = int(widths[high]) if high < len(widths) else 0
        yield Slab(slice(place, place + size), high - low, width, after)
        place += size


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
    _made: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.layout)

    def __getitem__(self, index: Any) -> "Sequences":
        """Some of the sequences."""
        layout, rows = self.layout.subset(index)
        return Sequences(self.x[rows], layout)

    @cached_property
    def placed(self) -> np.ndarray:
        """The rows of x by place (see `Layout.order`)."""
        return self.x[self.layout.order]

    def once(self, make: Callable[[Any, np.ndarray], Any], what: Any) -> Any:
        """make(what, rows by place), made when first asked for and kept as long as the data."""
        if (make, what) not in self._made:
            self._made[make, what] = make(what, self.placed)
        return self._made[make, what]

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
