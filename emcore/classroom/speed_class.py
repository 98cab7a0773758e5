"""What the lesson "How fast, and have we arrived?" asks of a class: its controls, presets, tables and exercises."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from emcore.classroom import links
from emcore.classroom.arrival import AITKEN, DISTANCE, GAIN, RULES, STEP, at, stops, watch
from emcore.classroom.exercises import Exercise, Slip
from emcore.classroom.shared import shared
from emcore.classroom.speed import (
    CENSORED,
    EXAMPLES,
    LINKAGE,
    NORMALS,
    NOTICES,
    SCHEMES,
    SEPARATIONS,
    SHARES,
    Bare,
    Race,
    race,
)

CONTROLS: Mapping[str, links.Control] = MappingProxyType(
    {
        "example": links.Choice(tuple(EXAMPLES)),
        "share": links.Choice(SHARES, 0.5),
        "separation": links.Choice(SEPARATIONS, 2.0),
        "digits": links.Number(4, 1, 9),
    }
)
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "Quick: linkage": {"example": "Linkage of 197 animals"},
        "Slow: death notices": {"example": "Death notices: two Poissons"},
        "Half is censored": {"example": "Waiting times, some censored", "share": 0.5},
        "Nine tenths are censored": {"example": "Waiting times, some censored", "share": 0.9},
        "Two normals that overlap": {"example": "Two normals", "separation": 1.0},
    }
)
_TARGET = 1e-4


def level(example: str, share: float, separation: float) -> float:
    """The slider that the example has; 0.5 where it has none, so that its run is kept once."""
    return {CENSORED: share, NORMALS: separation}.get(example, 0.5)


def tolerance(digits: int) -> float:
    """ε."""
    return float(f"1e-{digits}")


def near(ran: Race) -> int:
    """How many passes the zoom shows: what the slowest accelerated scheme but one needs, and some more."""
    counts = sorted(count for count in ran.needed(1e-6).values() if count is not None)
    return int(1.5 * counts[min(1, len(counts) - 1)]) + 5 if counts else 50


def below(ran: Race, bare: Bare) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """SQUAREM without and with its guard: passes over the data, and nats below the limit."""
    guarded = ran.runs[SCHEMES.index("SQUAREM")]
    return {
        "without a guard": (bare.evaluations, ran.log_likelihood - bare.log_likelihood),
        "with a guard": (guarded.evaluations, ran.log_likelihood - guarded.log_likelihood),
    }


def said_at(ran: Race) -> Callable[[int], str]:
    """The heading of each iteration of EM, by its number."""
    left, numbers, name = watch(ran).true_left, ran.em.numbers[:, ran.example.number], ran.example.name
    return lambda t: f"iteration {t}: {name} = {numbers[t]:.4g}, {left[t]:.2g} nats to go"


ERRORS = (
    "Each number's standard error, what it would be had $z$ been seen, and their ratio: what is missing makes errors "
    "larger and EM slow at once."
)


def errors_table(ran: Race) -> list[dict[str, object]]:
    """Estimates with their standard errors, and what these would be had z been seen."""
    columns = zip(ran.names, ran.limit, ran.standard_errors, ran.complete_errors)
    return [
        {
            "number": name,
            "estimate": float(f"{value:.6g}"),
            "standard error": float(f"{error:.4g}"),
            "if z had been seen": float(f"{complete:.4g}"),
            "ratio": float(f"{error / complete:.3g}"),
        }
        for name, value, error, complete in columns
    ]


def slow_in_words() -> str:
    """The answer to the prediction, from the run on the death notices."""
    ran = race(NOTICES)
    stop = stops(ran, _TARGET)[0]
    t = stop.iteration or 0
    return (
        f"The gain is first below 0.0001 after iteration {t}. {at(ran, t)} What is left is about gain · a/(1 − a), and "
        f"a is nearly 1: at the limit each iteration leaves **{ran.rate.from_information:.5f}** of the error, the "
        "share of information that is missing (Dempster, Laird & Rubin 1977)."
    )


def path_csv(ran: Race) -> str:
    """EM's run as comma-separated values: everything that a stopping rule sees, and the truth."""
    seen, run = watch(ran), ran.em
    head = ["iteration", "log_likelihood", *(f'"{name}"' for name in ran.names), *seen._fields]
    table = np.column_stack([np.arange(len(run.error)), run.log_likelihood, run.numbers, *seen])
    return "\n".join([",".join(head), *(",".join(f"{value:.12g}" for value in row) for row in table), ""])


