"""Online EM: the statistics follow the stream with a shrinking step, and the parameters follow the statistics.

s_t = (1 - γ_t) s_t-1 + γ_t · (statistics of block t at θ_t-1, per unit of weight),   θ_t = M-step of s_t
Reference: Cappé & Moulines (2009), J. R. Statist. Soc. B 71, 593-613; with blocks, "stepwise EM": Liang & Klein (2009),
NAACL-HLT, 611-619. γ_t = t^-power (Robbins & Monro 1951 ask for 1/2 < power ≤ 1).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from emcore.numerics import DegenerateError
from emcore.stopping import Status
from emcore.stream.blocks import Survey, Totals, add_surveys, join, survey
from emcore.stream.progress import Meter


@dataclass(frozen=True)
class Stepwise:
    """Online EM in one reading: after block t the statistics move by the share γ_t = t^-power towards the block's own.

    The first block counts wholly, and one with fewer rows than the largest so far counts in proportion. With power = 1
    every block weighs the same for ever, those seen with poor parameters too; towards 1/2 the past is forgotten faster
    and the noise of single blocks stays. Cappé & Moulines (2009) recommend 0.6.

    `evaluate`: read the source once more, for log p(x) at the final params. In `StreamFit.history`: log p of each
    block, at the params before it was learnt from. Named starts are made from the first rows of the stream.
    """

    power: float = 0.6
    evaluate: bool = True

    def __post_init__(self) -> None:
        if not (isinstance(self.power, int | float) and 0.5 < self.power <= 1.0):
            raise ValueError(f"power must be above 1/2 and at most 1, not {self.power!r}")

    def step(self, block: int) -> float:
        """γ_t of block t = 1, 2, …"""
        return float(block) ** -self.power


def scaled(stats: Any, factor: float) -> Any:
    """The statistics of the same rows with all weights multiplied by `factor`.

    Addition shows which numbers are sums and which are means: with s ∪ s the former double and the latter stay.
    """
    return _scaled(stats, join(stats, stats), factor)


def _scaled(one: Any, two: Any, factor: float) -> Any:
    if isinstance(one, tuple):
        parts = [_scaled(a, b, factor) for a, b in zip(one, two)]
        return type(one)(*parts) if hasattr(one, "_fields") else tuple(parts)
    if not isinstance(one, np.ndarray | float | int | np.generic):
        return one  # what statistics carry besides numbers
    extra = two - one
    return (one - extra) + factor * extra if np.any(extra) else one


class Walk(NamedTuple):
    """Where online EM ended."""

    params: Any
    n_blocks: int
    n_rows: int
    weight: float
    history: tuple[float, ...]
    status: Status
    message: str


def head(
    blocks: Iterator[Any], model: Any, weight: str | None, size: int, seed: int
) -> tuple[Survey | None, list[Any]]:
    """The survey of the first blocks, as many as make `size` rows, and these blocks."""
    found, kept = None, []
    for index, block in zip(count(), blocks):
        kept.append(block)
        found = add_surveys(found, survey(block, (index, 0), model, weight, size, seed), size)
        if found is not None and found.n_rows >= size:
            break
    return found, kept


class _Average:
    """The statistics that follow the stream, per unit of weight."""

    def __init__(self, scheme: Stepwise) -> None:
        self._scheme, self._stats = scheme, None
        self._largest = self.weight = 0.0
        self._blocks = 0

    def follow(self, stats: Any, weight: float) -> Any:
        """Take in the statistics of a block; those of all blocks so far, as large as their weight."""
        self._blocks += 1
        self._largest, self.weight = max(self._largest, weight), self.weight + weight
        step = self._scheme.step(self._blocks) * weight / self._largest
        own = scaled(stats, step / weight)
        self._stats = own if self._stats is None else join(scaled(self._stats, 1.0 - step), own)
        return scaled(self._stats, self.weight)


def walk(scheme: Stepwise, totals: Iterator[Totals | None], model: Any, params: list[Any], meter: Meter) -> Walk:
    """One reading. `totals` are those of every block at `params[-1]`, which moves: the last one is the present one.

    KeyboardInterrupt and degeneracy end it with the params that it has.
    """
    average, history, n_rows = _Average(scheme), [], 0
    status, message = Status.MAX_ITER, ""
    try:
        for part in totals:
            if part is None:
                continue
            history.append(part.log_likelihood)
            n_rows += part.n_rows
            if part.stats is not None:
                params[-1] = model.m_step(average.follow(part.stats, part.weight), params[-1])
            meter.passed(len(history), part.log_likelihood, part.n_rows)
        message = (
            f"one reading of {len(history)} blocks with step sizes t^-{scheme.power:g}; one reading cannot tell "
            "whether it has arrived: go on with exact EM from here (init=fit.params)"
        )
    except DegenerateError as error:
        status, message = Status.DEGENERATE, f"at block {len(history)}: {error}"
    except KeyboardInterrupt:
        status, message = Status.INTERRUPTED, f"interrupted after {len(history)} blocks: the params are the last ones"
    return Walk(params[-1], len(history), n_rows, average.weight, tuple(history), status, message)
