"""Four ways to go astray on a likelihood: a saddle, a spike, two names for one fit, and a poor summit.

References: Wu (1983), Ann. Statist. 11, 95-103 (saddles); Kiefer & Wolfowitz (1956), Ann. Math. Statist. 27, 887-906
and Hathaway (1985), Ann. Statist. 13, 795-800 (spikes); Redner & Walker (1984), SIAM Review 26, 195-239 and Stephens
(2000), J. R. Statist. Soc. B 62, 795-809 (labels); Ueda & Nakano (1998), Neural Networks 11, 271-282 (annealing).
"""

from collections.abc import Mapping
from itertools import islice, permutations
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from emcore.classroom.landscape import COINS, MURRAY, em_path, terrain
from emcore.classroom.shared import shared
from emcore.datasets import load
from emcore.em import fit
from emcore.esteps import Annealing, tempered
from emcore.families.gaussian import Gaussian
from emcore.landscape import bound_slice
from emcore.models.mixture import Mixture
from emcore.numerics import total
from emcore.result import Fit
from emcore.stopping import Status
from emcore.trace import Problem, pose

NUDGE_ITERATIONS: Mapping[str, int] = MappingProxyType({COINS: 60, MURRAY: 240})
NUDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
PINNED = (25.633, 26.995, 32.065, 32.789)  # thousand km/s: the galaxies farthest from their nearest neighbour
APART = 0.1  # how far numbers must be apart to count as separated
BAD_START = (19.0, 21.0, 23.0)  # thousand km/s: three means inside the great cluster of galaxies
ANNEALED_LEVELS, ANNEALED_HOLD, ANNEALED_SEEDS = 10, 3, 4
_ANNEALED_ITERATIONS = 160
_NEAR_TOP = 0.05  # nats
_RESTS = 1e-7  # nats of an iteration, after which a curve no longer moves to the eye
_DECADES = (-24.0, 1.0)  # log10 of the pinned component's standard deviation


def galaxies() -> np.ndarray:
    """Velocities of the galaxies in thousands of km/s (82, 1)."""
    return load("galaxies").to_numpy() / 1000.0


class Escape(NamedTuple):
    """How far two numbers have come apart, iteration by iteration, from a start `nudge` off the saddle."""

    nudge: float
    apart: np.ndarray  # (t,)
    log_likelihood: np.ndarray  # (t,)

    @property
    def steps(self) -> int | None:
        """The first iteration after which they are APART; None where they are not, within the iterations shown."""
        far = np.flatnonzero(self.apart > APART)
        return int(far[0]) if len(far) else None

    @property
    def growth(self) -> float:
        """By how much an iteration multiplies a small distance: the ratio of the first two; NaN without a nudge."""
        return float(self.apart[1] / self.apart[0]) if self.apart[0] > 0 else np.nan

    @property
    def message(self) -> str:
        """What happened, in a sentence."""
        if not self.nudge:
            return f"No nudge: after {len(self.apart) - 1} iterations still exactly on the saddle."
        if self.steps is None:
            return f"From {self.nudge:g} the two have not come {APART} apart in {len(self.apart) - 1} iterations."
        return (
            f"From {self.nudge:g} it takes {self.steps} iterations to come {APART} apart; at first each multiplies "
            f"the distance by {self.growth:.2f}."
        )


def escape(name: str, nudge: float) -> Escape:
    """EM from a saddle (of the coins: both at .66; Murray's: ρ = 0, σ² = 5/2), the first number nudged.

    `nudge`: 0 or one of NUDGES.
    """
    return _escapes(name)[nudge]


def distances(name: str) -> dict[float, np.ndarray]:
    """The distance after every iteration, by nudge."""
    return {nudge: escape(name, nudge).apart for nudge in NUDGES}


@shared(16)
def _escapes(name: str) -> Mapping[float, Escape]:
    """All of them, step by step at once."""
    land, nudges = terrain(name), (0.0, *NUDGES)
    saddle = (0.66, 0.66) if name == COINS else (0.0, 2.5)
    path = [np.array([(saddle[0] + nudge, saddle[1]) for nudge in nudges])]
    for _ in range(NUDGE_ITERATIONS[name]):
        path.append(land.step(path[-1]))
    places = np.stack(path, axis=1)  # (nudges, t, 2)
    apart = np.abs(places[..., 0] - places[..., 1]) if name == COINS else np.abs(places[..., 0])
    values = land.log_likelihoods(places.reshape(-1, 2)).reshape(apart.shape)
    return MappingProxyType(dict(zip(nudges, map(Escape, nudges, apart, values))))


