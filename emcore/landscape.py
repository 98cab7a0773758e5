"""The lie of the land: the bound beside the log-likelihood along a line, and what kind of point EM came to.

Everything knows only the protocol. References: Neal & Hinton (1998) for the bound; Wu (1983), Ann. Statist. 11, 95-103
and Murray (1977), J. R. Statist. Soc. B 39, 27-28 for stationary points that are no maxima.
"""

from typing import Any, NamedTuple

import numpy as np

from emcore.curvature import (
    Neighbourhood,
    gradient,
    held_numbers,
    hessian,
    natural_hessian,
    neighbourhood,
    number_names,
)
from emcore.data import as_numbers
from emcore.initialise import is_params
from emcore.numerics import total
from emcore.objective import elbo
from emcore.parameters import Coordinates, PositiveDefinite, Simplex
from emcore.trace import Problem, pose
from emcore.trees import to_vector

_CURVED = 1e-6  # of complete information: a curvature below it is flat as far as differences tell


class Slice(NamedTuple):
    """log p(x) and the bound of one held q along a line through θ_t; totals over rows (weighted), in nats.

    With the exact q at θ_t, value and slope of the two agree at `at`, and nowhere is the bound above.
    """

    grid: np.ndarray  # (g,)
    log_likelihood: np.ndarray  # (g,)
    elbo: np.ndarray  # (g,)
    log_prior: np.ndarray  # (g,)
    at: float  # where θ_t lies on the grid's axis

    @property
    def objective(self) -> np.ndarray:
        """log p(x) + log p(θ) (g,): what EM climbs."""
        return self.log_likelihood + self.log_prior

    @property
    def bound(self) -> np.ndarray:
        """elbo + log p(θ) (g,): what the M-step climbs."""
        return self.elbo + self.log_prior


def bound_slice(
    model: Any, params: Any, x: Any, along: Any, grid: Any, *, q: Any = None, weight: Any = None, lengths: Any = None
) -> Slice:
    """log p(x; θ) and the bound with q held, for θ on a line through `params` (θ_t).

    `along` says which line, and `grid` (g,) where on it:
    a field's name ("theta"), or name and index ("means", (0, 1)): `grid` holds values of that number itself; in a
    probability vector the other entries keep their proportions, in a covariance the mirrored entry moves too;
    other params (or a mapping of fields): 0 is `params`, 1 is the other, straight in free coordinates;
    a vector of free coordinates: that many of its lengths from `params`.
    `q`: a posterior to hold; the exact one at `params` unless given.

    Raises ValueError for a line that leaves the set of params, naming the field.

    >>> import emcore as em
    >>> line = em.bound_slice(em.genetics.linkage(), {"theta": 0.5}, [[125, 18, 20, 34]], "theta", [0.5, 0.6, 0.7])
    >>> line.log_likelihood.round(2), line.elbo.round(2)
    (array([-10.3 ,  -7.68,  -8.65]), array([-10.3 ,  -8.03,  -9.86]))
    """
    problem = pose(model, x, weight, lengths)
    params = problem.model.check_params(params, problem.x)
    grid = as_numbers(grid, "grid")
    if grid.ndim != 1 or not np.isfinite(grid).all():
        raise ValueError(f"grid must be a vector of finite numbers, not {grid.tolist()}")
    line, at = _line(problem, params, along, grid)
    q = problem.model.posterior(params, problem.x) if q is None else q
    log_likelihood, bound, log_prior = np.array([_heights(problem, point, q) for point in line]).reshape(-1, 3).T
    return Slice(grid, log_likelihood, bound, log_prior, at)


def _heights(problem: Problem, params: Any, q: Any) -> tuple[float, float, float]:
    model, x, weight = problem
    log_likelihood = total(model.log_likelihood(params, x), weight)
    return log_likelihood, total(elbo(model, params, x, q), weight), model.log_prior(params)


def _line(problem: Problem, params: Any, along: Any, grid: np.ndarray) -> tuple[list[Any], float]:
    """The params at every place of the grid, and the place of `params` themselves."""
    if isinstance(along, str):
        along = (along, ())
    if isinstance(along, tuple) and len(along) == 2 and isinstance(along[0], str):
        field, index = along[0], tuple(np.atleast_1d(along[1]).tolist())
        where = _place(params, field, index)
        points = [_with_number(problem, params, field, where, value) for value in grid]
        return points, float(getattr(params, field)[where])
    chart = Coordinates(problem.model, params)
    here = chart.to_vector(params)
    direction = _towards(problem, chart, along) - here if is_params(along) else as_numbers(along, "along")
    if direction.shape != here.shape or not np.isfinite(direction).all():
        raise ValueError(f"along, a direction in free coordinates, must have shape {here.shape}, finite; not {along!r}")
    return [_arrive(chart, here, step * direction, step) for step in grid], 0.0


def _arrive(chart: Coordinates, here: np.ndarray, way: np.ndarray, step: float) -> Any:
    with np.errstate(over="ignore", invalid="ignore"):
        params = chart.from_vector(here + way)
    if not np.isfinite(to_vector(params)).all():
        raise ValueError(f"the line leaves what floats can hold at {step:g} on the grid: keep the grid nearer to 0")
    return params


