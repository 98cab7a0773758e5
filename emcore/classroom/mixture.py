"""What an app asks for: settings in, a recorded run and a sentence out; never an exception for bad settings.

Pure functions of their arguments. Runs are remembered by settings, so that thirty students who move a slider to the
same place share one fit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from emcore.classroom import links
from emcore.classroom import script as code
from emcore.classroom.exercises import Exercise, Slip
from emcore.classroom.recorded import Fitted
from emcore.classroom.script import call, literal
from emcore.classroom.shared import shared
from emcore.datasets import load
from emcore.em import fit
from emcore.esteps import exact, hard
from emcore.families.gaussian import FraleyRaftery, Gaussian
from emcore.models.mixture import Mixture
from emcore.result import Fit
from emcore.stopping import Status
from emcore.trace import Problem, pose, start_params

BY_HAND = "by hand"
DATASETS: Mapping[str, str] = MappingProxyType(
    {
        "Old Faithful": "old_faithful",
        "Iris": "iris",
        "Penguins": "penguins",
        "Three groups (made by hand)": "three_groups",
    }
)
CONTROLS: Mapping[str, links.Control] = MappingProxyType(
    {
        "data": links.Choice(tuple(DATASETS)),
        "k": links.Number(3, 1, 8),
        "covariance": links.Choice(("full", "tied", "diag", "spherical")),
        "start": links.Choice(("random-rows", "k-means++", "random-responsibilities")),
        "seed": links.Number(1, 0, 9999),
        "prior": links.Choice((0, 0.1, 0.3, 1, 3, 10, 30, 100)),
        "hard": links.Flag(),
        "iterations": links.Choice((30, 100, 300)),
        "means": links.Points(),
    }
)
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "Two eruptions, two Gaussians": {"k": 2},
        "A slow one: three tied Gaussians": {"k": 3, "covariance": "tied", "iterations": 300},
        "Hard E-step: the gap stays open": {"k": 3, "hard": 1},
        "A component collapses": {"data": "Three groups (made by hand)", "k": 8, "iterations": 300},
        "The same, saved by a prior": {
            "data": "Three groups (made by hand)",
            "k": 8,
            "iterations": 300,
            "prior": 1,
        },
    }
)
EXERCISES = (
    Exercise(
        "Three points, 1, 2 and 3, have responsibilities 1, ½ and 0 for component 0. "
        "Where does the M-step put its mean?",
        4 / 3,
        "A point counts by its responsibility: (1·1 + ½·2) / (1 + ½) = 4/3.",
        "Weight each point by its responsibility, and divide by the sum of the responsibilities.",
        0.005,
        (
            Slip(1.5, "You counted the half-claimed point as a whole one."),
            Slip(1.0, "You divided by 2 points; the responsibilities sum to 1½."),
            Slip(2 / 3, "You divided by 3 points; the responsibilities sum to 1½."),
            Slip(2.0, "That is the mean of all points: the responsibilities must weigh them."),
        ),
    ),
    Exercise(
        "A point has responsibilities 0.8 and 0.2, but a hard E-step puts all of Q on the first component. "
        "How many nats wide is its gap?",
        float(-np.log(0.8)),
        "KL(Q ‖ posterior) = 1 · log(1/0.8) = −log 0.8 = 0.223: minus the log of the largest responsibility.",
        "KL(Q ‖ p) = Σ Q log(Q/p), and Q is 1 and 0.",
        0.002,
        (
            Slip(float(-np.log(0.2)), "That is −log 0.2: Q sits on the other component."),
            Slip(float(-np.log10(0.8)), "Nats are natural logarithms; that is a logarithm to base 10."),
            Slip(float(-np.log2(0.8)), "Nats are natural logarithms; that is a logarithm to base 2."),
            Slip(0.2, "That is the probability left out; the gap is −log of the one kept."),
        ),
    ),
)
TOLERANCE = 1e-10  # nats per row: enough for the eye


@dataclass(frozen=True)
class MixtureSettings:
    """The controls of the Gaussian-mixture app; hashable, so runs can be remembered by them."""

    dataset: str
    columns: tuple[str, str]
    n_components: int
    covariance: str = "full"
    init: str = "k-means++"
    seed: int = 0
    means: tuple[tuple[float, float], ...] = ()  # used when init is "by hand"
    prior_strength: float = 0.0
    hard: bool = False
    max_iter: int = 30


@dataclass(frozen=True)
class Lesson(Fitted):
    """A recorded run, or the reason why there is none and what to try."""

    fit: Fit | None
    trouble: str = ""

    @property
    def kind(self) -> str:
        """How loudly the message should be said: "success", "info", "warn" or "danger"."""
        if self.fit is None:
            return "danger"
        loud = {Status.CONVERGED: "success", Status.MAX_ITER: "info"}
        return loud.get(self.fit.status, "warn")

    @property
    def opening(self) -> str:
        """How wide the gap opened, in the words of the prediction."""
        if len(self.trace) < 2:
            return "This run ended in its first M-step: try it with another start."
        return (
            f"In this run the gap is **{self.trace[0].kl:.3g}** nats after the first E-step and "
            f"**{self.trace[1].kl:.3g}** after the first M-step: Q still belongs to the old parameters. The next "
            "E-step turns that opening into log-likelihood (Neal & Hinton 1998)."
        )

    @property
    def message(self) -> str:
        """A sentence on how the run ended."""
        return self.trouble if self.fit is None else f"{self.fit.status}: {self.fit.message}"


def script(settings: MixtureSettings) -> str:
    """The code of the settings' run."""
    by_hand = settings.init == BY_HAND
    data = f"em.datasets.load({literal(settings.dataset)})"
    family = code.gaussian(settings.covariance, settings.prior_strength)
    e_step = "e_step=em.hard" if settings.hard else ""
    return code.script(
        [
            f"x = {data}.select({', '.join(map(literal, settings.columns))}).drop_nulls()",
            f"model = {call('em.Mixture', family, n_components=settings.n_components)}",
            *([f"start = {call('model.params_at_means', 'x', literal(settings.means))}"] if by_hand else []),
            *code.one_run(settings, TOLERANCE, e_step, start="start" if by_hand else ""),
        ],
        code.half_steps(),
    )


