"""When EM has arrived, and how it ended.

A small gain is not nearness: EM converges linearly at the rate r = the fraction of missing information, so what is
left is about gain·r/(1 - r). Two tests must pass: the gain per row, and the distance left in the parameters.
Reference: Dempster, Laird & Rubin (1977); Lindstrom & Bates (1988), J. Amer. Statist. Assoc. 83, 1014-1022.
"""

from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np

from emcore.trees import leaves

_ROUNDING = 1e-13  # a relative change of parameters that is noise
_FALL = 1e-9  # a relative fall of the objective that is not


class Status(StrEnum):
    """How a fit ended."""

    CONVERGED = "CONVERGED"
    MAX_ITER = "MAX_ITER"
    DECREASED = "DECREASED"
    DEGENERATE = "DEGENERATE"
    NONFINITE = "NONFINITE"


class Progress(NamedTuple):
    """What the stopping rule looks at after an iteration."""

    objective: float
    gain: float = np.inf  # objective now - before
    change: float = np.inf  # of the parameters, relative (see `parameter_change`)
    rate: float = np.inf  # change now / change before


def parameter_change(new: Any, old: Any) -> float:
    """The largest change of a number in the params, relative to the largest of its kind over components."""
    worst = 0.0
    for a, b in zip(leaves(new), leaves(old)):
        if a.size:
            scale = np.abs(a).max(axis=0) if a.ndim > 1 else np.abs(a).max()
            difference = np.abs(a - b)
            worst = max(worst, float((difference / np.where(scale > 0, scale, 1.0)).max()))
    return worst


def distance_left(progress: Progress) -> float:
    """Estimated relative distance of the parameters from their limit, change/(1 - rate): linear convergence."""
    if progress.change <= _ROUNDING:
        return 0.0
    return progress.change / (1.0 - progress.rate) if progress.rate < 1.0 else np.inf


def verdict(progress: Progress, n_rows: float, tol: float, *, monotone: bool) -> tuple[Status, str] | None:
    """The status that this iteration ends with and a sentence about it, or None to go on.

    Converged: the gain is at most `tol` nats per row (or rounding of the objective), and the distance left is at most
    √tol/10. A fall of more than 1e-9 of the objective is DECREASED where a rise was promised.
    """
    if not np.isfinite(progress.objective):
        return Status.NONFINITE, (
            f"the objective became {progress.objective}; the parameters returned are the last finite ones: "
            "check the start and the scale of the data"
        )
    size = abs(progress.objective) + n_rows
    if monotone and progress.gain < -_FALL * size:
        return Status.DECREASED, (
            f"the objective fell by {-progress.gain:.3g} nats in one iteration, which an exact E-step and M-step "
            "cannot do: the M-step does not maximise what log_prior and log_joint say"
        )
    if tol == 0:
        return None
    settled = abs(progress.gain) <= max(tol * n_rows, 4 * np.finfo(float).eps * size)
    if settled and distance_left(progress) <= 0.1 * np.sqrt(tol):
        return Status.CONVERGED, (
            f"the last iteration gained {max(progress.gain, 0.0):.2g} nats, and the parameters are estimated to be "
            f"within {max(distance_left(progress), _ROUNDING):.1g} (relative) of a stationary point"
        )
    return None