class Spike(NamedTuple):
    """log p(x) as one component shrinks onto a row, and EM's path from a start in that family."""

    pinned: float  # the row
    sd: np.ndarray  # (g,) of the pinned component
    log_likelihood: np.ndarray  # (g,)
    interior: float  # log p(x) of the best sound fit
    path_sd: np.ndarray  # (t,) the start's and after every iteration
    path_log_likelihood: np.ndarray  # (t,)
    status: Status
    message: str

    @property
    def drawn(self) -> tuple[np.ndarray, np.ndarray, float, np.ndarray, np.ndarray]:
        """What the picture shows: the curve, the height of the best sound fit, EM's path."""
        return self.sd, self.log_likelihood, self.interior, self.path_sd, self.path_log_likelihood

    @property
    def words(self) -> str:
        """What the curve does, and what EM did."""
        return (
            f"Along the curve every tenth of the standard deviation gains {self.per_decade:.3f} nats; below "
            f"{self.crossing:.1e} it is higher than the best sound fit. EM from {self.path_sd[0]:g}: {self.status}, "
            f"log p(x) = {self.path_log_likelihood[-1]:,.3f}; {self.message}."
        )

    @property
    def crossing(self) -> float:
        """The standard deviation below which the spike is higher than the best sound fit."""
        return float(self.sd[self.log_likelihood > self.interior].max(initial=0.0))

    @property
    def per_decade(self) -> float:
        """Nats gained by making the standard deviation ten times smaller, at the small end."""
        slope = (self.log_likelihood[0] - self.log_likelihood[1]) / np.log10(self.sd[1] / self.sd[0])
        return float(slope)


@shared(128)
def spike(pinned: float, sd: float) -> Spike:
    """A narrow component of weight 1/n on a row of the galaxies, a wide one for the others; EM from width `sd`."""
    problem = pose(Mixture(Gaussian("spherical"), 2), galaxies())
    run = fit(problem.model, problem.x, init=_pinned(problem, pinned, sd), tol=1e-10, trace=True)
    halves = [run.trace[0], *(half for half in run.trace if half.kind == "M")]
    return Spike(
        pinned,
        *_spike_curve(pinned),
        np.array([float(np.sqrt(half.params.covariances[0])) for half in halves]),
        np.array([half.log_likelihood for half in halves]),
        run.status,
        run.message,
    )


@shared(16)
def _spike_curve(pinned: float) -> tuple[np.ndarray, np.ndarray, float]:
    problem = pose(Mixture(Gaussian("spherical"), 2), galaxies())
    widths = 10.0 ** np.linspace(*_DECADES, 101)
    params = [_pinned(problem, pinned, width) for width in widths]
    values = np.array([total(problem.model.log_likelihood(p, problem.x), None) for p in params])
    return widths, values, _best_of_two()


@shared(1)
def _best_of_two() -> float:
    """The highest sound summit, from wide components on every eighth galaxy: random starts miss it."""
    problem = pose(Mixture(Gaussian("spherical"), 2), galaxies())
    starts = (_pinned(problem, velocity, 1.0) for velocity in np.sort(problem.x[:, 0])[::8])
    runs = [fit(problem.model, problem.x, init=start, tol=1e-10) for start in starts]
    return max(run.log_likelihood for run in runs if run.status is Status.CONVERGED)


def _pinned(problem: Problem, pinned: float, sd: float) -> Any:
    x = problem.x[:, 0]
    others = x[x != pinned]
    start = {
        "weights": [1.0 / len(x), 1.0 - 1.0 / len(x)],
        "means": [[pinned], [others.mean()]],
        "covariances": [sd**2, others.var()],
    }
    return problem.model.check_params(start, problem.x)


