"""The lesson on a Q that is not allowed to be the posterior: where the bound then leads, and what that costs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri

from emcore.classroom import links
from emcore.classroom.exercises import Verdict
from emcore.classroom.factorised_chain import STAYS
from emcore.classroom.recorded import Recorded
from emcore.classroom.shared import shared
from emcore.classroom.two_latents import TwoLatents
from emcore.datasets import load
from emcore.em import fit
from emcore.esteps import EStep, exact, fixed, hard, mean_field, sparse, tempered
from emcore.families.gaussian import Gaussian
from emcore.models.binary_factors import BinaryFactors, BinaryFactorsParams
from emcore.models.mixture import Mixture
from emcore.numerics import total
from emcore.objective import elbo
from emcore.parameters import Coordinates
from emcore.trace import Problem, Trace, half_steps, pose, start_params

TWO, BILLS, CAUSES = "Two latents, one measurement", "Three Gaussians: penguins' bill depth", "Two binary causes"
EXACT, MEAN_FIELD, HARD = "exact: the posterior itself", "mean field: a product", "hard: all on one z"
TOP_TWO, TEMPERED, FIXED = "sparse: the two best z", "tempered: posterior to the power β", "fixed: never looks again"
ROUGH, SUMMIT = "a rough guess", "the maximum of log p(x)"
FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        TWO: (MEAN_FIELD, FIXED, EXACT),
        BILLS: (HARD, TOP_TWO, TEMPERED, FIXED, EXACT),
        CAUSES: (MEAN_FIELD, HARD, TOP_TWO, TEMPERED, FIXED, EXACT),
    }
)
CONTROLS: Mapping[str, links.Control] = MappingProxyType(
    {
        "example": links.Choice((TWO, BILLS, CAUSES)),
        "q": links.Choice((MEAN_FIELD, HARD, TOP_TWO, TEMPERED, FIXED, EXACT)),
        "start": links.Choice((ROUGH, SUMMIT)),
        "noise": links.Choice((0.02, 0.05, 0.1, 0.2, 0.5, 0.8), 0.1),
        "beta": links.Choice((0.5, 0.8, 1.0, 1.5, 2.0, 4.0), 2.0),
        "rho": links.Number(0.8, 0.0, 0.98, whole=False),
        "stay": links.Choice(STAYS, 0.8),
    }
)
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "Mean field from a rough guess": {},
        "Mean field from the maximum": {"start": SUMMIT},
        "Little noise, strong bias": {"start": SUMMIT, "noise": 0.02},
        "Hard EM leaves the maximum": {"example": BILLS, "q": HARD, "start": SUMMIT},
        "Two best of three: hardly worse": {"example": BILLS, "q": TOP_TWO, "start": SUMMIT},
        "Mean field gives up a cause": {"example": CAUSES, "q": MEAN_FIELD, "start": SUMMIT},
    }
)
_ITERATIONS, SWEEPS, _LINE = 30, 40, tuple(np.linspace(-0.3, 1.3, 65).round(6).tolist())


@dataclass(frozen=True)
class RestrictedSettings:
    """The controls; hashable, so runs can be remembered by them."""

    example: str = TWO
    q: str = MEAN_FIELD
    start: str = ROUGH
    noise: float = 0.1  # of the two latents
    beta: float = 2.0  # of the tempered Q


class Profile(NamedTuple):
    """log p(x) and the highest ELBO that the family allows, along a line; totals in nats."""

    grid: np.ndarray  # (g,)
    log_likelihood: np.ndarray  # (g,)
    elbo: np.ndarray  # (g,)
    summit: float  # where log p(x) is highest
    end: float  # where climbing the ELBO ends
    title: str
    places: tuple[float, ...] = ()  # (h,) of the half-steps, where the line is all there is


class _Setup(NamedTuple):
    problem: Problem
    rough: Any
    summit: Any


@dataclass(frozen=True)
class RestrictedLesson(Recorded):
    """A recorded run under a restricted E-step, or the reason why there is none."""

    settings: RestrictedSettings
    run: Trace | None = None
    profile: Profile | None = None
    summit: tuple[float, float] = (0.0, 0.0)  # log p(x) and best ELBO at the maximum of log p(x)
    end: tuple[float, float] = (0.0, 0.0)  # the same where climbing the ELBO from there ends
    parameter: str = ""  # what moved, in words
    trouble: str = ""

    @property
    def loss(self) -> float:
        """Nats of log p(x) that climbing the ELBO costs, from the maximum."""
        return self.summit[0] - self.end[0]

    @property
    def kind(self) -> str:
        """How loudly the message should be said."""
        if self.run is None:
            return "danger"
        return "warn" if self.loss > 1e-6 else "success"

    @property
    def message(self) -> str:
        """Where the bound leads from the maximum of log p(x), in numbers."""
        if self.run is None:
            return self.trouble
        (level, bound), (level_end, bound_end) = self.summit, self.end
        if self.loss <= 1e-6:
            return f"Where log p(x) is highest, {level:,.3f}, this Q keeps EM there: no bias. {self.parameter}"
        higher = (
            f"climbing the ELBO from there, to {bound_end:,.3f}, lowers log p(x) to {level_end:,.3f}"
            if self.settings.q != TEMPERED
            else f"it climbs another bound, and leads to an ELBO of {bound_end:,.3f} and log p(x) = {level_end:,.3f}"
        )
        left = f"At the maximum of log p(x), {level:,.3f}, this Q leaves an ELBO of {bound:,.3f}"
        return f"{left}; {higher}. {self.parameter}"

    @property
    def figures(self) -> list[tuple[str, str]]:
        """Numbers at the end of the run, and what they are."""
        last = self.trace[-1]
        return [
            (f"{last.log_likelihood:,.3f}", "log p(x) at the end of the run, nats"),
            (f"{last.elbo:,.3f}", "ELBO at the end of the run"),
            (f"{last.kl:.3g}", "gap at the end of the run"),
            (f"{self.loss:.3g}", "log p(x) lost to the bias"),
        ]

    @property
    def largest_fall(self) -> float:
        """The largest fall of log p(x) in one half-step of the run."""
        levels = np.array([half.log_likelihood for half in self.trace])
        return max(0.0, -float(np.diff(levels).min()))

    def has_fallen(self) -> Verdict:
        """The mark for the task to make log p(x) fall while the ELBO rises."""
        if self.run is None:
            return Verdict("neutral", "")
        climbs = float(np.diff([half.elbo for half in self.run]).min()) > -1e-9 * abs(self.run[0].elbo)
        if self.largest_fall > 1e-6 and climbs:
            words = f"Done: the ELBO never falls, and log p(x) falls by up to {self.largest_fall:.3g} nats in a step."
            return Verdict("success", words)
        if self.largest_fall > 1e-6:
            return Verdict("warn", "log p(x) falls, but so does the ELBO: this Q is not the best of any family.")
        return Verdict(
            "neutral", "In the run on the page log p(x) does not fall. Where would a biased bound pull it down?"
        )


@shared(256)
def restricted_lesson(settings: RestrictedSettings) -> RestrictedLesson:
    """Run EM with the restricted E-step, half-steps recorded; bad settings come back as a sentence in `trouble`."""
    try:
        if settings.example != TWO:
            settings = replace(settings, noise=0.1)  # which changes nothing there: one run serves all
        setup = _setup(settings.example, settings.noise)
        e_step = _e_step(settings.q, settings.beta, setup)
        start = setup.summit if settings.start == SUMMIT else setup.rough
        trace = Trace(*setup.problem, tuple(islice(half_steps(setup.problem, start, e_step), 2 * _ITERATIONS)))
        end = _end(settings.example, settings.q, settings.beta, settings.noise)
        profile = _profile(settings, setup, e_step, trace)
    except ValueError as error:
        return RestrictedLesson(settings, trouble=str(error))
    summit_heights, end_heights = (_heights(setup.problem, e_step, params) for params in (setup.summit, end))
    return RestrictedLesson(settings, trace, profile, summit_heights, end_heights, _moved(setup.summit, end))


@shared(1)
def reveal() -> str:
    """The answer to the prediction, in the numbers of the two latents."""
    lesson = restricted_lesson(RestrictedSettings(start=SUMMIT))
    (level, bound), (level_end, bound_end) = lesson.summit, lesson.end
    return (
        f"It moves, and log p(x) falls. On two latents with noise variance 0.1 the ELBO climbs from {bound:.3f} to "
        f"{bound_end:.3f} while log p(x) falls from {level:.3f} to {level_end:.3f}: the bound gains by closing the "
        "gap at the cost of the likelihood. A higher ELBO is a better model only if the gap stays the same "
        "(Turner & Sahani 2011)."
    )


def families(example: str) -> tuple[str, ...]:
    """The E-steps that the example allows, the most telling first."""
    return FAMILIES.get(example, FAMILIES[TWO])


def family(asked: str, example: str) -> str:
    """The E-step asked for, or the first that the example allows."""
    return asked if asked in families(example) else families(example)[0]


@shared(16)
def _setup(example: str, noise: float) -> _Setup:
    if example == TWO:
        x = ndtri((np.arange(20) + 0.5) / 20)
        weight = np.full(len(x), 1.0 / len(x))  # totals are then per observation
        problem = pose(TwoLatents(noise), (x / np.sqrt((x**2).mean()))[:, None], weight)
        rough = problem.model.check_params({"loading": 0.25}, problem.x)
        summit = fit(problem.model, problem.x, init={"loading": 0.25}, weight=weight).params
        return _Setup(problem, rough, summit)
    if example not in (BILLS, CAUSES):
        raise ValueError(f"there is no example “{example}”: choose “{TWO}”, “{BILLS}” or “{CAUSES}”")
    problem = _penguins() if example == BILLS else _causes()
    rough = start_params(problem, "random-rows", np.random.default_rng(0))
    return _Setup(problem, rough, fit(problem.model, problem.x, restarts=4, seed=0).params)


def _penguins() -> Problem:
    return pose(Mixture(Gaussian("tied"), 3), load("penguins").select("bill_depth_mm").drop_nulls())


def _causes() -> Problem:
    """200 rows drawn with a seed: either cause adds 1 to the first column, the second also .6 to the second."""
    truth = BinaryFactorsParams(np.array([0.5, 0.5]), np.array([[1.0, 1.0], [0.0, 0.6]]), np.zeros(2), np.array(0.15))
    return pose(BinaryFactors(2), BinaryFactors(2).sample(truth, 200, np.random.default_rng(0))[0])


def _e_step(q: str, beta: float, setup: _Setup) -> EStep:
    model, x, _ = setup.problem
    if q == FIXED:
        return fixed(model.posterior(setup.rough, x))
    made: dict[str, EStep] = {EXACT: exact, MEAN_FIELD: mean_field(SWEEPS), HARD: hard, TOP_TWO: sparse(2)}
    made[TEMPERED] = tempered(beta)
    if q not in made:
        raise ValueError(f"there is no E-step “{q}”: choose one of {', '.join(made)} and {FIXED}")
    return made[q]


@shared(128)
def _end(example: str, q: str, beta: float, noise: float) -> Any:
    """Where the restricted algorithm ends when it starts at the maximum of log p(x)."""
    setup = _setup(example, noise)
    if q == EXACT:
        return setup.summit
    model, x, weight = setup.problem
    return fit(
        model, x, init=setup.summit, weight=weight, e_step=_e_step(q, beta, setup), tol=1e-10, max_iter=300
    ).params


def _heights(problem: Problem, e_step: EStep, params: Any) -> tuple[float, float]:
    model, x, weight = problem
    bound = elbo(model, params, x, e_step(model, params, x, None))
    return total(model.log_likelihood(params, x), weight), total(bound, weight)


def _profile(settings: RestrictedSettings, setup: _Setup, e_step: EStep, trace: Trace) -> Profile:
    """Along the loading itself; elsewhere from the maximum (0) to where a restricted E-step leads (1)."""
    problem = setup.problem
    led_by = families(settings.example)[0] if settings.q == EXACT else settings.q
    end = _end(settings.example, led_by, settings.beta, settings.noise)
    if settings.example == TWO:
        where = float(setup.summit.loading), float(setup.summit.loading if settings.q == EXACT else end.loading)
        grid = np.unique(np.concatenate([np.linspace(0.1, 1.0, 91), where]))
        points = [setup.summit._replace(loading=np.array(value)) for value in grid]
        title, places = "loading l, in x = l (z₁ + z₂) + noise", tuple(float(half.params.loading) for half in trace)
    else:
        chart, grid = Coordinates(problem.model, setup.summit), np.array(_LINE)
        here = chart.to_vector(setup.summit)
        points = [chart.from_vector(here + step * (chart.to_vector(end) - here)) for step in grid]
        where = 0.0, 0.0 if settings.q == EXACT else 1.0
        title, places = "from the maximum (0) to where the ELBO leads (1)", ()
    heights = np.array([_heights(problem, e_step, point) for point in points])
    return Profile(grid, heights[:, 0], heights[:, 1], *where, title, places)


def _moved(summit: Any, end: Any) -> str:
    """The parameter that tells most, before and after."""
    name = next(name for name in ("loading", "means", "loadings") if hasattr(summit, name))
    before, after = (", ".join(f"{value:.3f}" for value in np.ravel(getattr(at, name))) for at in (summit, end))
    return f"The {name}: {before}." if before == after else f"The {name}: from {before} to {after}."
