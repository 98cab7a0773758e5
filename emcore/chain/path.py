"""The most probable path of a chain.

Reference: Viterbi (1967), IEEE Trans. Inform. Theory 13, 260-269.
"""

from typing import Any

import numpy as np

from emcore.chain.arithmetic import MaxPlus
from emcore.chain.layout import Layout
from emcore.chain.scan import Chain, forward, piece_operators
from emcore.chain.smooth import column_tops, refuse_impossible
from emcore.numerics import row_blocks

_BLOCK = 4096


def most_probable_path(
    start: np.ndarray, transitions: np.ndarray, log_emissions: np.ndarray, layout: Layout
) -> np.ndarray:
    """argmax_z of start · Π transitions · Π exp(log_emissions) for every sequence, as states (t,).

    In logarithms, so that nothing underflows; of equally probable paths, one. Raises ValueError naming the sequence
    where no path has positive probability.
    """
    columns, k = layout.place(log_emissions), len(start)
    column_tops(columns, layout.order)
    ring = MaxPlus()
    emissions, best = np.empty(columns.size), np.empty(columns.size)
    log_start, log_transitions = ring.number(start), ring.number(transitions)
    with np.errstate(invalid="ignore"):
        for pack in layout.packs:
            chain = Chain(log_start, log_transitions, pack.spread(columns, emissions))
            forward(ring, pack, chain, piece_operators(ring, pack, chain), pack.tables(best, k))
    by_row = layout.by_row(best, k)
    ends = by_row[layout.firsts + layout.lengths - 1]
    refuse_impossible(ends.max(axis=1), start, transitions, log_emissions, layout)
    return _trace_back(by_row, log_transitions, layout)


def _trace_back(best: np.ndarray, log_transitions: np.ndarray, layout: Layout) -> np.ndarray:
    """The path from best scores (t, k) of paths that end at each row in each state."""
    came_from = np.zeros(best.shape, dtype=np.intp)
    for block in row_blocks(len(layout.later), _BLOCK):
        rows = layout.later[block]
        came_from[rows] = (best[rows - 1][:, :, None] + log_transitions).argmax(axis=1)
    pointers: Any = came_from.tolist()  # one step at a time: lists are faster than arrays
    path = np.empty(len(best), dtype=np.intp)
    for sequence, first in enumerate(layout.firsts):
        last = int(first + layout.lengths[sequence]) - 1
        state = int(best[last].argmax())
        for row in range(last, int(first) - 1, -1):
            path[row] = state
            state = pointers[row][state]
    return path
