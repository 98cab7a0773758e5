"""Accelerated EM: fewer evaluations of the map θ → F(θ), which is one E-step and one M-step.

EM converges linearly at the rate of missing information, and its own steps tell where they are heading. Each scheme
here extrapolates them in free coordinates, so that every candidate is feasible, and is guarded: a candidate that does
not raise the objective is dropped for EM's own step, which does. So no accepted step goes down, and the limits are
EM's. What counts as cost is an evaluation: a pass over the data at some θ, for the objective there and for F(θ).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from emcore.parameters import Coordinates
from emcore.passes import EMMap, Pass, Point
from emcore.trees import leaves, to_vector


class Accelerator(Protocol):
    """A scheme: passes from `start` on, none with a lower objective than the one before."""

    def passes(self, em_map: EMMap, start: Any) -> Iterator[Pass]:
        """Endless; the first is the start itself."""
        ...


class Located(NamedTuple):
    """A point in a chart."""

    point: Point
    place: np.ndarray
    step: np.ndarray  # of EM, in the chart


class Chart:
    """Free coordinates around `like`, good as long as no number reaches or leaves its boundary."""

    def __init__(self, model: Any, like: Any) -> None:
        self._coordinates = Coordinates(model, like)
        self._edge = _edge(like)

    def covers(self, *many: Any) -> bool:
        """Whether the same numbers are on a boundary in all of these params."""
        return all(np.array_equal(_edge(params), self._edge) for params in many)

    def vector(self, params: Any) -> np.ndarray:
        """Free coordinates."""
        return self._coordinates.to_vector(params)

    def located(self, point: Point) -> list[Located]:
        """The point with its coordinates; nothing where the chart does not cover it."""
        if not self.covers(point.params, point.image):
            return []
        place = self.vector(point.params)
        return [Located(point, place, self.vector(point.image) - place)]

    def params(self, vector: np.ndarray) -> Any:
        """The params with these coordinates, which may have run out of range; None where the model knows none."""
        try:
            with np.errstate(all="ignore"):
                return self._coordinates.from_vector(vector)
        except (ArithmeticError, ValueError):
            return None


@dataclass(frozen=True)
class OverRelaxed:
    """EM's step made longer by `growth` as long as that pays, and back to EM's own when it does not.

    Reference: Salakhutdinov & Roweis (2003), Proc. 20th Int. Conf. Machine Learning, 664-671 (adaptive version).
    """

    growth: float = 1.1

    def __post_init__(self) -> None:
        if not (isinstance(self.growth, int | float) and 1.0 < self.growth < np.inf):
            raise ValueError(f"growth must be a number above 1, not {self.growth!r}")

    def passes(self, em_map: EMMap, start: Any) -> Iterator[Pass]:
        """See `Accelerator`."""
        now, reach = em_map(start), 1.0
        yield em_map.start(now)
        while True:
            reach *= self.growth
            chart = Chart(em_map.model, now.image)
            leap = None
            if chart.covers(now.params):
                here = chart.vector(now.params)
                leap = em_map.attempt(chart.params(here + reach * (chart.vector(now.image) - here)), now)
            if leap is None:
                reach, leap = 1.0, em_map(now.image)
            now = leap
            yield em_map.accept(now)


@dataclass(frozen=True)
class Squarem:
    """Squared extrapolation from two steps of EM, with the step length of scheme S3.

    θ' = θ - 2αr + α²v with r = F(θ) - θ, v = F(F(θ)) - F(θ) - r and α = -|r|/|v|, kept if it is no worse than F(θ).
    Where |v| > |r| the step is EM's own.
    Reference: Varadhan & Roland (2008), Scand. J. Statist. 35, 335-353.
    """

    def passes(self, em_map: EMMap, start: Any) -> Iterator[Pass]:
        """See `Accelerator`."""
        now = em_map(start)
        yield em_map.start(now)
        while True:
            one = em_map(now.image)
            chart = Chart(em_map.model, one.image)
            leap = em_map.attempt(self._leap(chart, now, one), one) if chart.covers(now.params, one.params) else None
            if leap is None:
                yield em_map.accept(one)
                leap = em_map(one.image)
            now = leap
            yield em_map.accept(now)

    def _leap(self, chart: Chart, now: Point, one: Point) -> Any:
        first, second = _in_balance([now.residual, one.residual], now.params)
        bend = float(np.linalg.norm(second - first))
        length = max(1.0, float(np.linalg.norm(first)) / bend) if bend > 0 else 1.0
        here, there, beyond = (chart.vector(p) for p in (now.params, one.params, one.image))
        r = there - here
        return chart.params(here + 2.0 * length * r + length**2 * (beyond - there - r))


@dataclass(frozen=True)
class Anderson:
    """Anderson's extrapolation: the combination of the last points whose steps of EM cancel best.

    Regularised least squares over up to `memory` differences; a candidate that fails starts the memory anew, and one
    that would go against EM's step (to a saddle, say) is replaced by a longer step of EM itself.
    References: Walker & Ni (2011), SIAM J. Numer. Anal. 49, 1715-1735; restarts and monotone control: Henderson &
    Varadhan (2019), J. Comput. Graph. Statist. 28, 834-846.
    """

    memory: int = 5
    ridge: float = 1e-6  # relative to the squared length of the differences

    def __post_init__(self) -> None:
        if isinstance(self.memory, bool) or not isinstance(self.memory, int | np.integer) or self.memory < 1:
            raise ValueError(f"memory must be a whole number of at least 1, not {self.memory!r}")
        if not (isinstance(self.ridge, int | float) and 0 < self.ridge < np.inf):
            raise ValueError(f"ridge must be a number > 0, not {self.ridge!r}")

    def passes(self, em_map: EMMap, start: Any) -> Iterator[Pass]:
        """See `Accelerator`."""
        now = em_map(start)
        yield em_map.start(now)
        chart, ahead = Chart(em_map.model, now.image), None
        past = chart.located(now)
        while True:
            leap = em_map.attempt(self._forward(chart, past, ahead), now)
            if leap is None:
                past = past[-1:]
                leap = em_map(now.image)
            now = leap
            if not chart.covers(now.params, now.image):
                chart, past = Chart(em_map.model, now.image), []
            past = [*past, *chart.located(now)][-self.memory - 1 :]
            ahead = self._ahead(chart, past) if len(past) > 1 else None
            yield em_map.accept(now, ahead)

    def _ahead(self, chart: Chart, past: list[Located]) -> Any:
        """Where the secants of `past` would have EM arrive."""
        residuals = np.array(_in_balance([located.point.residual for located in past], past[-1].point.params))
        differences = np.diff(residuals, axis=0).T
        sizes = np.linalg.norm(differences, axis=0)
        sizes[sizes == 0.0] = 1.0
        damped = np.vstack([differences / sizes, np.sqrt(self.ridge) * np.eye(len(sizes))])
        target = np.concatenate([residuals[-1], np.zeros(len(sizes))])
        shares = np.linalg.lstsq(damped, target, rcond=None)[0] / sizes
        images = np.array([located.place + located.step for located in past])
        return chart.params(images[-1] - np.diff(images, axis=0).T @ shares)

    def _forward(self, chart: Chart, past: list[Located], ahead: Any) -> Any:
        """`ahead` if EM's step leans that way; otherwise EM's step as many times as the last move says."""
        if ahead is None:
            return None
        before, now = past[-2:]
        way = to_vector(ahead) - to_vector(now.point.params)
        with np.errstate(all="ignore"):  # it may lead to infinity
            residual, way = _in_balance([now.point.residual, way], now.point.params)
            if residual @ way > 0:
                return ahead
        bend = float(np.linalg.norm(now.step - before.step))
        times = max(1.0, float(np.linalg.norm(now.place - before.place)) / bend) if bend > 0 else 1.0
        return chart.params(now.place + times * now.step)


def accelerator(choice: Any) -> Accelerator | None:
    """The scheme that `fit(accelerate=...)` names, with its defaults; ValueError for anything else."""
    named = {"squarem": Squarem, "anderson": Anderson, "over-relaxed": OverRelaxed}
    if isinstance(choice, str) and choice in named:
        return named[choice]()
    if choice is not None and (isinstance(choice, type) or not hasattr(choice, "passes")):
        raise ValueError(f"accelerate must be None, {', '.join(map(repr, named))} or an accelerator, not {choice!r}")
    return choice


def _edge(params: Any) -> np.ndarray:
    flat = to_vector(params)
    return (flat == 0.0) | (flat == 1.0)


def _in_balance(vectors: list[np.ndarray], like: Any) -> list[np.ndarray]:
    """The same vectors with every field of the params scaled to length 1 in the longest, so that units do not count."""
    ends = np.cumsum([leaf.size for leaf in leaves(like)])[:-1]
    fields = [np.split(vector, ends) for vector in vectors]
    lengths = [max(float(np.linalg.norm(part)) for part in parts) or 1.0 for parts in zip(*fields)]
    return [np.concatenate([part / length for part, length in zip(parts, lengths)]) for parts in fields]
