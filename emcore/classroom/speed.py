"""How fast, and have we arrived? Runs of EM whose limit is known, accelerated and not, and what stopping rules see.

References: Dempster, Laird & Rubin (1977) for the rate; Böhning et al. (1994), Ann. Inst. Statist. Math. 46, 373-388
for Aitken's prediction; Varadhan & Roland (2008), Scand. J. Statist. 35, 335-353 for SQUAREM; Hasselblad (1969) for
the death notices.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from emcore import genetics
from emcore.accelerate import accelerator
from emcore.classroom.shared import shared
from emcore.datasets import load
from emcore.em import fit
from emcore.esteps import exact
from emcore.families.gaussian import Gaussian
from emcore.families.poisson import Poisson
from emcore.models.censored_exponential import CensoredExponential
from emcore.models.mixture import Mixture
from emcore.numerics import total
from emcore.parameters import Coordinates
from emcore.passes import EMMap, plain_passes
from emcore.tables import parameter_name, scalars
from emcore.trace import Problem, pose
from emcore.trees import to_vector
from emcore.uncertainty import Rate, rate, standard_errors

LINKAGE, ABO, NOTICES = "linkage", "abo", "death_notices"
CENSORED, NORMALS = "censored", "normals"
EXAMPLES: Mapping[str, str] = MappingProxyType(
    {
        "Death notices: two Poissons": NOTICES,
        "Linkage of 197 animals": LINKAGE,
        "Blood groups": ABO,
        "Waiting times, some censored": CENSORED,
        "Two normals": NORMALS,
    }
)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # of the waiting times that are censored
SEPARATIONS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)  # of the two normals, in standard deviations
SCHEMES = ("EM", "over-relaxed", "SQUAREM", "Anderson")
MOST = 4000  # iterations that are recorded
_ARRIVED = 1e-10  # standard errors from the limit at which a run has nothing left to show
_BARE_CYCLES = 60
N_CENSORED = 20
FIRST, SECOND = 70, 130  # rows of the two normals


@dataclass(frozen=True)
class Example:
    """A problem, where EM starts, and which number to talk about."""

    problem: Problem
    start: Any
    number: int  # index among all numbers of the params
    name: str


class Run(NamedTuple):
    """One scheme's way to the limit."""

    scheme: str
    evaluations: np.ndarray  # (t,) passes over the data so far
    log_likelihood: np.ndarray  # (t,)
    numbers: np.ndarray  # (t, m) all numbers of the params
    error: np.ndarray  # (t,) the largest distance from the limit, in standard errors


@dataclass(frozen=True)
class Race:
    """All schemes on one example, with the limit, its standard errors and the information there."""

    example: Example
    limit: np.ndarray  # (m,)
    log_likelihood: float  # at the limit
    names: tuple[str, ...]  # (m,)
    standard_errors: np.ndarray  # (m,) NaN where held
    complete_errors: np.ndarray  # (m,) what they would be with z seen
    rate: Rate
    runs: tuple[Run, ...]

    @property
    def em(self) -> Run:
        """EM's own run."""
        return self.runs[0]

    def needed(self, error: float) -> dict[str, int | None]:
        """Evaluations after which each scheme stays within that many standard errors; None where it never does."""
        found: dict[str, int | None] = {}
        for run in self.runs:
            inside = run.error[::-1] <= error
            stays = len(inside) if inside.all() else int(np.argmin(inside))
            found[run.scheme] = int(run.evaluations[-stays]) if stays else None
        return found

    @property
    def words(self) -> str:
        """The rate and what it costs, in a sentence or two."""
        counts = [f"{scheme} {count:,}" for scheme, count in self.needed(1e-4).items() if count is not None]
        share = self.rate.from_information
        return (
            f"At the limit {share:.2%} of the information on the slowest direction is missing, so each iteration of EM "
            f"leaves {share:.5f} of the error. Passes over the data to within 0.0001 standard errors: "
            f"{', '.join(counts)}."
        )


def example(name: str, level: float = 0.5) -> Example:
    """One of EXAMPLES; `level`: the share censored, or the separation of the normals. ValueError for another name."""
    made: Mapping[str, Callable[[], Example]] = {
        LINKAGE: _linkage,
        ABO: _abo,
        NOTICES: _notices,
        CENSORED: lambda: _censored(level),
        NORMALS: lambda: _normals(level),
    }
    if name not in made:
        raise ValueError(f"there is no example {name!r}: there are {', '.join(made)}")
    return made[name]()


def _example(problem: Problem, start: Any, number: int) -> Example:
    params = problem.model.check_params(start, problem.x)
    field, place, _ = scalars(params)[number]
    return Example(problem, params, number, parameter_name(field, place))


def _linkage() -> Example:
    return _example(pose(genetics.linkage(), load("linkage")), {"theta": 0.5}, 0)


def _abo() -> Example:
    return _example(pose(genetics.abo(), load("abo")), {"probs": [0.3, 0.2, 0.5]}, 0)


def _notices() -> Example:
    table = load("death_notices")
    problem = pose(Mixture(Poisson(), 2), table.select("notices"), table["days"].to_numpy())
    return _example(problem, {"weights": [0.5, 0.5], "rates": [1.2, 3.0]}, 0)


