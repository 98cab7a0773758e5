"""How well the data determine the parameters: standard errors, and the share of information that is missing.

observed information = complete information - missing information, and EM's rate of convergence is the largest
share that is missing. Everything knows only the protocol, and differentiates in free coordinates.
References: Dempster, Laird & Rubin (1977), J. R. Statist. Soc. B 39, 1-38; Louis (1982), J. R. Statist. Soc. B 44,
226-233; Orchard & Woodbury (1972), Proc. 6th Berkeley Symp. 1, 697-715 (the missing information principle).
"""

from typing import Any, NamedTuple

import numpy as np

from emcore.curvature import (
    Neighbourhood,
    gradient,
    held_numbers,
    hessian,
    jacobian,
    natural_hessian,
    neighbourhood,
)
from emcore.numerics import DegenerateError
from emcore.posteriors import CategoricalPosterior
from emcore.result import Fit
from emcore.trace import Trace, pose

_NEAR = 0.1  # standard errors that params may be away from the maximum before standard errors are refused
_SMALLEST_MOVE = 1e-7  # complete-data standard errors; ratios of shorter moves are rounding


class Rate(NamedTuple):
    """EM's linear rate of convergence near a fixed point, found three ways that agree, and the information behind it.

    Each iteration leaves this share of the distance. A direction the data say nothing of counts as 1: EM never moves
    along it. Where map and information disagree, the M-step is not the maximiser of the expected log joint (it only
    climbs, or hides more than z); where iterates disagree with both, a number is on its way to a boundary, or the run
    is not yet near its end. The matrices are of the numbers named, at the params given; a prior counts as data.
    """

    from_iterates: float  # ratio of the last moves of a run that are above rounding; NaN without a run
    from_information: float  # the largest of `fractions`
    from_map: float  # the largest eigenvalue of the Jacobian of params -> params after one iteration
    fractions: np.ndarray  # (m,) ascending: shares of information that are missing, eigenvalues of I - I_c⁻¹ I_o
    complete_information: np.ndarray  # (m, m) I_c = -∂² E_q log p(x, z; θ)
    observed_information: np.ndarray  # (m, m) I_o = -∂² log p(x; θ)
    names: tuple[str, ...]  # (m,) numbers of the params that determine the rest


def rate(source: Any, params: Any = None, x: Any = None, *, weight: Any = None, lengths: Any = None) -> Rate:
    """The fraction of missing information: `rate(fit)`, `rate(trace)`, or `rate(model, params, x)`.

    Params should be a fixed point of EM. Costs about 6m² evaluations of the log-likelihood for m numbers. Raises
    ValueError where complete data would leave some combination of the numbers undetermined.

    >>> import emcore as em
    >>> rate = em.rate(em.genetics.linkage(), {"theta": 0.62682149787}, [[125, 18, 20, 34]])
    >>> round(rate.from_information, 4), rate.complete_information.round(1), rate.observed_information.round(1)
    (0.1328, array([[435.3]]), array([[377.5]]))
    """
    points: list[Any] = []
    if isinstance(source, Fit | Trace):
        trace = source.trace if isinstance(source, Fit) else source
        points = [trace[0].params, *(half.params for half in trace if half.kind == "M")]
        problem = pose(trace.model, trace.x, trace.weight)
        params = source.params if isinstance(source, Fit) else points[-1]
    else:
        problem = pose(source, x, weight, lengths)
    around = neighbourhood(problem, params)
    slopes = gradient(around, around.observed)
    curves = [hessian(around, terms) for terms in (around.complete, around.observed)]
    fractions = _fractions(-curves[0], -curves[1])
    (complete, names), (observed, _) = (natural_hessian(around, c, slopes) for c in curves)
    try:
        moved = jacobian(around, around.em_map)[around.active]
    except DegenerateError as error:
        raise ValueError(f"EM cannot go on from these params, so it has no rate there: {error}") from error
    return Rate(
        from_iterates=_ratio_of_moves(around, points, -curves[0]),
        from_information=float(fractions[-1]),
        from_map=float(np.linalg.eigvals(moved).real.max()),
        fractions=fractions,
        complete_information=-complete,
        observed_information=-observed,
        names=names,
    )


def _fractions(complete: np.ndarray, observed: np.ndarray) -> np.ndarray:
    try:
        factor = np.linalg.cholesky(complete)
    except np.linalg.LinAlgError:
        raise ValueError(
            "even complete data would not determine these params (the complete information is not positive definite): "
            "they are no fixed point of an exact M-step, so EM has no rate here"
        ) from None
    missing = np.linalg.solve(factor, np.linalg.solve(factor, complete - observed).T)
    return np.linalg.eigvalsh((missing + missing.T) / 2)


