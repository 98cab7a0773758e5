"""Have we arrived? What each stopping rule sees along EM's run, where it would stop, and what is left then.

A step that is small says how slow EM is, not how near. With rate r, what is left is the step times r/(1 - r), in the
parameters and in the gains of log p(x), whose own rate is r².
References: Dempster, Laird & Rubin (1977); Böhning et al. (1994), Ann. Inst. Statist. Math. 46, 373-388; McLachlan &
Krishnan (2008), The EM Algorithm and Extensions, section 4.9.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from emcore.classroom.speed import Race

GAIN, STEP, AITKEN, DISTANCE = "gain", "step", "aitken", "distance"
RULES: Mapping[str, str] = MappingProxyType(
    {
        GAIN: "log p(x) gains less than ε",
        STEP: "no number moves more than ε",
        AITKEN: "predicted gain left < ε",
        DISTANCE: "predicted distance left < ε",
    }
)


COLUMNS = (
    "When the rule stops: nats that log p(x) has to go, how far the worst number is off, the same in standard errors "
    "(s.e.), and whether the rule kept its word: what it watches is below ε."
)


class Watch(NamedTuple):
    """What can be seen after every iteration of EM without knowing the limit, and the truth."""

    gain: np.ndarray  # (t,) of log p(x), NaN at the start
    step: np.ndarray  # (t,) largest move of a number
    rate: np.ndarray  # (t,) ratio of the last two moves: three iterates give one
    gain_left: np.ndarray  # (t,) predicted: gain · a/(1 - a), a the ratio of the last two gains
    distance_left: np.ndarray  # (t,) predicted: step · r/(1 - r)
    predicted: np.ndarray  # (t,) Aitken's limit of log p(x)
    true_left: np.ndarray  # (t,) log p(x) at the limit less now
    true_distance: np.ndarray  # (t,) largest distance of a number from its limit


class Stop(NamedTuple):
    """Where a rule stops, and what it leaves."""

    rule: str
    title: str
    iteration: int | None  # None: not within the iterations recorded
    gain_left: float
    distance: float
    error: float  # in standard errors


def watch(race: Race) -> Watch:
    """Everything along EM's own run."""
    run = race.em
    moves = np.diff(run.numbers, axis=0)
    gain = np.concatenate([[np.nan], np.diff(run.log_likelihood)])
    step = np.concatenate([[np.nan], np.abs(moves).max(axis=1)])
    lengths = np.concatenate([[np.nan], np.linalg.norm(moves / _scale(race), axis=1)])
    with np.errstate(all="ignore"):
        ratio, a = _ratio(lengths), _ratio(gain)
        left = np.where((a > 0) & (a < 1), gain * a / (1.0 - a), np.inf)
        distance = np.where(ratio < 1, step * ratio / (1.0 - ratio), np.inf)
    unknown = np.isnan(ratio)
    return Watch(
        gain=gain,
        step=step,
        rate=ratio,
        gain_left=np.where(unknown, np.nan, left),
        distance_left=np.where(unknown, np.nan, distance),
        predicted=run.log_likelihood + np.where(unknown, np.nan, left),
        true_left=np.maximum(race.log_likelihood - run.log_likelihood, 0.0),
        true_distance=np.abs(run.numbers - race.limit).max(axis=1),
    )


def _scale(race: Race) -> np.ndarray:
    return np.where(np.isfinite(race.standard_errors), race.standard_errors, 1.0)


def _ratio(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[np.nan], lengths[1:] / lengths[:-1]])


def stops(race: Race, tolerance: float) -> tuple[Stop, ...]:
    """Where each rule stops at this ε, in nats or in the numbers' own units."""
    seen, run = watch(race), race.em
    signals = {GAIN: seen.gain, STEP: seen.step, AITKEN: seen.gain_left, DISTANCE: seen.distance_left}
    found = []
    for rule, title in RULES.items():
        quiet = np.flatnonzero(signals[rule] < tolerance)
        t = int(quiet[0]) if len(quiet) else None
        truth = (seen.true_left, seen.true_distance, run.error)
        found.append(Stop(rule, title, t, *(np.nan if t is None else float(values[t]) for values in truth)))
    return tuple(found)


def marks(race: Race, tolerance: float) -> list[tuple[str, int]]:
    """The rules that stop, by name, and the iteration after which they do."""
    return [(stop.rule, stop.iteration) for stop in stops(race, tolerance) if stop.iteration is not None]


def rows(race: Race, tolerance: float) -> list[dict[str, object]]:
    """The same as a table for the page; its columns are explained by COLUMNS."""
    return [
        {
            "rule": stop.title,
            "stops after": "never" if stop.iteration is None else f"{stop.iteration:,}",
            "nats to go": _number(stop.gain_left),
            "off by": _number(stop.distance),
            "in s.e.": _number(stop.error),
            "kept": "—" if stop.iteration is None else "yes" if _kept(stop, tolerance) else "no",
        }
        for stop in stops(race, tolerance)
    ]


def _number(value: float) -> str:
    return f"{value:.2g}" if np.isfinite(value) else "—"


def _kept(stop: Stop, tolerance: float) -> bool:
    """Whether what is left of what the rule watches is below ε, within a tenth."""
    return (stop.gain_left if stop.rule in (GAIN, AITKEN) else stop.distance) < 1.1 * tolerance


def at(race: Race, iteration: int) -> str:
    """One iteration in words: the numbers that look like arrival, and the truth."""
    seen, run, number = watch(race), race.em, race.example.number
    t = min(iteration, len(run.error) - 1)
    return (
        f"At iteration {t} {race.example.name} is {run.numbers[t, number]:.4f}, its limit {race.limit[number]:.4f}; "
        f"log p(x) has {seen.true_left[t]:.2g} nats to gain, and the last iteration gained {seen.gain[t]:.2g}."
    )
