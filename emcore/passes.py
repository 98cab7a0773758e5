"""A run as a stream of passes: params, and the values at them, each from one pass over the data.

`plain_passes` is EM itself, `traced_passes` the same with its half-steps recorded. `EMMap` is the iteration as a map of
the parameters, for schemes that call it elsewhere than where it left off (see `accelerate`).
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from emcore.esteps import EStep, e_step_at, exact
from emcore.numerics import row_blocks, total
from emcore.objective import elbo
from emcore.trace import HalfStep, Problem, half_steps
from emcore.trees import add_stats, leaves, to_vector

_BLOCK_ROWS = 8192
_ROUNDING = 1e-13  # a relative move of the parameters that is noise
_WATCHED = 10  # moves whose contraction is remembered


class Pass(NamedTuple):
    """Params in the course of a run, and the values at them."""

    params: Any
    objective: float
    log_likelihood: float
    n_evaluations: int  # of the EM map, so far
    outlook: tuple[float, float] | None = None  # (length, rate) of EM's steps from here, where moves do not show them


class Engine(NamedTuple):
    """How a pass over the rows is computed."""

    dtype: Any = np.float64  # of the rows and what is computed of each; sums are always double
    threads: int = 1


DOUBLE = Engine()


def plain_passes(problem: Problem, params: Any, e_step: EStep, engine: Engine = DOUBLE) -> Iterator[Pass]:
    """Params and their log p(x) and objective, then the params after one E-step and M-step, and so on."""
    expectations, q = Expectations(problem, engine), None
    for iteration in count(1):
        step = e_step_at(e_step, iteration)
        if step is exact:
            stats, log_likelihood = expectations(params)
            objective, q = log_likelihood + problem.model.log_prior(params), None
        else:
            stats, log_likelihood, objective, q = _evaluate(problem, params, step, q)
        yield Pass(params, objective, log_likelihood, iteration)
        params = problem.model.m_step(stats, params)


def traced_passes(problem: Problem, params: Any, e_step: EStep, halves: list[HalfStep]) -> Iterator[Pass]:
    """`plain_passes` with every half-step appended to `halves`."""
    for half in half_steps(problem, params, e_step):
        halves.append(half)
        if half.kind == "E":
            yield Pass(half.params, half.objective, half.log_likelihood, half.iteration)


def _evaluate(problem: Problem, params: Any, e_step: EStep, q: Any) -> tuple[Any, float, float, Any]:
    """Statistics under the Q of an E-step, log p(x), and the objective, all at `params`."""
    model, x, weight = problem
    q = e_step(model, params, x, q)
    bound = total(elbo(model, params, x, q), weight)
    log_likelihood = total(model.log_likelihood(params, x), weight)
    return model.suff_stats(x, q, weight), log_likelihood, bound + model.log_prior(params), q


class Expectations:
    """Expected statistics under the exact posterior, and log p(x): one pass over the rows for every call.

    By the model's own kernel where it has one, otherwise over blocks of rows, whose sums are added in order.
    """

    def __init__(self, problem: Problem, engine: Engine = DOUBLE) -> None:
        self._problem = problem
        model, x, weight = problem
        self._kernel = model.kernel(x, weight, **engine._asdict()) if hasattr(model, "kernel") else None
        self._map = ThreadPoolExecutor(engine.threads).map if engine.threads > 1 else map

    def __call__(self, params: Any) -> tuple[Any, float]:
        """Statistics and log p(x) at `params`."""
        if self._kernel is not None:
            stats, log_likelihood = self._kernel.evaluate(params)
            return stats, float(log_likelihood[0])
        model, x, weight = self._problem
        if not isinstance(x, np.ndarray) or len(x) <= _BLOCK_ROWS:
            q, rows = model.infer(params, x)
            return model.suff_stats(x, q, weight), total(rows, weight)

        def of_block(block: slice) -> tuple[Any, float]:
            part = None if weight is None else weight[block]
            q, rows = model.infer(params, x[block])
            return model.suff_stats(x[block], q, part), total(rows, part)

        parts = self._map(of_block, row_blocks(len(x), _BLOCK_ROWS))
        return reduce(lambda one, other: (add_stats(one[0], other[0]), one[1] + other[1]), parts)


@dataclass(frozen=True, eq=False)
class Point:
    """Params at which the EM map was evaluated."""

    params: Any
    objective: float
    log_likelihood: float
    m_step: Callable[[], Any]

    @cached_property
    def image(self) -> Any:
        """F(params); DegenerateError where EM cannot go on."""
        return self.m_step()

    @cached_property
    def residual(self) -> np.ndarray:
        """F(params) - params, all numbers in a row."""
        return to_vector(self.image) - to_vector(self.params)

    @property
    def step(self) -> float:
        """The length of EM's step: the largest change of a number, relative to the largest of its kind."""
        return float(np.abs(self.residual / _scales(self.params)).max(initial=0.0))


