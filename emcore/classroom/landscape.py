"""Where does EM end up? Log-likelihoods with two numbers to move, as maps: heights, the climb from a start, basins.

Three maps. Two coins, and the two rates of Hasselblad's death notices, with the shares of the components held still;
and Murray's normal with missing cells, whose symmetric starts stay on the plane of ρ and σ².
References: Hasselblad (1969), J. Amer. Statist. Assoc. 64, 1459-1471; Murray (1977), J. R. Statist. Soc. B 39, 27-28;
Wu (1983), Ann. Statist. 11, 95-103.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from emcore.classroom.shared import shared
from emcore.datasets import load
from emcore.esteps import EStep, e_step_at, exact
from emcore.families.binomial import Binomial
from emcore.families.missing import condition
from emcore.families.poisson import Poisson
from emcore.landscape import StationaryPoint, stationary_point
from emcore.models.missing_normal import MissingNormal
from emcore.models.mixture import Mixture
from emcore.numerics import total
from emcore.trace import Problem, pose

COINS, NOTICES, MURRAY = "coins", "death_notices", "murray"
MAPS: Mapping[str, str] = MappingProxyType(
    {"Two coins": COINS, "Death notices: two Poisson rates": NOTICES, "Murray's normal: ρ and σ²": MURRAY}
)
STARTS = ("apart", "the other way round", "equal")
CELLS = 60
_MOST_ITERATIONS = 400
_SETTLED = 1e-8  # of the map: a move of an iteration after which a path no longer moves to the eye
_ALMOST = 1e-5  # the same where only the basin matters
_SAME_PLACE = 0.02  # of the width of the map


@dataclass(frozen=True)
class Terrain:
    """A log-likelihood over a plane of two numbers that EM does not leave."""

    problem: Problem
    titles: tuple[str, str]
    domain: tuple[tuple[float, float], tuple[float, float]]
    params: Callable[[float, float], Any]
    place: Callable[[Any], tuple[float, float]]
    log_likelihoods: Callable[[np.ndarray], np.ndarray]  # of places (m, 2), at once
    step: Callable[[np.ndarray], np.ndarray]  # where one iteration of EM takes places (m, 2), at once
    starts: tuple[tuple[float, float], ...]  # in the order of STARTS
    basin_starts: int = 13  # in either direction


class Heights(NamedTuple):
    """log p(x) at the middles of the cells of a map."""

    across: np.ndarray  # (CELLS,)
    up: np.ndarray  # (CELLS,)
    log_likelihood: np.ndarray  # (CELLS, CELLS), rows go up


class Climb(NamedTuple):
    """EM's path on a map and what kind of point it came to."""

    places: np.ndarray  # (t, 2) the start and the place after each iteration
    log_likelihood: np.ndarray  # (t,)
    settled: bool  # False: still moving when it was cut off
    kind: str  # see `landscape.StationaryPoint`
    message: str
    eigenvalues: np.ndarray  # (m,) ascending, of the Hessian in the numbers themselves

    @property
    def words(self) -> str:
        """Where it came to, what kind of point that is, and by which eigenvalues."""
        (a, b), signs = self.places[-1], ", ".join(f"{value:+.4g}" for value in self.eigenvalues)
        arrived = "came to" if self.settled else "is still moving, at"
        return (
            f"After {len(self.places) - 1} iterations EM {arrived} ({a:.3f}, {b:.3f}), where log p(x) = "
            f"{self.log_likelihood[-1]:,.4f}: {self.message}. Eigenvalues of the Hessian: {signs}."
        )

    @property
    def loudness(self) -> str:
        """The kind of callout for those words."""
        return {"maximum": "success", "saddle": "danger"}.get(self.kind, "warn")

    def csv(self) -> str:
        """The path as comma-separated values."""
        rows = [f"{t},{a!r},{b!r},{v!r}" for t, (a, b, v) in enumerate(self._rows())]
        return "\n".join(["iteration,first,second,log_likelihood", *rows, ""])

    def _rows(self) -> list[list[float]]:
        return np.column_stack([self.places, self.log_likelihood]).tolist()


class Basins(NamedTuple):
    """Where every start of a grid ends."""

    starts: np.ndarray  # (s, 2)
    ends: np.ndarray  # (s,) which summit
    summits: np.ndarray  # (m, 2), highest first
    log_likelihood: np.ndarray  # (m,)