def _censored(share: float) -> Example:
    """Quantiles of a unit exponential; the longest are only known to exceed the last one seen."""
    times = -np.log1p(-(np.arange(N_CENSORED) + 0.5) / N_CENSORED)
    seen = round((1.0 - share) * N_CENSORED)
    lower = np.minimum(times, times[seen - 1])
    upper = np.where(np.arange(N_CENSORED) < seen, times, np.inf)
    return _example(pose(CensoredExponential(), np.column_stack([lower, upper])), {"rates": 4.0}, 0)


def _normals(separation: float) -> Example:
    """Quantiles of two unit normals, 70 and 130 rows, their common variance to be estimated."""
    from scipy.special import ndtri

    quantiles = [ndtri((np.arange(n) + 0.5) / n) for n in (FIRST, SECOND)]
    x = np.concatenate([quantiles[0] - separation / 2, quantiles[1] + separation / 2])[:, None]
    start = {"weights": [0.5, 0.5], "means": [[-2.0], [2.0]], "covariances": [[1.0]]}
    return _example(pose(Mixture(Gaussian("tied"), 2), x), start, 0)


def race(name: str, level: float = 0.5) -> Race:
    """Every scheme from the same start; the limit is that of the accelerated run, polished."""
    return _race(name, level)


@shared(32)
def _race(name: str, level: float) -> Race:
    made = example(name, level)
    model, x, weight = made.problem
    best = fit(model, x, init=made.start, weight=weight, accelerate="anderson", tol=1e-18, max_iter=500)
    errors = to_vector(standard_errors(model, best.params, x, weight=weight))
    limit = to_vector(best.params)
    around = rate(model, best.params, x, weight=weight)
    return Race(
        example=made,
        limit=limit,
        log_likelihood=best.log_likelihood,
        names=tuple(parameter_name(field, place) for field, place, _ in scalars(best.params)),
        standard_errors=errors,
        complete_errors=_complete_errors(around, best.params),
        rate=around,
        runs=tuple(_recorded(scheme, made, limit, errors) for scheme in SCHEMES),
    )


def _complete_errors(around: Rate, params: Any) -> np.ndarray:
    """Standard errors from the complete information; a last probability is one less the others of its field."""
    covariance = np.linalg.inv(around.complete_information)
    found = []
    for field, place, _ in scalars(params):
        name = parameter_name(field, place)
        others = [i for i, other in enumerate(around.names) if other.split("[")[0] == field]
        block = [around.names.index(name)] if name in around.names else others
        found.append(float(np.sqrt(covariance[np.ix_(block, block)].sum())) if block else np.nan)
    return np.array(found)


def _recorded(scheme: str, made: Example, limit: np.ndarray, errors: np.ndarray) -> Run:
    chosen = accelerator(None if scheme == "EM" else scheme.lower())
    em_map = EMMap(made.problem)
    passes = chosen.passes(em_map, made.start) if chosen else _plain(made)
    kept = []
    for now in passes:
        numbers = to_vector(now.params)
        error = float(np.nanmax(np.abs(numbers - limit) / errors))
        kept.append((now.n_evaluations, now.log_likelihood, numbers, error))
        if error <= _ARRIVED or len(kept) > MOST or now.n_evaluations > 2 * MOST:
            break
    counts, values, numbers, away = zip(*kept)
    return Run(scheme, np.array(counts), np.array(values), np.array(numbers), np.array(away))


def _plain(made: Example) -> Iterator[Any]:
    return plain_passes(made.problem, made.start, exact)


class Bare(NamedTuple):
    """SQUAREM without a guard."""

    evaluations: np.ndarray  # (t,)
    log_likelihood: np.ndarray  # (t,) NaN once a leap left the parameter space

    @property
    def falls(self) -> int:
        """How often a leap lowered log p(x)."""
        return int((np.diff(self.log_likelihood) < -1e-9 * np.abs(self.log_likelihood[:-1])).sum())


def bare_squarem(name: str, level: float = 0.5) -> Bare:
    """θ' = θ - 2αr + α²v with α = -|r|/|v| in free coordinates, from two steps of EM, whatever log p(x) then says."""
    return _bare_squarem(name, level)


@shared(32)
def _bare_squarem(name: str, level: float) -> Bare:
    made = example(name, level)
    em_map, params = EMMap(made.problem), made.start
    counts, values = [0], [total(made.problem.model.log_likelihood(params, made.problem.x), made.problem.weight)]
    for _ in range(_BARE_CYCLES):
        leap = _bare_leap(made.problem, em_map, params)
        if leap is None:
            return Bare(np.array([*counts, counts[-1] + 2]), np.array([*values, np.nan]))
        params = leap
        counts.append(counts[-1] + 2)
        values.append(total(made.problem.model.log_likelihood(params, made.problem.x), made.problem.weight))
    return Bare(np.array(counts), np.array(values))


def _bare_leap(problem: Problem, em_map: EMMap, params: Any) -> Any:
    chart = Coordinates(problem.model, params)
    with np.errstate(all="ignore"):
        try:
            one = em_map(params).image
            two = em_map(one).image
            here, there, beyond = (chart.to_vector(p) for p in (params, one, two))
            r, v = there - here, beyond - 2 * there + here
            bend = float(np.linalg.norm(v))
            alpha = min(-float(np.linalg.norm(r)) / bend, -1.0) if bend > 0 else -1.0
            leap = chart.from_vector(here - 2 * alpha * r + alpha**2 * v)
            return problem.model.check_params(leap, problem.x)
        except (ValueError, ArithmeticError):
            return None