def _towards(problem: Problem, chart: Coordinates, other: Any) -> np.ndarray:
    other = problem.model.check_params(other, problem.x)
    with np.errstate(divide="ignore", invalid="ignore"):
        vector = chart.to_vector(other)
    arrived = chart.from_vector(np.where(np.isfinite(vector), vector, 0.0))
    for name, a, b in zip(other._fields, arrived, other):
        if not np.allclose(a, b, rtol=1e-6, atol=1e-12):
            raise ValueError(
                f"no line in free coordinates leads to the other params: params.{name} is on a boundary (a "
                "probability or rate of 0, or fixed) in one of the two and not in the other"
            )
    return vector


def _place(params: Any, field: str, index: tuple[int, ...]) -> tuple[int, ...]:
    if field not in params._fields:
        raise ValueError(f"there is no field {field!r}; the params have {', '.join(params._fields)}")
    shape = np.shape(getattr(params, field))
    whole = all(isinstance(i, int) for i in index)
    if not whole or len(index) != len(shape) or any(not -size <= i < size for i, size in zip(index, shape)):
        raise ValueError(f"params.{field} has shape {shape}: name one number of it, not index {index}")
    return tuple(i % size for i, size in zip(index, shape))


def _with_number(problem: Problem, params: Any, field: str, where: tuple[int, ...], value: float) -> Any:
    constraint = problem.model.constraints(params)[field]
    array = np.array(getattr(params, field), dtype=float)
    if isinstance(constraint, Simplex):
        row = array[where[:-1]]
        others = np.arange(len(row)) != where[-1]
        rest = row[others].sum()
        row[others] = (row[others] / rest if rest > 0 else 1.0 / max(others.sum(), 1)) * (1.0 - value)
    if isinstance(constraint, PositiveDefinite):
        array[(*where[:-2], where[-1], where[-2])] = value
    array[where] = value
    return problem.model.check_params(params._replace(**{field: array}), problem.x)


class StationaryPoint(NamedTuple):
    """What kind of point of the objective the params are."""

    kind: str  # "maximum", "saddle", "minimum", "flat" or "not stationary"
    message: str  # a sentence
    gradient_norm: float  # in complete-data standard errors: EM would gain about half its square, in nats
    eigenvalues: np.ndarray  # (m,) ascending, of the objective's Hessian in free coordinates
    direction: np.ndarray  # (size,) in free coordinates, of most upward (least downward) curvature, for `bound_slice`
    hessian: np.ndarray  # (m, m) in the numbers named
    names: tuple[str, ...]  # (m,) numbers of the params that determine the rest


def stationary_point(
    model: Any, params: Any, x: Any, *, weight: Any = None, lengths: Any = None, tol: float = 1e-3
) -> StationaryPoint:
    """Maximum, saddle, or not even stationary? By slope and curvature of log p(x; θ) + log p(θ) at `params`.

    Stationary: one EM iteration would move the params by less than `tol` standard errors (of complete data). Numbers
    held on a boundary are left out, so a "maximum" there is one within the boundary. Costs about 3m² evaluations of
    the log-likelihood for m free numbers.
    """
    if not (isinstance(tol, int | float | np.number) and 0 <= tol < np.inf):
        raise ValueError(f"tol must be a number ≥ 0 (standard errors), not {tol!r}")
    around = neighbourhood(pose(model, x, weight, lengths), params)
    slopes = gradient(around, around.observed)
    curves = hessian(around, around.observed)
    shares, vectors = np.linalg.eigh(curves * np.outer(around.scales, around.scales))
    size = float(np.linalg.norm(slopes * around.scales))
    natural, names = natural_hessian(around, curves, slopes)
    direction = np.zeros(around.chart.size)
    if len(shares):
        direction[around.active] = vectors[:, -1] * around.scales
    kind, message = _kind(size, shares, tol)
    return StationaryPoint(
        kind, message + _left_out(around), size, np.linalg.eigvalsh(curves), direction, natural, names
    )


def _kind(size: float, shares: np.ndarray, tol: float) -> tuple[str, str]:
    up, flat = int((shares > _CURVED).sum()), int((np.abs(shares) <= _CURVED).sum())
    if not size <= tol:
        return "not stationary", (
            f"not stationary: the slope is {size:.2g} per standard error, so the next iteration still gains about "
            f"{size**2 / 2:.2g} nats"
        )
    if up and up == len(shares):
        return "minimum", "a minimum: the objective rises in every direction, yet EM stays exactly here"
    if up:
        return "saddle", (
            f"a saddle: the objective rises in {up} of {len(shares)} directions; EM stays only if it starts exactly "
            "in line, and any nudge leads away"
        )
    if flat:
        return "flat", (
            f"flat: the objective neither rises nor falls in {flat} of {len(shares)} directions, so the data do not "
            "determine the params there (or only in fourth order)"
        )
    return "maximum", "a local maximum: the objective falls in every direction; a higher one may exist elsewhere"


def _left_out(around: Neighbourhood, most: int = 6) -> str:
    held = np.flatnonzero(held_numbers(around))
    if not len(held):
        return ""
    names = number_names(around.params)
    shown = ", ".join(names[i] for i in held[:most]) + (", …" if len(held) > most else "")
    return f" (held at their values, being fixed, on a boundary or without rows: {shown})"
