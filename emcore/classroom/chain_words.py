"""What the app on hidden Markov models says in numbers, and what a teacher takes home of it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from emcore.classroom.chain import BRUTE_STEPS, EARTHQUAKES, ChainLesson, load_series
from emcore.classroom.paths import worst_difference
from emcore.classroom.shared import shared
from emcore.classroom.tables import markdown_table
from emcore.em import fit
from emcore.families.poisson import Poisson
from emcore.models.hmm import HMM
from emcore.models.mixture import Mixture

PLAN = (
    "In fifteen minutes: predict what shuffling costs; step to the first M-step and find where the gap opens; compare "
    "a filtered row with the smoothed one below it and find a year whose state only the future settles; let five steps "
    "be added up path by path; then five states, and look for steps where the most probable path and the likeliest "
    "states differ. References: Rabiner (1989), Proc. IEEE 77, 257–286; Zucchini & MacDonald (2009), Hidden Markov "
    "Models for Time Series."
)
_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "all paths added up": "{:.6g}",
        "forward and backward": "{:.6g}",
        "difference": "{:.1e}",
        "log p(x, z)": "{:.4f}",
        "p(z | x)": "{:.6g}",
        "log p(x)": "{:.6f}",
    }
)


@shared(1)
def worth_of_order() -> Mapping[str, float]:
    """log p(x) of the earthquakes by two states: "mixture", "chain", and each with ", shuffled" years."""
    x = load_series(EARTHQUAKES).x
    shuffled = x[np.random.default_rng(0).permutation(len(x))]
    fits = {
        name + mixed: fit(model, rows, restarts=3, seed=0).log_likelihood
        for name, model in (("mixture", Mixture(Poisson(), 2)), ("chain", HMM(Poisson(), 2)))
        for mixed, rows in (("", x), (", shuffled", shuffled))
    }
    return MappingProxyType(fits)


@shared(1)
def reveal() -> str:
    """The answer to the prediction, in numbers."""
    worth = {name: f"**{value:,.2f}**" for name, value in worth_of_order().items()}
    return (
        f"In order, the mixture reaches {worth['mixture']} and the chain {worth['chain']} nats; shuffled, "
        f"{worth['mixture, shuffled']} and {worth['chain, shuffled']}. A mixture does not see time. What the chain "
        "gains over it is what one year tells about the next (Zucchini & MacDonald 2009, chapters 1 and 3)."
    )


def all_paths(lesson: ChainLesson) -> str:
    """How well all paths and the passes agree, number by number, and the paths themselves, in Markdown."""
    count, rows = lesson.trace.model.n_states**BRUTE_STEPS, lesson.brute_force
    return (
        f"At the last θ of this run there are {count:,} paths through {BRUTE_STEPS} steps. The largest difference is "
        f"{worst_difference(rows):.1e}: rounding.\n\n{_table(rows)}\n\n"
        f"The paths, the most probable first{'' if count <= 32 else ', 32 of them'}:\n\n"
        f"{_table(lesson.brute_paths)}"
    )


def swapped(lesson: ChainLesson) -> str:
    """What swapped labels do to this run, in Markdown; nothing where there is no run."""
    if lesson.fit is None:
        return ""
    return f"Labels swapped in this run, all of them and then the emissions alone:\n\n{_table(lesson.swapped)}"


def _table(rows: list[dict[str, Any]]) -> str:
    """Nothing for None, names as they are."""
    return markdown_table(
        [{n: "" if v is None else _FORMATS.get(n, "{}").format(v) for n, v in row.items()} for row in rows]
    )


def downloads(lesson: ChainLesson) -> tuple[tuple[Callable[[], str], str, str], ...]:
    """What a teacher may take home of a run: CSV to be written, the file's name, and what it is."""
    return (
        (lambda: lesson.trace.to_frame().write_csv(), "half_steps.csv", "half-steps"),
        (lambda: states_csv(lesson), "states.csv", "series and states"),
    )


def states_csv(lesson: ChainLesson) -> str:
    """The series with its last smoothed probabilities and most probable path, as CSV."""
    import polars as pl

    assert lesson.series is not None  # there is a run
    probs = lesson.trace[-1].q.probs
    frame = pl.DataFrame({"time": lesson.series.times, "x": lesson.series.x[:, 0], "path": lesson.paths[-1]})
    return frame.with_columns([pl.Series(f"smoothed_{k}", probs[:, k]) for k in range(probs.shape[1])]).write_csv()