class EMMap:
    """θ → F(θ) on given data. It counts its evaluations, and watches how much F shrinks the moves of one run."""

    def __init__(self, problem: Problem, engine: Engine = DOUBLE) -> None:
        self.model = problem.model
        self.n_evaluations = 0
        self._expectations = Expectations(problem, engine)
        self._shrinkage: deque[float] = deque(maxlen=_WATCHED)
        self._last: Point | None = None

    def __call__(self, params: Any) -> Point:
        """The objective and EM's step at `params`."""
        self.n_evaluations += 1
        stats, log_likelihood = self._expectations(params)
        objective = log_likelihood + self.model.log_prior(params)
        return Point(params, objective, log_likelihood, lambda: self.model.m_step(stats, params))

    def attempt(self, params: Any, floor: Point) -> Point | None:
        """The point at a candidate, if it is no worse than `floor`; None if it is, or is out of the model's reach.

        Where the objectives differ by rounding alone, the shorter step of EM is the better point.
        """
        if params is None:
            return None
        try:
            with np.errstate(all="ignore"):
                point = self(params)
                if not np.isfinite(point.objective) or not np.isfinite(point.residual).all():
                    return None
        except (ArithmeticError, ValueError):  # degenerate, or log p(x) = -inf in some row
            return None
        lead = point.objective - floor.objective
        rounding = 4.0 * np.finfo(float).eps * abs(floor.objective)
        return point if lead > rounding or (lead >= -rounding and point.step <= floor.step) else None

    def start(self, point: Point) -> Pass:
        """The pass that a run begins with."""
        return Pass(point.params, point.objective, point.log_likelihood, self.n_evaluations)

    def accept(self, point: Point, ahead: Any = None) -> Pass:
        """The next pass of the run, and what is known of the distance that is left.

        EM's step is (I - J) times the error, J the Jacobian of F, so that the distance is step / (1 - rate). The rate
        is the most that F left of any of the last moves, which went along the slow directions; and where params `ahead`
        are where the secants of the run would have EM arrive, the distance is no less than the way there.
        """
        scales = _scales(point.params)
        self._watch(point, scales)
        step = point.step
        rate = max(self._shrinkage, default=np.inf)
        distance = step / (1.0 - max(rate, 0.0)) if rate < 1.0 else np.inf
        if ahead is not None:
            way = np.abs((to_vector(ahead) - to_vector(point.params)) / scales).max(initial=0.0)
            distance = max(distance, float(way) if np.isfinite(way) else np.inf)
        self._last = point
        outlook = (step, 1.0 - step / distance if distance > 0 else 0.0)
        return Pass(point.params, point.objective, point.log_likelihood, self.n_evaluations, outlook)

    def _watch(self, point: Point, scales: np.ndarray) -> None:
        if self._last is None:
            return
        move = (to_vector(point.params) - to_vector(self._last.params)) / scales
        response = (to_vector(point.image) - to_vector(self._last.image)) / scales
        if np.abs(move).max(initial=0.0) > _ROUNDING:
            self._shrinkage.append(float(move @ response / (move @ move)))


def _scales(params: Any) -> np.ndarray:
    """For every number of the params, the largest of its kind over components."""
    parts = []
    for leaf in leaves(params):
        size = np.abs(leaf)
        largest = size.max(axis=0, initial=0.0) if leaf.ndim > 1 else size.max(initial=0.0)
        parts.append(np.broadcast_to(np.where(largest > 0, largest, 1.0), leaf.shape).ravel())
    return np.concatenate(parts)
