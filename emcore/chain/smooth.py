"""Exact smoothing of a chain: marginals and messages by scaled numbers, by logarithms where those lose digits."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from emcore.chain.arithmetic import Logs, Scaled
from emcore.chain.layout import Layout, Pack
from emcore.chain.scan import Chain, backward, forward, piece_operators
from emcore.chain.tables import Packed, RowTables

_LEAST_FACTOR = np.log(1e-60)  # of eight steps; under it a state that underflowed might have mattered
_LEAST_OVERLAP = 1e-200  # of past and future at a step
_CHUNK = 16_384  # places at once where nothing runs along the chain
_SEAM = 1e-10  # relative disagreement of the two ways to a piece's entry


Fill = Callable[[slice, np.ndarray], object]


class Smoothed(NamedTuple):
    """Marginals, tilts and log normalisers. A tilt g_s makes p(z_s | z_s-1, all data) ∝ transitions · g_s."""

    tables: Packed | RowTables
    log_tilts: np.ndarray | None  # (t, k) by row, where some sequence needed logarithms
    log_total: np.ndarray  # (n,) log Σ_z of the product of the factors; -inf where a sequence is impossible


def smooth(start: np.ndarray, transitions: np.ndarray, fill: Fill, layout: Layout) -> Smoothed:
    """All marginals of p(z) ∝ Π start Π transitions Π exp(log emissions), from one pass forward and one back.

    `fill` writes the log emissions of a slice of places (see `Layout`) into columns (k, b); they may hold -inf; NaN or
    +inf raise ValueError.
    Rescaled numbers first. They are kept only where a check proves that no underflow can have mattered; the other
    sequences are done again in logarithms.
    """
    k = len(start)
    first, emissions, past, after = np.empty((4, k * layout.n_rows))  # in one piece: malloc keeps it for the next pass
    columns = first.reshape(k, -1)
    log_total, doubts = np.zeros(len(layout)), np.zeros(len(layout))
    with np.errstate(all="ignore"):
        for pack in layout.packs:
            tables = pack.tables(emissions, k)
            tops = _emissions(pack, layout, fill, columns, tables)
            chain = Chain(start, transitions, tables)
            log_scale, doubtful = _scaled_passes(pack, chain, pack.tables(past, k), pack.tables(after, k))
            log_scale += tops
            log_total += np.bincount(pack.sequence, log_scale, minlength=len(layout))
            doubts += np.bincount(pack.sequence, doubtful, minlength=len(layout))
    packed = Packed(layout, transitions, past, after, emissions, columns)
    if not doubts.any():
        return Smoothed(packed, None, log_total)
    return _again_in_logs(packed, log_total, np.flatnonzero(doubts), start, transitions, layout)


def log_totals(start: np.ndarray, transitions: np.ndarray, log_emissions: np.ndarray, layout: Layout) -> np.ndarray:
    """log Σ_z of the product of the factors (n,), of log_emissions (t, k) by row; -inf where one is impossible."""
    return smooth(start, transitions, layout.placing(log_emissions), layout).log_total


def _again_in_logs(
    packed: Packed,
    log_total: np.ndarray,
    doubtful: np.ndarray,
    start: np.ndarray,
    transitions: np.ndarray,
    layout: Layout,
) -> Smoothed:
    """The sequences numbered in `doubtful` done again in logarithms."""
    part, rows = layout.subset(doubtful)
    tables = RowTables(packed.probs, packed.tilts, packed.log_emissions)
    probs, log_tilts, totals = smooth_in_logs(start, transitions, tables.log_emissions[rows], part)
    with np.errstate(divide="ignore", invalid="ignore"):
        everywhere = np.log(tables.tilts)
    everywhere[rows] = log_tilts
    tables.probs[rows] = probs
    log_total[doubtful] = totals
    return Smoothed(tables, everywhere, log_total)


def smooth_in_logs(
    start: np.ndarray, transitions: np.ndarray, log_emissions: np.ndarray, layout: Layout
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Marginals and log tilts (t, k) by row, and log Σ (n,); marginals are 0 in an impossible sequence."""
    columns, k = layout.place(log_emissions), len(start)
    emissions, past, after = np.empty(columns.size), np.empty(columns.size), np.empty(columns.size)
    log_total, ring = np.zeros(len(layout)), Logs()
    with np.errstate(all="ignore"):
        for pack in layout.packs:
            chain = Chain(ring.number(start), ring.number(transitions), pack.spread(columns, emissions))
            pasts, afters = pack.tables(past, k), pack.tables(after, k)
            operators = piece_operators(ring, pack, chain)
            swept = forward(ring, pack, chain, operators, pasts)
            backward(ring, pack, chain, operators, afters)
            log_total += np.bincount(pack.sequence, swept.log_scale, minlength=len(layout))
            for before, behind in zip(pasts, afters):
                before += behind
                ring.rescale(before)
    return np.exp(layout.by_row(past, k)), layout.by_row(emissions, k), log_total