def rows_csv(lesson: Lesson, settings: MixtureSettings) -> str:
    """The rows of the lesson with their last responsibilities, as CSV."""
    import polars as pl

    probs = lesson.trace[-1].q.probs
    columns = [pl.Series(f"responsibility_{k}", probs[:, k]) for k in range(settings.n_components)]
    return table(settings.dataset, settings.columns).with_columns(columns).write_csv()


@shared(64)
def table(dataset: str, columns: tuple[str, ...]) -> Any:
    """The complete rows of some columns of a data set, as a polars frame; ValueError where a column comes twice."""
    if len(set(columns)) < len(columns):
        raise ValueError(f"the same column twice ({columns[0]}) makes every point lie on a line: choose two columns")
    return load(dataset).select(columns).drop_nulls()


def numeric_columns(dataset: str) -> list[str]:
    """The columns that a mixture can be fitted to: measurements, not identifiers."""
    frame = load(dataset)
    return [name for name, kind in frame.schema.items() if kind.is_float() or (kind.is_integer() and name != "year")]


@shared(60)
def seeded_means(settings: MixtureSettings) -> tuple[tuple[float, float], ...]:
    """Where the settings' start puts the means: the places of the handles before anyone moves them; () if it cannot."""
    method = "k-means++" if settings.init == BY_HAND else settings.init
    try:
        problem = _posed(settings.dataset, settings.columns, _model(settings))
        params = _start(problem, replace(settings, init=method))
    except ValueError:
        return ()
    return tuple((float(a), float(b)) for a, b in params.means)


@shared(60)
def mixture_lesson(settings: MixtureSettings) -> Lesson:
    """Run EM on the settings, half-steps recorded; bad settings come back as a sentence in `trouble`."""
    try:
        problem = _posed(settings.dataset, settings.columns, _model(settings))
        return Lesson(
            fit(
                problem.model,
                problem.x,
                init=_start(problem, settings),
                tol=TOLERANCE,
                max_iter=settings.max_iter,
                e_step=hard if settings.hard else exact,
                trace=True,
            )
        )
    except ValueError as error:
        return Lesson(None, str(error))


def _model(settings: MixtureSettings) -> Mixture:
    prior = FraleyRaftery(settings.prior_strength) if settings.prior_strength > 0 else None
    return Mixture(Gaussian(settings.covariance, prior=prior), settings.n_components)


@shared(64)
def _posed(dataset: str, columns: tuple[str, str], model: Mixture) -> Problem:
    return pose(model, table(dataset, columns))


def _start(problem: Problem, settings: MixtureSettings) -> Any:
    """The start that `fit` would draw for a named method and seed, or one with the means placed by hand."""
    if settings.init != BY_HAND:
        return start_params(problem, settings.init, np.random.default_rng(settings.seed).spawn(1)[0])
    means = np.asarray(settings.means, dtype=float)
    if means.shape != (settings.n_components, problem.x.shape[1]):
        raise ValueError(f"{settings.n_components} components need as many means, but {len(means)} are placed")
    return problem.model.params_at_means(problem.x, means)


def as_link(settings: MixtureSettings, means: tuple[tuple[float, float], ...]) -> dict[str, Any]:
    """What a link must hold to restore the settings (the columns shown are those of the data set's first view)."""
    titles = {name: title for title, name in DATASETS.items()}
    link = {
        "data": titles[settings.dataset],
        "k": settings.n_components,
        "covariance": settings.covariance,
        "start": settings.init,
        "seed": settings.seed,
        "prior": settings.prior_strength,
        "hard": int(settings.hard),
        "iterations": settings.max_iter,
    }
    return link | ({"means": links.Points.write(means)} if means else {})
