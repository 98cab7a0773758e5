"""The lesson on the bound: EM on a small example whose first Q a student may spoil by hand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from emcore.classroom import links
from emcore.classroom.exercises import Exercise, Slip
from emcore.classroom.recorded import Recorded
from emcore.classroom.shared import shared
from emcore.classroom.small_examples import Example, Ratios, coins_example, linkage_example
from emcore.datasets import load
from emcore.landscape import Slice
from emcore.posteriors import CategoricalPosterior
from emcore.trace import Trace, half_steps

LINKAGE, COINS = "Linkage: 197 animals", "Two coins: five times ten tosses"
EVEN, LIKELIEST, LEAST_LIKELY = "even on all z", "all on the likeliest z", "all on the least likely z"
ALL_ROWS = "every row"
CHOICES = ("E log p(x, z)", "the ELBO", "log p(x)", "none of them")
CONTROLS: Mapping[str, links.Control] = MappingProxyType(
    {
        "example": links.Choice((LINKAGE, COINS)),
        "theta": links.Number(0.2, 0.02, 0.98, whole=False),
        "q": links.Choice((EVEN, LIKELIEST, LEAST_LIKELY)),
        "amount": links.Number(0.0, 0.0, 1.0, whole=False),
        "row": links.Number(-1, -1, 4),
    }
)
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "EM on the linkage data": {},
        "EM on two coins": {"example": COINS, "theta": 0.6},
        "One row's Q on the wrong coin": {"example": COINS, "theta": 0.6, "q": LEAST_LIKELY, "amount": 1.0, "row": 1},
        "A loose bound, and log p(x) falls": {"theta": 0.62, "q": LEAST_LIKELY, "amount": 1.0},
        "Equal coins: EM never tells them apart": {"example": COINS, "theta": 0.5},
    }
)


@dataclass(frozen=True)
class BoundSettings:
    """The controls: where θ starts, and how far the first Q goes from the posterior (0) to another one (1)."""

    example: str = LINKAGE
    theta: float = 0.2
    q: str = EVEN
    amount: float = 0.0
    row: int = -1  # the row whose Q is set; -1 for every one


@dataclass(frozen=True)
class first_by_hand:
    """The E-step of EM, but for the first one: a mixture of the posterior and another Q, for one row or for all."""

    towards: str
    amount: float
    row: int = -1
    iteration: int = 1
    monotone = False  # the M-step from a loose bound may lower log p(x); the ELBO of a given Q is what it is

    def at(self, iteration: int) -> Self:
        """The E-step of that iteration."""
        return replace(self, iteration=iteration)

    def __call__(self, model: Any, params: Any, x: Any, q_prev: Any) -> Any:
        """(1 - amount) · posterior + amount · the other Q, at the first iteration."""
        q = model.posterior(params, x)
        if self.iteration > 1 or self.amount == 0:
            return q
        chosen = slice(None) if self.row < 0 else slice(self.row, self.row + 1)
        if isinstance(q, CategoricalPosterior):
            return CategoricalPosterior(self._mixed(q.probs, [np.arange(q.probs.shape[1])], chosen))
        cells = model.hidden.cell
        return q._replace(shares=self._mixed(q.shares, [np.flatnonzero(cells == c) for c in np.unique(cells)], chosen))

    def _mixed(self, table: np.ndarray, groups: list[np.ndarray], rows: slice) -> np.ndarray:
        mixed = table.copy()
        for columns in groups:
            part = table[rows, columns[0] : columns[-1] + 1]
            other = _other(part, self.towards)
            mixed[rows, columns[0] : columns[-1] + 1] = (1.0 - self.amount) * part + self.amount * other
        return mixed


def _other(probs: np.ndarray, which: str) -> np.ndarray:
    if which == EVEN:
        return np.full_like(probs, 1.0 / probs.shape[1])
    if which not in (LIKELIEST, LEAST_LIKELY):
        raise ValueError(f"q must be one of “{EVEN}”, “{LIKELIEST}” and “{LEAST_LIKELY}”, not “{which}”")
    best = probs.argmax(axis=1) if which == LIKELIEST else probs.argmin(axis=1)
    return np.eye(probs.shape[1])[best]


@dataclass(frozen=True)
class BoundLesson(Recorded):
    """A recorded run with the bound along θ at each half-step, or the reason why there is none."""

    settings: BoundSettings
    theta: str = ""  # title of the axis
    run: Trace | None = None
    slices: tuple[Slice, ...] = ()
    ratios: Ratios | None = None
    trouble: str = ""

    @property
    def kind(self) -> str:
        """How loudly the message should be said."""
        if self.run is None:
            return "danger"
        return "warn" if self.settings.amount > 0 or self.stuck else "info"

    @property
    def stuck(self) -> bool:
        """True where EM started on the ridge of equal coins, which it never leaves."""
        probs = getattr(self.trace[0].params, "probs", None)
        return probs is not None and bool(probs[0, 0] == probs[1, 0])

    @property
    def message(self) -> str:
        """What the first iteration did to ELBO, gap and log p(x), in numbers."""
        if self.run is None:
            return self.trouble
        e, m = self.run[0], self.run[1]
        up, opened, gain = m.elbo - e.elbo, m.kl - e.kl, m.log_likelihood - e.log_likelihood
        if self.settings.amount > 0:
            moved = "rises" if gain >= 0 else "falls"
            return (
                f"Your Q leaves a gap of {e.kl:.4g} nats at θ = {self.slices[0].at:.3g}. The M-step climbs that loose "
                f"bound by {up:.4g}, and log p(x) {moved} by {abs(gain):.4g}: nothing was promised. From the next "
                "E-step on, an exact one, log p(x) cannot fall."
            )
        told = (
            f"Iteration 1: the M-step raises the ELBO by {up:.4g} nats and opens the gap by {opened:.4g}, "
            f"so log p(x) rises by their sum, {gain:.4g}."
        )
        if self.stuck:
            told += (
                " But the coins started equal, so every responsibility is ½ for ever: EM has come to a saddle, "
                f"log p(x) = {self.run[-1].log_likelihood:.3f}."
            )
        return told


@shared(128)
def bound_lesson(settings: BoundSettings) -> BoundLesson:
    """Run EM on the settings, half-steps and bounds recorded; bad settings come back as a sentence in `trouble`."""
    try:
        example = _example(settings.example)
        e_step = first_by_hand(settings.q, settings.amount, _row(settings.row, example))
        halves = half_steps(example.problem, example.start(settings.theta), e_step)
        trace = Trace(*example.problem, tuple(islice(halves, 2 * example.iterations)))
    except ValueError as error:
        return BoundLesson(settings, trouble=str(error))
    return BoundLesson(settings, example.theta, trace, tuple(example.slices(trace)), example.ratios(trace))


def _example(name: str) -> Example:
    if name not in (LINKAGE, COINS):
        raise ValueError(f"there is no example “{name}”: choose “{LINKAGE}” or “{COINS}”")
    return linkage_example() if name == LINKAGE else coins_example()


def _row(row: int, example: Example) -> int:
    """The row, or every one where the example has no such row to set apart."""
    return row if 0 <= row < len(example.rows) else -1


def row_names(example: str) -> tuple[str, ...]:
    """The rows whose Q may be set: all of them first, then each, where there are several."""
    return (ALL_ROWS, *_example(example).rows)


def row_name(row: int, example: str) -> str:
    """The name of a row by its number; that of all rows where the example has no such row."""
    return row_names(example)[_row(row, _example(example)) + 1]


def row_number(name: str, example: str) -> int:
    """The number of a row by its name; -1 for all."""
    return row_names(example).index(name) - 1


def downloads(lesson: BoundLesson) -> tuple[tuple[Callable[[], str], str, str], ...]:
    """What a teacher may take home of a run: CSV to be written, the file's name, and what it is."""
    name = "coin_tosses" if lesson.settings.example == COINS else "linkage"
    return (
        (lambda: lesson.trace.to_frame().write_csv(), "half_steps.csv", "half-steps"),
        (lambda: load(name).write_csv(), f"{name}.csv", "data"),
    )


