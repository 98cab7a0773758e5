"""Exact smoothing of a chain: marginals and messages by scaled numbers, by logarithms where those lose digits."""

from typing import NamedTuple

import numpy as np

from emcore.chain.arithmetic import Arithmetic, Logs, Scaled
from emcore.chain.layout import Layout, Pack
from emcore.chain.scan import Chain, Swept, backward, forward, piece_operators

_LEAST_FACTOR = np.log(1e-60)  # of eight steps; under it a state that underflowed might have mattered
_LEAST_OVERLAP = 1e-200  # of past and future at a step
_SEAM = 1e-10  # relative disagreement of the two ways to a piece's entry


class Smoothed(NamedTuple):
    """Marginals, tilts and log normalisers. A tilt g_s makes p(z_s | z_s-1, all data) ∝ transitions · g_s."""

    probs: np.ndarray  # (t, k); zeros in an impossible sequence
    tilts: np.ndarray  # (t, k), each row up to a factor
    log_tilts: np.ndarray | None  # (t, k) where some sequence needed logarithms
    log_total: np.ndarray  # (n,) log Σ_z of the product of the factors; -inf where a sequence is impossible


def smooth(start: np.ndarray, transitions: np.ndarray, log_emissions: np.ndarray, layout: Layout) -> Smoothed:
    """All marginals of p(z) ∝ Π start Π transitions Π exp(log_emissions), from one pass forward and one back.

    Rescaled numbers first. They are kept only where a check proves that no underflow can have mattered; the other
    sequences are done again in logarithms. `log_emissions` (t, k) may hold -inf; NaN or +inf raise ValueError.
    """
    top = row_tops(log_emissions)
    top = np.where(top > -np.inf, top, 0.0)
    emissions = np.take(log_emissions.T - top, layout.order, axis=1)
    past, after = np.empty_like(emissions), np.empty_like(emissions)
    with np.errstate(all="ignore"):
        np.exp(emissions, out=emissions)
        log_total, sound = _scaled_passes(Chain(start, transitions, emissions), layout, past, after)
        overlap = np.multiply(past, after, out=past).sum(axis=0)
        past /= overlap
    sound &= _all_rows(layout, overlap > _LEAST_OVERLAP)
    after *= emissions
    probs = np.take(past, layout.inverse, axis=1, out=emissions, mode="clip").T
    tilts = np.take(after, layout.inverse, axis=1, out=past, mode="clip").T
    smoothed = Smoothed(probs, tilts, None, log_total + layout.sum_rows(top))
    if sound.all():
        return smoothed
    return _again_in_logs(smoothed, np.flatnonzero(~sound), start, transitions, log_emissions, layout)


def log_totals(start: np.ndarray, transitions: np.ndarray, log_emissions: np.ndarray, layout: Layout) -> np.ndarray:
    """log Σ_z of the product of the factors (n,); -inf where a sequence is impossible."""
    return smooth(start, transitions, log_emissions, layout).log_total


def _again_in_logs(
    smoothed: Smoothed,
    doubtful: np.ndarray,
    start: np.ndarray,
    transitions: np.ndarray,
    log_emissions: np.ndarray,
    layout: Layout,
) -> Smoothed:
    """`smoothed` with the sequences numbered in `doubtful` done again in logarithms."""
    part, rows = layout.subset(doubtful)
    probs, log_tilts, log_total = smooth_in_logs(start, transitions, log_emissions[rows], part)
    with np.errstate(divide="ignore"):
        everywhere = np.log(smoothed.tilts)
    everywhere[rows] = log_tilts
    smoothed.probs[rows] = probs
    smoothed.log_total[doubtful] = log_total
    return smoothed._replace(log_tilts=everywhere)


def smooth_in_logs(
    start: np.ndarray, transitions: np.ndarray, log_emissions: np.ndarray, layout: Layout
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Marginals and log tilts (t, k), and log Σ (n,), by logarithms; marginals are 0 in an impossible sequence."""
    emissions = np.take(log_emissions.T, layout.order, axis=1)
    past, after = np.empty_like(emissions), np.empty_like(emissions)
    log_total = np.zeros(len(layout))
    ring = Logs()
    with np.errstate(all="ignore"):
        chain = Chain(ring.number(start), ring.number(transitions), emissions)
        for pack in layout.packs:
            part = chain._replace(emissions=emissions[:, pack.places])
            swept, _ = _both_passes(ring, pack, part, past[:, pack.places], after[:, pack.places])
            log_total += np.bincount(pack.sequence, swept.log_scale, minlength=len(layout))
        past += after
        ring.rescale(past)
        after += emissions
    return np.exp(past[:, layout.inverse]).T, after[:, layout.inverse].T, log_total


def row_tops(log_emissions: np.ndarray) -> np.ndarray:
    """The largest entry of every row (t,); ValueError where that is NaN or +inf."""
    top = log_emissions.T.max(axis=0)
    bad = np.isnan(top) | (top == np.inf)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(f"row {row} of x has log p(x | z) = {top[row]}: check the parameters and the data")
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


def _all_rows(layout: Layout, flags: np.ndarray) -> np.ndarray:
    """(n,) whether a flag given by place holds at every row of a sequence."""
    if flags.all():
        return np.ones(len(layout), dtype=bool)
    return np.bincount(layout.sequence[layout.order[~flags]], minlength=len(layout)) == 0


def _scaled_passes(chain: Chain, layout: Layout, past: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fill past and after (k, t) by place; log Σ and soundness (n,)."""
    log_total, doubts = np.zeros(len(layout)), np.zeros(len(layout))
    for pack in layout.packs:
        part = chain._replace(emissions=chain.emissions[:, pack.places])
        before, behind = _both_passes(Scaled(), pack, part, past[:, pack.places], after[:, pack.places])
        log_total += np.bincount(pack.sequence, before.log_scale, minlength=len(layout))
        doubtful = ~(np.minimum(before.least, behind.least) >= _LEAST_FACTOR)
        doubtful |= ~_seams_hold(pack, part, before, behind)
        doubts += np.bincount(pack.sequence, doubtful, minlength=len(layout))
    return log_total, doubts == 0


def _both_passes(
    ring: Arithmetic, pack: Pack, chain: Chain, past: np.ndarray, after: np.ndarray
) -> tuple[Swept, Swept]:
    operators = piece_operators(ring, pack, chain)
    return forward(ring, pack, chain, operators, past), backward(ring, pack, chain, operators, after)


def _seams_hold(pack: Pack, chain: Chain, past: Swept, after: Swept) -> np.ndarray:
    """(pieces,) whether what enters a piece is what its neighbour, swept with known ends, hands over."""
    held = np.ones(len(pack.last), dtype=bool)
    before, here = pack.seams
    ends = pack.last[before]
    entering = (chain.transitions.T @ past.columns[:, ends]) * chain.emissions[:, here]
    leaving = chain.transitions @ (chain.emissions[:, here] * after.columns[:, here])
    leaving /= leaving.sum(axis=0)
    held[here] = _agree(past.columns[:, here], entering) & _agree(after.columns[:, ends], leaving)
    return held


def _agree(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (np.abs(a - b) <= _SEAM * b + _LEAST_OVERLAP).all(axis=0)
