"""The lesson on hidden Markov models: settings in, a recorded run, its filter and its decoded paths out.

Reference: Rabiner (1989), Proc. IEEE 77, 257-286; Zucchini & MacDonald (2009), Hidden Markov Models for Time Series.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from emcore.classroom import links
from emcore.classroom.chain_passes import filter_forward, likeliest_paths
from emcore.classroom.paths import agreement, enumerate_paths, path_table
from emcore.classroom.recorded import Fitted
from emcore.classroom.shared import shared
from emcore.datasets import load
from emcore.em import fit
from emcore.families.binomial import Bernoulli
from emcore.families.gaussian import Gaussian
from emcore.families.poisson import Poisson
from emcore.models.hmm import HMM
from emcore.result import Fit
from emcore.stopping import Status
from emcore.trace import Problem, pose, start_params

EARTHQUAKES, LONG, WAITING, SIMULATED = "earthquakes", "long", "waiting", "simulated"
BY_LEVEL = "by level: low, …, high"
BRUTE_STEPS = 5
TOLERANCE = 1e-10  # nats per step: enough for the eye
LONG_MINUTES = 3.0
SIMULATED_STEPS, SIMULATED_SEED = 200, 3
SIMULATED_MOVES = ((0.94, 0.05, 0.01), (0.04, 0.92, 0.04), (0.02, 0.08, 0.90))
SIMULATED_MEANS = (3.0, 9.0, 18.0)

DATASETS: Mapping[str, str] = MappingProxyType(
    {
        "Earthquakes per year": EARTHQUAKES,
        "Old Faithful: long or short": LONG,
        "Old Faithful: waiting time": WAITING,
        "Simulated: three known states": SIMULATED,
    }
)
CONTROLS: Mapping[str, links.Control] = MappingProxyType(
    {
        "data": links.Choice(tuple(DATASETS)),
        "k": links.Number(2, 1, 5),
        "stationary": links.Flag(),
        "prior": links.Choice((0, 0.1, 0.3, 1, 3, 10, 30)),
        "start": links.Choice(("k-means++", "random-rows", "random-responsibilities", BY_LEVEL)),
        "seed": links.Number(1, 0, 9999),
        "length": links.Number(300, BRUTE_STEPS, 300),
        "iterations": links.Choice((30, 100, 300)),
    }
)
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "Earthquakes, two states in equilibrium": {"k": 2, "stationary": 1, "iterations": 100},
        "Earthquakes, three states": {"k": 3, "stationary": 1, "iterations": 100},
        "Long after every short": {"data": "Old Faithful: long or short", "k": 2, "stationary": 1},
        "Known states, found again": {"data": "Simulated: three known states", "k": 3},
        "Five steps, three states: too much to ask": {"k": 3, "length": 5},
    }
)


class Series(NamedTuple):
    """One sequence as a lesson shows it."""

    x: np.ndarray  # (t, 1)
    times: np.ndarray  # (t,) whole numbers
    names: tuple[str, str]  # of time and of x
    family: Any
    truth: np.ndarray | None  # (t,) the states that made it, lowest mean first


@dataclass(frozen=True)
class ChainSettings:
    """The controls of the app; hashable, so runs can be remembered by them."""

    dataset: str
    n_states: int = 2
    stationary: bool = False
    transition_prior: float = 0.0
    init: str = "k-means++"
    seed: int = 1
    length: int = 300  # the first so many steps, or all there are
    max_iter: int = 30


@dataclass(frozen=True)
class ChainLesson(Fitted):
    """A recorded run on a series, or the reason why there is none and what to try."""

    fit: Fit | None
    series: Series | None = None
    trouble: str = ""

    @property
    def kind(self) -> str:
        """How loudly the message should be said: "success", "info", "warn" or "danger"."""
        if self.fit is None:
            return "danger"
        return {Status.CONVERGED: "success", Status.MAX_ITER: "info"}.get(self.fit.status, "warn")

    @property
    def message(self) -> str:
        """A sentence on how the run ended."""
        return self.trouble if self.fit is None else f"{self.fit.status}: {self.fit.message}"

    @property
    def emitted(self) -> str:
        """The field of the params that says what the states emit: means, rates or probabilities."""
        return self.trace.model.family.Params._fields[0]

    @property
    def e_steps(self) -> list[Any]:
        """The params of every iteration's E-step."""
        return [half.params for half in self.trace if half.kind == "E"]

    @cached_property
    def filtered(self) -> np.ndarray:
        """p(z_s | x_1 … x_s) (iterations, t, k) under the θ of every E-step."""
        return filter_forward(self.trace.model, self.e_steps, self.trace.x.x)[0]

    @cached_property
    def paths(self) -> np.ndarray:
        """The most probable path (iterations, t) under the θ of every E-step."""
        return likeliest_paths(self.trace.model, self.e_steps, self.trace.x.x)

    @property
    def truth(self) -> np.ndarray | None:
        """The states that made the series (t,), in this run's labels; None where unknown or not as many as here."""
        truth = self.series.truth if self.series is not None else None
        if truth is None or truth.max() + 1 != self.trace.model.n_states:
            return None
        return np.argsort(self.trace[-1].params.rates.ravel())[truth]

    @property
    def brute_force(self) -> list[dict[str, Any]]:
        """The first five steps at the last θ: by all paths, and by forward and backward passes."""
        return agreement(self.trace.model, self.trace[-1].params, self.trace.x.x[:BRUTE_STEPS])

    @property
    def brute_paths(self) -> list[dict[str, Any]]:
        """The most probable of the paths through these steps, 32 at most."""
        return path_table(enumerate_paths(self.trace.model, self.trace[-1].params, self.trace.x.x[:BRUTE_STEPS]))

    @cached_property
    def swapped(self) -> list[dict[str, Any]]:
        """log p(x) at the last θ, with all labels in reverse, and with the states' own params alone in reverse."""
        model, params, x = self.trace.model, self.trace[-1].params, self.trace.x
        order = np.arange(model.n_states)[::-1]
        whole = model.relabel(params, order)
        half = model.make_params(params.start, params.transitions, model.family.select(params, order))
        named = {"as they are": params, "all labels reversed": whole, "only what the states emit reversed": half}
        return [{"states": name, "log p(x)": float(model.log_likelihood(p, x).sum())} for name, p in named.items()]