def _emissions(pack: Pack, layout: Layout, fill: Fill, columns: np.ndarray, tables: list[np.ndarray]) -> np.ndarray:
    """Fill columns (k, t) and the tables of a pack, each place divided by its largest; their log Σ (pieces,)."""
    tops = np.zeros(len(pack.sequence))
    for slab, steps, places in pack.chunks(_CHUNK):
        logs = columns[:, places]
        fill(places, logs)
        top = np.maximum(column_tops(logs, layout.order[places]), np.finfo(float).min)
        table = tables[slab][steps]
        apart = logs.reshape(len(logs), *table.shape[::2]).transpose(1, 0, 2)
        np.exp(np.subtract(apart, top.reshape(len(table), 1, -1), out=table), out=table)
        top[top == np.finfo(float).min] = 0.0
        tops[: table.shape[2]] += top.reshape(len(table), -1).sum(axis=0)
    return tops


def column_tops(columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The largest log emission at every place (t,); ValueError naming one of the `rows` (t,) for NaN or +inf."""
    top = columns.max(axis=0)
    bad = ~(top < np.inf)
    if bad.any():
        row = int(rows[bad].min())
        raise ValueError(f"row {row} of x has log p(x | z) = {top[rows == row][0]}: check the parameters and the data")
    return top


def refuse_impossible(
    log_total: np.ndarray, start: np.ndarray, transitions: np.ndarray, log_emissions: np.ndarray, layout: Layout
) -> None:
    """ValueError naming the first sequence without any path, and the step at which the last one ends."""
    if (log_total > -np.inf).all():
        return
    sequence = int(np.argmin(log_total))
    first = int(layout.firsts[sequence])
    alive, step = (start > 0) & (log_emissions[first] > -np.inf), 0
    while alive.any() and step + 1 < layout.lengths[sequence]:
        step += 1
        alive = ((alive @ (transitions > 0)) > 0) & (log_emissions[first + step] > -np.inf)
    raise ValueError(
        f"sequence {sequence} is impossible: no state that can be reached at its step {step} (row {first + step} of x) "
        "gives that row a positive probability; check the zeros in start, transitions and the other parameters"
    )


def _scaled_passes(
    pack: Pack, chain: Chain, past: list[np.ndarray], after: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Fill past with past / (past · future) and after with marginals; log Σ and doubts (pieces,)."""
    ring, operators = Scaled(), piece_operators(Scaled(), pack, chain)
    before = forward(ring, pack, chain, operators, past)
    entered = _enters_as_handed_over(pack, chain, past)
    behind = backward(ring, pack, chain, operators, after)
    doubtful = ~(np.minimum(before.least, behind.least) >= _LEAST_FACTOR)
    doubtful |= ~(entered & _leaves_as_handed_over(pack, chain, after))
    for slab, steps, _ in pack.chunks(_CHUNK):
        ahead, back = past[slab][steps], after[slab][steps]
        back *= ahead
        overlap = np.add.reduce(back, axis=1)
        doubtful[: overlap.shape[1]] |= ~(overlap > _LEAST_OVERLAP).all(axis=0)
        np.divide(1.0, overlap, out=overlap)
        back *= overlap[:, None]
        ahead *= overlap[:, None]
    return before.log_scale, doubtful


def _enters_as_handed_over(pack: Pack, chain: Chain, past: list[np.ndarray]) -> np.ndarray:
    """(pieces,) whether what enters a piece is what the one before it, swept with known ends, hands over."""
    held, (before, here) = np.ones(len(pack.sequence), dtype=bool), pack.seams
    if len(here):
        handed = (chain.transitions.T @ pack.tails(past)[:, before]) * pack.heads(chain.emissions)[:, here]
        held[here] = _agree(pack.heads(past)[:, here], handed)
    return held


def _leaves_as_handed_over(pack: Pack, chain: Chain, after: list[np.ndarray]) -> np.ndarray:
    """(pieces,) the same of what the piece behind says; the emissions hold the tilts by now."""
    held, (before, here) = np.ones(len(pack.sequence), dtype=bool), pack.seams
    if len(here):
        handed = chain.transitions @ pack.heads(chain.emissions)[:, here]
        held[here] = _agree(pack.tails(after)[:, before], handed / handed.sum(axis=0))
    return held


def _agree(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (np.abs(a - b) <= _SEAM * b + _LEAST_OVERLAP).all(axis=0)