@shared(1)
def exercises() -> tuple[Exercise, ...]:
    """The exercises, each with the answer that the package computes."""
    return (_three_iterates(), _small_step(), _which_rule(), _censored(), _guard())


def _three_iterates() -> Exercise:
    first, second, third = race(LINKAGE).em.numbers[1:4, 0]
    ratio = (third - second) / (second - first)
    return Exercise(
        f"Linkage: three iterates of θ are {first:.6f}, {second:.6f} and {third:.6f}. Estimate the rate.",
        float(ratio),
        f"The ratio of the steps, {ratio:.4f}; at the limit it is {race(LINKAGE).rate.from_information:.4f}.",
        "Divide the last step by the step before it.",
        0.002,
        (
            Slip(float(1 / ratio), "That is the step before divided by the last: a rate is below 1."),
            Slip(float(third / second), "Take the ratio of the steps, not of the values."),
            Slip(float(1 - ratio), "That share of the error is removed; the rate is the share that is left."),
        ),
    )


def _small_step() -> Exercise:
    share = race(NOTICES).rate.from_information
    answer = 1e4 * (1 - share) / share
    return Exercise(
        f"Death notices: the rate is {share:.5f}. How small must the step of a number be before the number is within "
        "0.0001 of its limit? Answer in millionths.",
        answer / 100.0,
        "What is left is step · r/(1 − r): some 230 times the step.",
        "The steps to come are a geometric series: step · (r + r² + …) = step · r/(1 − r).",
        0.02,
        (
            Slip(100.0, "That is the step, not what is left: many steps of nearly that size follow."),
            Slip(100.0 * share, "One more step is not all: sum the series."),
        ),
    )


def _which_rule() -> Exercise:
    after = {stop.rule: stop.iteration for stop in stops(race(NOTICES), _TARGET)}
    return Exercise(
        "Death notices, ε = 0.0001: which rule stops EM only when every number is within ε of its limit?",
        RULES[DISTANCE],
        f"It waits for iteration {after[DISTANCE]:,}: step · r/(1 − r) with the rate that the run itself shows.",
        "Set ε to 10⁻⁴ and read the table of stopping rules.",
        slips=(
            Slip(RULES[GAIN], f"It stops after {after[GAIN]:,}: the gains are small because EM is slow."),
            Slip(RULES[STEP], f"It stops after {after[STEP]:,}: a small step, and hundreds like it to come."),
            Slip(
                RULES[AITKEN], "It keeps its word on log p(x), which is flat at the top: the numbers are farther off."
            ),
        ),
    )


def _censored() -> Exercise:
    return Exercise(
        "Of twenty waiting times six are censored. What is the rate of EM?",
        race(CENSORED, 0.3).rate.from_information,
        "Each seen time carries the same information, so the share that is missing is the share censored, 6/20.",
        "Move the slider of the waiting times and compare the bar of missing information.",
        0.005,
        (Slip(0.7, "That is the share observed."), Slip(6.0, "A rate is a share, between 0 and 1.")),
    )


GUARD_ANSWERS = (
    "Its leaps maximise no bound: log p(x) may fall, or θ leave its range.",
    "It needs more memory than EM.",
    "It converges to another limit than EM.",
)


def _guard() -> Exercise:
    return Exercise(
        "Why does SQUAREM need a guard?",
        GUARD_ANSWERS[0],
        "EM climbs because it maximises a bound that touches. An extrapolation promises nothing, so a leap that lowers "
        "log p(x) is dropped for EM's own step.",
        "Open “Why a guard?” with the death notices.",
        slips=(
            Slip(GUARD_ANSWERS[1], "Two steps of EM are all that it remembers."),
            Slip(GUARD_ANSWERS[2], "A fixed point of EM is one of SQUAREM: there both steps are 0."),
        ),
    )
