"""What to say of the fits, the folds and the simulated test: numbers in words."""

from collections.abc import Sequence

import numpy as np

from emcore.classroom.selection_rows import Rows
from emcore.selection import BootstrapLRT, Selection
from emcore.trace import Trace

_TRY = "Try fewer components, a simpler covariance or a prior strength above 0."


def run_numbers(trace: Trace) -> tuple[list[tuple[str, str]], float, int]:
    """What to print of a run: its last numbers with their labels, the worst |log p(x) - ELBO - KL|, and its length."""
    last = trace[-1]
    shown = [
        (f"{last.log_likelihood:,.4f}", "log p(x) at the end, nats"),
        (f"{last.elbo:,.4f}", "ELBO at the end"),
        (f"{last.kl:.3g}", "KL(Q ‖ posterior) at the end"),
    ]
    finite = (half for half in trace if np.isfinite(half.kl))  # a probability may underflow to 0 where q does not
    worst = max(abs(half.log_likelihood - half.elbo - half.kl) for half in finite)
    return shown, worst, len(trace)


def simulating(rows: Rows, k: int, n_samples: int) -> tuple[str, str]:
    """What to say while the bootstrap runs."""
    title = f"Simulating {n_samples} samples of {len(rows.x)} rows with {k} components"
    return title, f"and fitting {k} and {k + 1} components to each …"


def verdict(test: BootstrapLRT | str, k: int) -> str:
    """What the simulated likelihood ratio says, in one or two sentences; or why there is none."""
    if isinstance(test, str):
        return test
    n = len(test.simulated)
    beyond = int((test.simulated >= test.statistic).sum())
    said = (
        f"2 × the gain in log-likelihood from k = {k} to {k + 1} is {test.statistic:,.2f}; {beyond} of {n} samples "
        f"without component {k} reach it: p = (1 + {beyond})/(1 + {n}) = {test.p_value:.3f}."
    )
    aside = f" {test.set_aside} samples were set aside: a component collapsed." if test.set_aside else ""
    return said + aside


def lost(found: Selection) -> str:
    """Which k have no sound fit, and what to try; "" where all have."""
    broken = [str(candidate.k) for candidate in found if not candidate.sound]
    if not broken:
        return ""
    return (
        f"No value for k = {', '.join(broken)}: a component collapsed from every start, and the likelihood there has "
        f"no maximum. {_TRY}"
    )


def lost_folds(found: Selection, scores: Sequence[float]) -> str:
    """Which sound k could not be held out, and what to try; "" where all could."""
    broken = [str(row.k) for row, score in zip(found, scores, strict=True) if row.sound and not np.isfinite(score)]
    if not broken:
        return ""
    return (
        f"No rows could be held out for k = {', '.join(broken)}: with a fifth of the rows away, some component "
        f"collapses, or a row held out has probability 0. {_TRY}"
    )