@shared(32)
def terrain(name: str, share: float = 0.5) -> Terrain:
    """One of MAPS; `share` of component 0 where there are two. ValueError for another name or share."""
    if name not in MAPS.values():
        raise ValueError(f"there is no map {name!r}: there are {', '.join(MAPS.values())}")
    if name == MURRAY:
        return _murray()
    if not 0.0 < share < 1.0:
        raise ValueError(f"the share of component 0 must lie between 0 and 1, not be {share}")
    return _coins(share) if name == COINS else _notices(share)


def _coins(share: float) -> Terrain:
    weights = (share, 1.0 - share)
    problem = pose(Mixture(Binomial(10), 2, fixed_weights=weights), load("coin_tosses").select("heads"))
    titles = ("probs[0]: chance of heads of coin 0", "probs[1]: of coin 1")
    starts = ((0.85, 0.3), (0.3, 0.85), (0.5, 0.5))
    return Terrain(problem, titles, ((0.05, 0.95),) * 2, *_two_of(problem, "probs", weights), starts)


def _notices(share: float) -> Terrain:
    weights, table = (share, 1.0 - share), load("death_notices")
    problem = pose(Mixture(Poisson(), 2, fixed_weights=weights), table.select("notices"), table["days"].to_numpy())
    titles = ("rates[0]: deaths a day, component 0", "rates[1]: component 1")
    starts = ((0.6, 4.2), (4.2, 0.6), (3.5, 3.5))
    return Terrain(problem, titles, ((0.25, 4.75),) * 2, *_two_of(problem, "rates", weights), starts)


def _two_of(problem: Problem, field: str, weights: tuple[float, ...]) -> tuple[Callable, Callable, Callable, Callable]:
    """Params from two numbers of a field, and back; log p(x) and an iteration of EM for many pairs of numbers."""
    model, kernel = problem.model, problem.model.kernel(problem.x, problem.weight)

    def params(first: float, second: float) -> Any:
        return model.check_params({"weights": weights, field: [first, second]}, problem.x)

    def place(params: Any) -> tuple[float, float]:
        first, second = np.ravel(getattr(params, field))
        return float(first), float(second)

    def pile(places: np.ndarray) -> Any:
        return model.make_params(np.tile(weights, len(places)), (places.reshape(-1, 1),))

    def log_likelihoods(places: np.ndarray) -> np.ndarray:
        return kernel.evaluate(pile(places), len(places))[1]

    def step(places: np.ndarray) -> np.ndarray:
        before = pile(places)
        stats, _ = kernel.evaluate(before, len(places))
        return getattr(model.m_step_pile(stats, before, len(places)), field).reshape(-1, 2)

    return params, place, log_likelihoods, step


def _murray() -> Terrain:
    problem = pose(MissingNormal(), load("murray"))

    def params(rho: float, variance: float) -> Any:
        covariance = [[variance, rho * variance], [rho * variance, variance]]
        return problem.model.check_params({"mean": [0.0, 0.0], "covariance": covariance}, problem.x)

    def place(params: Any) -> tuple[float, float]:
        (variance, between), _ = params.covariance
        return float(between / variance), float(variance)

    def log_likelihoods(places: np.ndarray) -> np.ndarray:
        rho, variance = places.T
        shapes = np.stack(
            [np.stack([np.ones_like(rho), rho], axis=1), np.stack([rho, np.ones_like(rho)], axis=1)], axis=1
        )
        by_place, _ = condition(np.zeros((len(places), 2)), variance[:, None, None] * shapes, problem.x)
        return by_place.sum(axis=1)

    titles = ("ρ: correlation", "σ²: variance of both columns")
    starts = ((0.8, 1.5), (-0.8, 1.5), (0.0, 1.5))
    domain, step = ((-0.95, 0.95), (1.0, 4.5)), _murray_step(problem.x)
    return Terrain(problem, titles, domain, params, place, log_likelihoods, step, starts, basin_starts=7)


