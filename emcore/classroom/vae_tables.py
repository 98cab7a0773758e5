"""What the lesson on autoencoders says of a run beside its pictures: a table of rows, and where collapse begins."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from emcore.classroom.curves import collapse_at, line_rate
from emcore.classroom.vae import EXACT, VaeLesson
from emcore.models.vae_posteriors import as_diagonal

PLAN = (
    "In twenty-five minutes: presets 1 and 2 end at one number, with no gap; 3 bends the line; 4 keeps Q Gaussian, "
    "and a gap stays; 5 shares one encoder. Predict; then spoil the encoder (width 0, or one step) and see which "
    "part of the gap grows. Raise the noise until Q falls silent. Last, the written digits: what lies near what? "
    "Only then tell them apart."
)


def downloads(lesson: VaeLesson) -> tuple[tuple[Callable[[], str], str, str], ...]:
    """What a teacher may take home of a run: CSV to be written, the file's name, and what it is."""
    return (
        (lambda: lesson.trace.to_frame().write_csv(), "half_steps.csv", "half-steps"),
        (lambda: rows_csv(lesson), "rows.csv", "rows, codes and gaps"),
    )


def rows_csv(lesson: VaeLesson) -> str:
    """One line per row of x: where it is, its code and the width of its Q, and its gap, at the end."""
    import polars as pl

    last, x = lesson.trace[-1], lesson.trace.x
    q = as_diagonal(last.q)
    groups = {"x": x, "code": q.means, "sd": q.scales}
    columns = {f"{name}{j}": column for name, table in groups.items() for j, column in enumerate(table.T)}
    return pl.DataFrame(columns | {"gap": last.kl_rows}).write_csv()


class Collapse(NamedTuple):
    """The best line's rate (m,) over held noise (m,), where it ends, and where this run stands."""

    noise: np.ndarray
    line_rate: np.ndarray
    here: tuple[float, float]
    edge: float


def collapse_curve(lesson: VaeLesson) -> Collapse:
    """What the linear VAE would tell at every noise, beside what this run tells at its own."""
    settings, noise = lesson.settings, np.geomspace(0.03, 3.2, 81)
    beta = 1.0 if settings.e == EXACT else settings.beta
    told = 0.0 if lesson.rates is None else float(lesson.rates[-1])
    edge = collapse_at(settings.data, beta)
    return Collapse(noise, line_rate(settings.data, noise, beta), (settings.noise, told), edge)