class Swap(NamedTuple):
    """The best fit under another order of its components, and log p(x) on the straight line there."""

    order: tuple[int, ...]
    means: tuple[float, ...]
    grid: np.ndarray  # (g,) 0 is the fit, 1 the same fit reordered
    log_likelihood: np.ndarray  # (g,)

    @property
    def title(self) -> str:
        """The order and the means in it."""
        return f"order {', '.join(map(str, self.order))}: means {', '.join(f'{mean:g}' for mean in self.means)}"


def swaps_in_words(lines: tuple[Swap, ...]) -> str:
    """Equal ends, and how bad the middles are."""
    ends, middles = lines[0].log_likelihood[0], [line.log_likelihood[len(line.grid) // 2] for line in lines]
    span = f"{max(middles):,.1f}" if len(middles) == 1 else f"between {min(middles):,.1f} and {max(middles):,.1f}"
    return (
        f"The {len(lines) + 1} orders of the components have the same log p(x) = {ends:,.3f}; halfway between two of "
        f"them it is {span}. The mean of two equivalent fits is no fit at all."
    )


@shared(16)
def swaps(n_components: int) -> tuple[Swap, ...]:
    """Every order but the first of the best fit to the galaxies, each with the line that leads to it."""
    best = _best_galaxies(n_components)
    grid = np.linspace(0.0, 1.0, 41)
    made = []
    for order in list(permutations(range(n_components)))[1:]:
        other = best.model.relabel(best.params, list(order))
        line = bound_slice(best.model, best.params, best.problem.x, other, grid)
        means = tuple(round(float(mean), 2) for mean in other.means[:, 0])
        made.append(Swap(order, means, grid, line.log_likelihood))
    return tuple(made)


@shared(16)
def _best_galaxies(n_components: int) -> Fit:
    return fit(Mixture(Gaussian("diag"), n_components), galaxies(), restarts=20, seed=0, tol=1e-10)


class Annealed(NamedTuple):
    """EM and annealed EM from one bad start, and the best value known."""

    beta: float
    plain: np.ndarray  # (t,) log p(x) after every iteration
    runs: np.ndarray  # (seeds, t)
    temperature: np.ndarray  # (t,) β of the iteration that led there
    top: float

    @property
    def warm(self) -> int:
        """The first iteration with β = 1."""
        return int((self.temperature < 1.0).sum())

    @property
    def reached(self) -> int:
        """How many of the annealed runs are at the top in the end."""
        return int((self.runs[:, -1] > self.top - _NEAR_TOP).sum())

    @property
    def message(self) -> str:
        """What happened, in a sentence."""
        return (
            f"Plain EM stays {self.top - self.plain[-1]:.2f} nats below the top. Started at β = {self.beta:g}, "
            f"{self.reached} of {len(self.runs)} annealed runs reach it."
        )


@shared(64)
def annealed(beta: float) -> Annealed:
    """Three components on the galaxies from BAD_START, β rising from `beta` to 1 by `esteps.Annealing`."""
    problem = pose(Mixture(Gaussian("diag"), 3), galaxies())
    start = problem.model.params_at_means(problem.x, np.array(BAD_START)[:, None])
    schedule = Annealing(beta, ANNEALED_LEVELS, ANNEALED_HOLD)
    steps = (tempered(schedule, seed=seed) for seed in range(ANNEALED_SEEDS))
    runs = [_values(problem, start, step, warm=schedule.last_change) for step in steps]
    plain = _plain_from_bad_start()
    at = np.array([schedule.beta(max(iteration, 1)) for iteration in range(len(plain))])
    return Annealed(beta, plain, np.array(runs), at, _best_galaxies(3).log_likelihood)


@shared(1)
def _plain_from_bad_start() -> np.ndarray:
    problem = pose(Mixture(Gaussian("diag"), 3), galaxies())
    return _values(problem, problem.model.params_at_means(problem.x, np.array(BAD_START)[:, None]))


def _values(problem: Problem, start: Any, *e_step: Any, warm: int = 0) -> np.ndarray:
    """log p(x) after every iteration; a run that rests after `warm` iterations is drawn on at its last value."""
    values: list[float] = []
    for _, value in islice(em_path(problem, start, *e_step), _ANNEALED_ITERATIONS + 1):
        rests = len(values) > warm and abs(value - values[-1]) < _RESTS
        values.append(value)
        if rests:
            break
    return np.pad(values, (0, _ANNEALED_ITERATIONS + 1 - len(values)), mode="edge")