def _murray_step(x: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """An iteration of EM on the plane of ρ and σ² in closed form (Murray 1977): the columns are alike, the means 0.

    A missing cell beside a seen one x has the mean ρx and the variance σ²(1 - ρ²).
    """
    whole = ~np.isnan(x).any(axis=1)
    squares, products = float((x[whole] ** 2).sum()), float(x[whole].prod(axis=1).sum())
    halves, seen = int((~whole).sum()), float(np.nansum(x[~whole] ** 2))

    def step(places: np.ndarray) -> np.ndarray:
        rho, variance = places.T
        both = squares + seen * (1.0 + rho**2) + halves * variance * (1.0 - rho**2)
        return np.stack([2.0 * (products + seen * rho) / both, both / (2.0 * len(x))], axis=1)

    return step


def em_path(problem: Problem, start: Any, e_step: EStep = exact) -> Iterator[tuple[Any, float]]:
    """Params and log p(x) at the start and after every iteration, without end."""
    model, x, weight = problem
    params, q, iteration = start, None, 0
    while True:
        posterior, rows = model.infer(params, x)
        yield params, total(rows, weight)
        iteration += 1
        q = posterior if e_step is exact else e_step_at(e_step, iteration)(model, params, x, q)
        params = model.m_step(model.suff_stats(x, q, weight), params)


@shared(32)
def heights(name: str, share: float = 0.5) -> Heights:
    """The map itself."""
    land = terrain(name, share)
    across, up = (_middles(limits) for limits in land.domain)
    places = np.stack([part.ravel() for part in np.meshgrid(across, up)], axis=1)
    return Heights(across, up, land.log_likelihoods(places).reshape(CELLS, CELLS))


def _middles(limits: tuple[float, float]) -> np.ndarray:
    step = (limits[1] - limits[0]) / CELLS
    return limits[0] + step * (np.arange(CELLS) + 0.5)


@shared(256)
def climb(name: str, share: float, start: tuple[float, float]) -> Climb:
    """EM from a place on the map until it moves no more, and the sign of the curvature there."""
    land = terrain(name, share)
    inside = [float(np.clip(value, *limits)) for value, limits in zip(start, land.domain)]
    places, settled = _until_settled(land, np.array([inside]))
    places, values = places[:, 0], land.log_likelihoods(places[:, 0])
    point = _point(name, share, tuple(places[-1].round(5).tolist()))
    message, eigenvalues = point.message.split(" (held")[0], np.linalg.eigvalsh(point.hessian)
    return Climb(places, values, settled, point.kind, message, eigenvalues)


@shared(64)
def _point(name: str, share: float, place: tuple[float, float]) -> StationaryPoint:
    """What kind of point a place is; many starts end at few places, so it is seldom computed."""
    land = terrain(name, share)
    return stationary_point(land.problem.model, land.params(*place), land.problem.x, weight=land.problem.weight)


def _until_settled(land: Terrain, starts: np.ndarray, small: float = _SETTLED) -> tuple[np.ndarray, bool]:
    """The paths (t, s, 2) from starts (s, 2), each at rest once it has settled, and whether all have."""
    size = np.ptp(np.array(land.domain), axis=1)
    path, moving = [starts], np.ones(len(starts), dtype=bool)
    while moving.any() and len(path) <= _MOST_ITERATIONS:
        after = path[-1].copy()
        after[moving] = land.step(path[-1][moving])
        moving = (np.abs(after - path[-1]) > small * size).any(axis=1)
        path.append(after)
    return np.stack(path), not moving.any()


@shared(32)
def basins(name: str, share: float = 0.5) -> Basins:
    """Where EM ends from every start of a grid; starts that share a summit share a number, the highest 0."""
    land = terrain(name, share)
    grid = [np.linspace(*limits, land.basin_starts) for limits in land.domain]
    starts = np.stack([part.ravel() for part in np.meshgrid(*grid)], axis=1)
    size = np.ptp(np.array(land.domain), axis=1)
    summits: list[tuple[np.ndarray, float]] = []
    reached = []
    ends = _until_settled(land, starts, _ALMOST)[0][-1]
    for place, value in zip(ends, land.log_likelihoods(ends).tolist()):
        near = [i for i, (other, _) in enumerate(summits) if (np.abs(place - other) < _SAME_PLACE * size).all()]
        reached.append(near[0] if near else len(summits))
        if not near:
            summits.append((place, value))
    order = sorted(range(len(summits)), key=lambda i: -summits[i][1])
    rank = np.argsort(order)
    return Basins(
        starts,
        rank[np.array(reached)],
        np.array([summits[i][0] for i in order]),
        np.array([summits[i][1] for i in order]),
    )


def drawn(name: str, share: float, path: Climb, with_basins: bool = False) -> dict[str, Any]:
    """What the picture of a map shows, by the names that it gives them."""
    land, others = terrain(name, share), basins(name, share) if with_basins else None
    return heights(name, share)._asdict() | {
        "path": path.places,
        "values": path.log_likelihood,
        "titles": land.titles,
        "domain": land.domain,
        "starts": others and others.starts,
        "ends": others and others.ends,
    }
