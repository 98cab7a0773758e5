"""Slopes and curvatures of the objective around one value of the parameters, in free coordinates, by differences.

Steps are measured in complete-data standard errors: a step along a coordinate lowers the expected log joint by about
REACH²/2 nats, so that neither units nor sample size matter. Sixth-order central differences, summed row by row
(differences first, so that a long log-likelihood costs no digits), are then right to about eight digits.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emcore.numerics import DegenerateError
from emcore.parameters import Coordinates
from emcore.trace import Problem

REACH = 0.05  # the step of a difference, in standard errors that complete data would have
_LEAST_FALL = 1e-3 * REACH**2  # nats: less than this as far as the function is quadratic is no information
_QUADRATIC = 0.01  # how far from 4 the ratio of falls over a step and half a step may be
_SHIFTS = (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0)
_SLOPE = (-1 / 60, 9 / 60, -45 / 60, 45 / 60, -9 / 60, 1 / 60)  # of values less the middle one
_CURVE = (2 / 180, -27 / 180, 270 / 180, 270 / 180, -27 / 180, 2 / 180)

Terms = Callable[[np.ndarray], np.ndarray]  # free coordinates -> numbers whose sum is the function


@dataclass(frozen=True)
class Neighbourhood:
    """One value of the parameters with the exact q there, and the steps that differences around it take.

    `active` are the coordinates (of the chart's `size`) in which complete data would have any information worth the
    name. The others are as good as on a boundary (a probability of 1e-9 that stands for 1e-7 rows), or belong to a
    component without rows; they are left out of every result.
    """

    problem: Problem
    params: Any
    chart: Coordinates
    at: np.ndarray  # (size,)
    q: Any
    active: np.ndarray  # (m,) indices
    steps: np.ndarray  # (m,)
    scales: np.ndarray  # (m,) standard errors that complete data would have, the other coordinates known

    def place(self, moves: np.ndarray) -> np.ndarray:
        """Free coordinates (size,) after moves (m,) along the active ones."""
        vector = self.at.copy()
        vector[self.active] += moves
        return vector

    def observed(self, vector: np.ndarray) -> np.ndarray:
        """log p(x_i) of every row, weighted, and the log prior: their sum is the objective."""
        params = self.chart.from_vector(vector)
        return _terms(self.problem, self.problem.model.log_likelihood(params, self.problem.x), params)

    def complete(self, vector: np.ndarray) -> np.ndarray:
        """E_q log p(x_i, z) at the q held here, weighted, and the log prior."""
        params = self.chart.from_vector(vector)
        rows = self.problem.model.expected_log_joint(params, self.problem.x, self.q)
        return _terms(self.problem, rows, params)

    def em_map(self, vector: np.ndarray) -> np.ndarray:
        """Free coordinates after one E-step and one M-step."""
        model, x, weight = self.problem
        params = self.chart.from_vector(vector)
        after = model.m_step(model.suff_stats(x, model.posterior(params, x), weight), params)
        with np.errstate(divide="ignore"):  # a coordinate that is not active may arrive at its boundary
            return self.chart.to_vector(after)

    def numbers(self, vector: np.ndarray) -> np.ndarray:
        """All numbers of the params, flat."""
        return np.concatenate([np.ravel(value) for value in self.chart.from_vector(vector)])


def neighbourhood(problem: Problem, params: Any) -> Neighbourhood:
    """The neighbourhood of `params`, its steps measured."""
    params = problem.model.check_params(params, problem.x)
    chart = Coordinates(problem.model, params)
    at = chart.to_vector(params)
    q = problem.model.posterior(params, problem.x)
    ones = np.ones(chart.size)
    bare = Neighbourhood(problem, params, chart, at, q, np.arange(chart.size), ones, ones)
    with np.errstate(all="ignore"):  # the search for a step may go far out
        found = np.array([_step(bare, axis) for axis in np.eye(chart.size)]).reshape(-1, 2)
    active = np.flatnonzero(np.isfinite(found[:, 0]))
    return replace(bare, active=active, steps=found[active, 0], scales=found[active, 1])


def gradient(around: Neighbourhood, terms: Terms) -> np.ndarray:
    """Slopes (m,) along the active coordinates."""
    return jacobian(around, terms).sum(axis=0)


def hessian(around: Neighbourhood, terms: Terms) -> np.ndarray:
    """Second derivatives (m, m); 3m(m + 1) evaluations: along every coordinate and every sum of two."""
    base = terms(around.at)
    axes = np.diag(around.steps)

    def second(direction: np.ndarray) -> float:
        return float(_combine(_CURVE, around, terms, base, direction).sum())

    curves = np.diag([second(axis) for axis in axes])
    for i in range(len(axes)):
        for j in range(i):
            curves[i, j] = curves[j, i] = (second(axes[i] + axes[j]) - curves[i, i] - curves[j, j]) / 2.0
    return curves / np.outer(around.steps, around.steps)


def jacobian(around: Neighbourhood, function: Terms, shrink: float = 1.0) -> np.ndarray:
    """Derivatives (values, m) of a vector function along the active coordinates; `shrink` shortens the steps."""
    base = function(around.at)
    columns = [_combine(_SLOPE, around, function, base, shrink * axis) for axis in np.diag(around.steps)]
    return np.reshape(columns, (len(columns), len(base))).T / (around.steps * shrink)


def number_names(params: Any) -> tuple[str, ...]:
    """A name for every number of the params, in flat order: "theta", "means[0, 1]", …"""
    names = []
    for name, value in zip(params._fields, params):
        names += [name + (str(list(index)) if index else "") for index in np.ndindex(np.shape(value))]
    return tuple(names)


def held_numbers(around: Neighbourhood) -> np.ndarray:
    """Which of all numbers (N,) are held: no active coordinate moves them, or an inactive one moves them more."""
    own = np.abs(jacobian(around, around.numbers, 1 / 16)).max(axis=1, initial=0.0)
    inactive = np.setdiff1d(np.arange(around.chart.size), around.active)
    others = replace(around, active=inactive, steps=np.full(len(inactive), 1e-3))
    return (own == 0) | (np.abs(jacobian(others, around.numbers)).max(axis=1, initial=0.0) > own)


def natural_hessian(
    around: Neighbourhood, curves: np.ndarray, slopes: np.ndarray
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Second derivatives (m, m) in natural numbers from those in free coordinates, and the names of the numbers.

    The numbers are the first of the params that determine the rest: all but one entry of a probability vector, one
    triangle of a covariance. Where the slopes are not zero the bend of the chart is taken out:
    ∂²f/∂v² = (∂θ/∂v)ᵀ ∂²f/∂θ² (∂θ/∂v) + Σ_j ∂f/∂θ_j ∂²θ_j/∂v².
    """
    whole = jacobian(around, around.numbers, 1 / 16)
    chosen = _independent(whole * around.steps)
    chart = whole[chosen]
    natural_slopes = np.linalg.solve(chart.T, slopes)
    bend = hessian(around, lambda vector: natural_slopes * around.numbers(vector)[chosen])
    matrix = np.linalg.solve(chart.T, np.linalg.solve(chart.T, curves - bend).T)
    names = number_names(around.params)
    return (matrix + matrix.T) / 2, tuple(names[row] for row in chosen)


def _independent(rows: np.ndarray) -> list[int]:
    """The first rows that span all of them (Gram–Schmidt, twice for rounding)."""
    chosen: list[int] = []
    basis = np.zeros((0, rows.shape[1]))
    for i, row in enumerate(rows):
        rest = row - basis.T @ (basis @ row)
        rest -= basis.T @ (basis @ rest)
        if np.linalg.norm(rest) > 1e-6 * np.linalg.norm(row):
            chosen.append(i)
            basis = np.vstack([basis, rest / np.linalg.norm(rest)])
    return chosen


def _terms(problem: Problem, rows: np.ndarray, params: Any) -> np.ndarray:
    if problem.weight is not None:
        rows = np.where(problem.weight > 0, problem.weight * np.where(problem.weight > 0, rows, 0.0), 0.0)
    return np.append(rows, problem.model.log_prior(params))


def _combine(
    coefficients: tuple[float, ...], around: Neighbourhood, terms: Terms, base: np.ndarray, direction: np.ndarray
) -> np.ndarray:
    """Σ_s c_s (terms(at + s·direction) - base), term by term."""
    total = np.zeros_like(base)
    for coefficient, shift in zip(coefficients, _SHIFTS):
        total += coefficient * (terms(around.place(shift * direction)) - base)
    return total


def _step(bare: Neighbourhood, axis: np.ndarray) -> tuple[float, float]:
    """The step along one coordinate and the complete-data standard error; NaN where floats show no information."""
    base = bare.complete(bare.at)
    noise = 16 * np.finfo(float).eps * float(np.linalg.norm(base))

    def fall(step: float) -> float:
        try:
            sides = [bare.complete(bare.place(s * axis)) - base for s in (step, -step)]
        except (DegenerateError, ValueError):  # no such params in floats
            return np.inf
        return abs(float((sides[0] + sides[1]).sum()))

    step = _step_of_reach(fall, noise)
    while (now := fall(step)) > max(1e3 * noise, _LEAST_FALL):  # NaN ends it too
        half = fall(step / 2)
        if abs(now - 4.0 * half) < _QUADRATIC * half:
            return step, step / np.sqrt(now)
        step /= 2
    return np.nan, np.nan


def _step_of_reach(fall: Callable[[float], float], noise: float) -> float:
    """A step over which the function falls by REACH² (to a factor of 4), both sides taken together."""
    step = 1e-2
    for _ in range(40):
        now = fall(step)
        if not np.isfinite(now):
            step /= 10
        elif now < 10 * noise:
            step *= 10
        elif REACH**2 / 4 < now < 4 * REACH**2:
            break
        else:
            step *= float(np.clip(REACH / np.sqrt(now), 1e-3, 1e3))
    return step