@shared(1)
def reveal() -> str:
    """The answer to the prediction, in the numbers of the linkage run from θ = 0.2."""
    trace = bound_lesson(BoundSettings()).trace
    up, gain = trace[1].elbo - trace[0].elbo, trace[1].log_likelihood - trace[0].log_likelihood
    return (
        f"By more. On the linkage data from θ = 0.2 the first M-step raises the ELBO by {up:.2f} nats and log p(x) by "
        f"{gain:.2f}: it leaves the old Q behind, and the gap of {trace[1].kl:.2f} that opens is extra gain. "
        "The ELBO may rise without log p(x) only where a gap was there to close; after an exact E-step there is none "
        "(Dempster, Laird & Rubin 1977; Neal & Hinton 1998)."
    )


@shared(1)
def exercises() -> tuple[Exercise, ...]:
    """The exercises, their answers computed."""
    linked = bound_lesson(BoundSettings(theta=0.4)).trace
    coins = bound_lesson(BoundSettings(COINS, 0.6)).trace
    peak, top = float(linked[1].params.theta), float(linked[-1].params.theta)
    fallen = linked[1].expected_log_joint - linked[2].expected_log_joint
    best, worst = np.sort(coins[0].q.probs[1])[::-1].tolist()
    return (
        Exercise(
            "Linkage, θ = 0.4: after an exact E-step, at which θ does the bound touch log p(x)?",
            0.4,
            "It touches where Q is the posterior: at the θ that Q was computed from, with the same slope.",
            "Start at 0.4, stand on half-step 0 and look where the dashed curve meets the solid one.",
            0.0005,
            (
                Slip(round(peak, 3), "There the bound has its peak: the M-step goes there, and the gap opens."),
                Slip(round(top, 3), "That is where log p(x) is highest; EM comes there only in the limit."),
            ),
        ),
        Exercise(
            f"Two coins, .6 and .5: the row with 9 heads has responsibilities {best:.3f} and {worst:.3f}. "
            "All of its Q goes on coin 0. How many nats wide is its gap?",
            float(-np.log(best)),
            "For a one-hot Q the gap is −log of the posterior of the z chosen: least for the likeliest z.",
            "KL(Q ‖ posterior) = Σ Q log(Q/posterior), and Q is 1 and 0.",
            0.002,
            (
                Slip(float(-np.log(worst)), "That is the gap with all of Q on the other coin."),
                Slip(float(-np.log2(best)), "Nats are natural logarithms; that is a logarithm to base 2."),
                Slip(float(np.log(best)), "A KL divergence is never negative: mind the sign."),
                Slip(
                    float(-(best * np.log(best) + worst * np.log(worst))),
                    "That is the entropy of the posterior, not the KL of your Q from it.",
                ),
            ),
        ),
        Exercise(
            "Which of these can fall at an E-step of EM?",
            CHOICES[0],
            f"The E-step trades it for entropy: from θ = 0.4 on the linkage data it falls by {fallen:.1f} nats at the "
            "second E-step, while the sum of the two, the ELBO, rises. log p(x) does not depend on Q at all.",
            "Watch the three forms as you step from M to E.",
            slips=(
                Slip(CHOICES[1], "The E-step picks the Q with the highest ELBO: it cannot fall."),
                Slip(CHOICES[2], "log p(x; θ) holds no Q: when only Q moves, it stands still."),
                Slip(CHOICES[3], "One can: the E-step raises the sum of two terms, and one may pay for the other."),
            ),
        ),
    )