@shared(64)
def chain_lesson(settings: ChainSettings) -> ChainLesson:
    """Run EM on the settings, half-steps recorded; bad settings come back as a sentence in `trouble`."""
    try:
        series = load_series(settings.dataset, settings.length)
        model = HMM(
            series.family,
            settings.n_states,
            stationary=settings.stationary,
            transition_prior=settings.transition_prior,
        )
        problem = pose(model, series.x)
        start = _start(problem, settings)
        run = fit(problem.model, problem.x, init=start, tol=TOLERANCE, max_iter=settings.max_iter, trace=True)
        return ChainLesson(run, series)
    except ValueError as error:
        return ChainLesson(None, trouble=str(error))


def lengths(title: str) -> links.Number:
    """The control of how many steps of a data set are used."""
    longest = len(load_series(DATASETS[title]).x)
    return links.Number(longest, BRUTE_STEPS, longest)


def load_series(dataset: str, length: int = 300) -> Series:
    """The first `length` steps of a data set. ValueError for an unknown one."""
    if dataset == EARTHQUAKES:
        frame = load("earthquakes")
        x, times = frame["count"].to_numpy(), frame["year"].to_numpy()
        return _cut(x, times, ("year", "earthquakes of magnitude ≥ 7"), Poisson(), None, length)
    if dataset in (LONG, WAITING):
        frame = load("geyser")
        times = np.arange(frame.height)
        if dataset == WAITING:
            return _cut(frame["waiting"].to_numpy(), times, ("eruption", "waiting (min)"), Gaussian(), None, length)
        x = frame["duration"].to_numpy() >= LONG_MINUTES
        return _cut(x, times, ("eruption", "long (3 min or more)"), Bernoulli(), None, length)
    if dataset == SIMULATED:
        x, truth = _simulated()
        return _cut(x.ravel(), np.arange(len(x)), ("step", "count"), Poisson(), truth, length)
    raise ValueError(f"there is no series {dataset!r}; choose one of {', '.join(DATASETS.values())}")


def _cut(
    x: np.ndarray, times: np.ndarray, names: tuple[str, str], family: Any, truth: np.ndarray | None, length: int
) -> Series:
    if length < BRUTE_STEPS:
        raise ValueError(f"a series needs at least {BRUTE_STEPS} steps, not {length}")
    truth = None if truth is None else truth[:length]
    return Series(x[:length, None].astype(float), times[:length], names, family, truth)


def _simulated() -> tuple[np.ndarray, np.ndarray]:
    """Counts (t, 1) and states (t,) of a sticky chain of three Poisson states."""
    model = HMM(Poisson(), 3)
    means = np.array(SIMULATED_MEANS)[:, None]
    params = model.make_params(np.array([1.0, 0.0, 0.0]), np.array(SIMULATED_MOVES), Poisson.Params(means))
    return model.sample(params, SIMULATED_STEPS, np.random.default_rng(SIMULATED_SEED))


def _start(problem: Problem, settings: ChainSettings) -> Any:
    if settings.init != BY_LEVEL:
        return start_params(problem, settings.init, np.random.default_rng(settings.seed).spawn(1)[0])
    ranks = np.argsort(np.argsort(problem.x.x[:, 0], kind="stable"))
    return start_params(problem, ranks * settings.n_states // len(ranks), np.random.default_rng(settings.seed))


def as_link(settings: ChainSettings) -> dict[str, Any]:
    """What a link must hold to restore the settings."""
    titles = {name: title for title, name in DATASETS.items()}
    return {
        "data": titles[settings.dataset],
        "k": settings.n_states,
        "stationary": int(settings.stationary),
        "prior": settings.transition_prior,
        "start": settings.init,
        "seed": settings.seed,
        "length": settings.length,
        "iterations": settings.max_iter,
    }