def _ratio_of_moves(around: Neighbourhood, points: list[Any], complete: np.ndarray) -> float:
    """⟨move_t+1, move_t⟩ / ⟨move_t, move_t⟩ for the last long enough moves, in the metric of complete information.

    In that metric the Jacobian of EM is symmetric, so that this quotient settles twice as fast as a ratio of lengths.
    """
    if len(points) < 3:
        return np.nan
    path = np.array([around.chart.to_vector(point)[around.active] for point in points])
    moves = np.diff(path, axis=0)
    lengths = np.sqrt(np.einsum("ti,ij,tj->t", moves, complete, moves))
    rounding = 1e4 * np.finfo(float).eps * np.abs(path[-1] / around.scales).max(initial=0.0)
    long = np.flatnonzero(lengths[:-1] > max(_SMALLEST_MOVE, rounding))
    if not len(long):
        return np.nan
    t = long[-1]
    return float(moves[t + 1] @ complete @ moves[t] / lengths[t] ** 2)


def standard_errors(
    model: Any, params: Any, x: Any, *, weight: Any = None, lengths: Any = None, method: str = "hessian"
) -> Any:
    """Standard errors of every number of the params, in a tuple of the same fields; NaN where one is held.

    Inverse observed information in free coordinates, carried to the numbers by the delta method. `method`: "hessian"
    differentiates log p(x; θ) twice; "louis" takes complete minus missing information, the latter from the scores of
    log p(x, z; θ) under the posterior (Louis 1982; models with a `log_joint`). They agree to rounding. With a
    prior these are the spreads of the normal approximation to the posterior. A number is held where it is fixed, on
    its boundary (a probability of 0), or where its component has no rows.

    Raises ValueError where the params are no maximum (see `stationary_point`), or 0.1 standard errors away from it.
    """
    around = neighbourhood(pose(model, x, weight, lengths), params)
    if method not in ("hessian", "louis"):
        raise ValueError(f'method must be "hessian" or "louis", not {method!r}')
    information = louis_information(around) if method == "louis" else -hessian(around, around.observed)
    covariance = _inverse(around, information)
    slopes = gradient(around, around.observed)
    distance = np.sqrt(slopes @ covariance @ slopes)
    if distance > _NEAR:
        raise ValueError(
            f"the params are about {distance:.2g} standard errors away from the nearest maximum, so their standard "
            "errors would mislead: fit to a smaller tol or with more iterations first"
        )
    to_numbers = jacobian(around, around.numbers, 1 / 16)
    errors = np.sqrt(np.einsum("ji,ik,jk->j", to_numbers, covariance, to_numbers))
    errors[held_numbers(around)] = np.nan
    cuts = np.cumsum([np.size(value) for value in around.params])[:-1]
    pieces = np.split(errors, cuts)
    return type(around.params)(*(piece.reshape(np.shape(v)) for piece, v in zip(pieces, around.params)))


def _inverse(around: Neighbourhood, information: np.ndarray) -> np.ndarray:
    """Its inverse, by way of a matrix without units; ValueError unless it is positive definite beyond rounding."""
    outer = np.outer(around.scales, around.scales)
    values, vectors = np.linalg.eigh(information * outer)
    if (values < 1e-7).any():
        kind = "the log-likelihood rises from it" if values[0] < -1e-7 else "the log-likelihood is flat there"
        raise ValueError(
            f"the params have no standard errors: they are no strict maximum, {kind} in some direction; "
            "see stationary_point"
        )
    return (vectors / values) @ vectors.T * outer


def louis_information(around: Neighbourhood) -> np.ndarray:
    """Observed information (m, m) as E[-∂² log p(x, z)] - Var[∂ log p(x, z)], both under the posterior of a finite z.

    Rows are independent, so the variances add. Raises TypeError for a model without `log_joint` (n, k).
    """
    model, x, weight = around.problem
    if not hasattr(model, "log_joint") or not isinstance(around.q, CategoricalPosterior):
        raise TypeError(
            f"{type(model).__name__} has no log_joint (n, k) over a finite z, which Louis' method sums over: "
            'use method="hessian"'
        )

    probs = around.q.probs

    def log_joint(vector: np.ndarray) -> np.ndarray:
        return np.where(probs > 0, model.log_joint(around.chart.from_vector(vector), x), 0.0).ravel()

    scores = jacobian(around, log_joint).reshape(*probs.shape, -1)
    centred = scores - np.einsum("nk,nkm->nm", probs, scores)[:, None]
    chances = probs if weight is None else probs * weight[:, None]
    missing = np.einsum("nk,nki,nkj->ij", chances, centred, centred, optimize=True)
    return -hessian(around, around.complete) - missing
