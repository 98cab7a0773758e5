"""When EM has arrived, and how it ended.

A small gain is not nearness: EM converges linearly at the rate r = the fraction of missing information, so what is
left is about gain·r/(1 - r). Two tests must pass: the gain per row, and the distance left in the parameters.
Reference: Dempster, Laird & Rubin (1977); Lindstrom & Bates (1988), J. Amer. Statist. Assoc. 83, 1014-1022.
"""

from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np

from emcore.trees import leaves

EPSILON = float(np.finfo(np.float64).eps)
_ROUNDING = 1e-13  # a relative change of parameters that is noise
_FALL = 1e-9  # a relative fall of the objective that is not


class Status(StrEnum):
    """How a fit ended."""

    CONVERGED = "CONVERGED"
    MAX_ITER = "MAX_ITER"
    DECREASED = "DECREASED"
    DEGENERATE = "DEGENERATE"
    NONFINITE = "NONFINITE"
    INTERRUPTED = "INTERRUPTED"  # by Ctrl-C, in a fit to a stream


LOST = frozenset({Status.DEGENERATE, Status.NONFINITE})  # the values of such a run are those of no model worth having


class Run(NamedTuple):
    """One start and where it ended."""

    start: Any  # params
    params: Any
    objective: float
    log_likelihood: float
    n_iter: int  # M-steps taken; accepted steps of an accelerated run
    status: Status
    message: str
    n_evaluations: int  # of the EM map: passes over the data, those of rejected candidates included

    @property
    def sound(self) -> bool:
        """Whether it may be chosen as the best."""
        return self.status not in LOST and bool(np.isfinite(self.objective))


class Progress(NamedTuple):
    """What the stopping rule looks at after an iteration: numbers, or arrays for runs side by side."""

    objective: Any
    gain: Any = np.inf  # objective now - before
    change: Any = np.inf  # of the parameters, relative (see `parameter_change`); asked for once the gain has settled
    rate: Any = np.inf  # change now / change before


def parameter_change(new: Any, old: Any) -> float:
    """The largest change of a number in the params, relative to the largest of its kind over components."""
    return float(parameter_changes(new, old, 1)[0])


def parameter_changes(new: Any, old: Any, n_runs: int) -> np.ndarray:
    """`parameter_change` (n_runs,) of runs side by side, whose params follow one another on every first axis."""
    worst = np.zeros(n_runs)
    for pair in zip(leaves(new), leaves(old)):
        if pair[0].size:
            a, b = (leaf.reshape(n_runs, len(leaf) // n_runs if leaf.ndim else 1, -1) for leaf in pair)
            scale = np.abs(a).max(axis=1, keepdims=True)
            worst = np.maximum(worst, (np.abs(a - b) / np.where(scale > 0, scale, 1.0)).max(axis=(1, 2)))
    return worst


def contraction(change: Any, before: Any) -> Any:
    """The rate: a change of the parameters over the one before; infinite where there is none to compare with."""
    comparable = (before > 0) & (before < np.inf)
    return np.where(comparable, change / np.where(comparable, before, 1.0), np.inf)[()]


def distance_left(progress: Progress) -> Any:
    """Estimated relative distance of the parameters from their limit, change/(1 - rate): linear convergence."""
    slack = np.maximum(1.0 - np.asarray(progress.rate), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(slack > 0, progress.change / slack, np.inf)
    return np.where(progress.change <= np.asarray(_ROUNDING), 0.0, left)[()]


def is_over(progress: Progress, n_rows: float, tol: float, *, monotone: bool, rounding: float = EPSILON) -> Any:
    """Where `verdict` has something to say: a boolean, or an array of them for runs side by side."""
    lost = ~np.isfinite(progress.objective)
    if monotone:
        lost = lost | _has_fallen(progress, n_rows, rounding)
    return lost | _has_arrived(progress, n_rows, tol, rounding)


def _has_fallen(progress: Progress, n_rows: float, rounding: float) -> Any:
    return progress.gain < -max(_FALL, 10.0 * rounding) * (np.abs(progress.objective) + n_rows)


def is_settled(objective: Any, gain: Any, n_rows: float, tol: float, rounding: float = EPSILON) -> Any:
    """Where the gain is small enough for the parameters to be looked at; nowhere with tol 0."""
    if tol == 0:
        return np.zeros(np.shape(gain), dtype=bool)
    size = np.abs(objective) + n_rows
    return np.abs(gain) <= np.maximum(tol * n_rows, 4.0 * rounding * size)


def _has_arrived(progress: Progress, n_rows: float, tol: float, rounding: float) -> Any:
    settled = is_settled(progress.objective, progress.gain, n_rows, tol, rounding)
    return settled & (distance_left(progress) <= 0.1 * np.sqrt(tol)) if np.any(settled) else settled


def verdict(
    progress: Progress, n_rows: float, tol: float, *, monotone: bool, rounding: float = EPSILON
) -> tuple[Status, str] | None:
    """The status that this iteration ends with and a sentence about it, or None to go on.

    Converged: the gain is at most `tol` nats per row (or rounding of the objective), and the distance left is at most
    √tol/10. A fall of more than 1e-9 of the objective is DECREASED where a rise was promised. `rounding` is that of
    the numbers that the objective was summed from.
    """
    if not np.isfinite(progress.objective):
        return Status.NONFINITE, (
            f"the objective became {progress.objective}; the parameters returned are the last finite ones: "
            "check the start and the scale of the data"
        )
    if monotone and _has_fallen(progress, n_rows, rounding):
        return Status.DECREASED, (
            f"the objective fell by {-progress.gain:.3g} nats in one iteration, which an exact E-step and M-step "
            "cannot do: the M-step does not maximise what log_prior and log_joint say"
        )
    if not _has_arrived(progress, n_rows, tol, rounding):
        return None
    return Status.CONVERGED, (
        f"the last iteration gained {max(progress.gain, 0.0):.2g} nats, and the parameters are estimated to be "
        f"within {max(distance_left(progress), _ROUNDING):.1g} (relative) of a stationary point"
    )


def check_tol(tol: Any) -> None:
    """ValueError for what is no tolerance."""
    if not (isinstance(tol, int | float | np.number) and 0 <= float(tol) < np.inf):
        raise ValueError(f"tol must be a number ≥ 0 (nats per row), not {tol!r}")


def out_of_iterations(max_iter: int, gain: float) -> tuple[Status, str]:
    """How a run ends that was not there yet."""
    return Status.MAX_ITER, f"stopped after {max_iter} iterations; the last one still gained {gain:.2g} nats"
