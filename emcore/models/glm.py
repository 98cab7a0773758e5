"""Weighted regressions with a canonical link, by Newton's method: the M-steps that have no closed form.

Maximise Σ_i total_i η_i - mass_i A(η_i) over η = intercept + predictors · slopes. With A = exp it is Poisson regression
(totals are events, masses exposures); with A(η) = log(1 + e^η) logistic regression (successes and trials).
The objective is concave: Newton steps, halved where they overshoot, end at its maximum. McCullagh & Nelder (1989).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from emcore.numerics import DegenerateError

_STEPS = 200
_HALVINGS = 60
_SETTLED = 1e-12  # expected gain of a step, relative: the next would gain its square, which is under rounding
_UNDETERMINED = 1e5  # standard error of a coefficient (of standardised predictors) that no data has pinned down


class Link(NamedTuple):
    """A cumulant function A, with its first two derivatives, and the inverse of the first."""

    cumulant: Callable[[np.ndarray], np.ndarray]
    mean: Callable[[np.ndarray], np.ndarray]
    variance: Callable[[np.ndarray], np.ndarray]
    at_mean: Callable[[float], float]


def _logistic_variance(eta: np.ndarray) -> np.ndarray:
    return expit(eta) * expit(-eta)


def softplus(eta: np.ndarray) -> np.ndarray:
    """log(1 + e^η), without overflow."""
    return np.logaddexp(0.0, eta)


LOGIT = Link(softplus, expit, _logistic_variance, lambda mean: float(np.log(mean) - np.log1p(-mean)))
LOG = Link(np.exp, np.exp, np.exp, lambda mean: float(np.log(mean)))


def fit_glm(
    link: Link, predictors: np.ndarray, totals: np.ndarray, masses: np.ndarray, start: np.ndarray | None, what: str
) -> np.ndarray:
    """Coefficients (p + 1,), the intercept first, from `start` (or the intercept alone) to the maximum.

    Predictors (n, p) are standardised within, so units and offsets do not matter; totals and masses (n,).
    DegenerateError, naming `what`, where a coefficient runs off to infinity.
    """
    used = masses > 0
    predictors, totals, masses = predictors[used], totals[used], masses[used]
    mean = totals.sum() / masses.sum() if used.any() else np.nan
    if not 0 < mean < (1.0 if link is LOGIT else np.inf):
        raise DegenerateError(_runaway(what))
    centre = masses @ predictors / masses.sum()
    spread = np.sqrt(masses @ (predictors - centre) ** 2 / masses.sum())
    spread = np.where(spread > 0, spread, 1.0)
    design = np.column_stack([np.ones(len(predictors)), (predictors - centre) / spread])
    if start is None:
        beta = np.concatenate([[link.at_mean(mean)], np.zeros(len(centre))])
    else:
        beta = np.concatenate([[start[0] + start[1:] @ centre], start[1:] * spread])
    beta = _newton(link, design, totals, masses, beta, what)
    slopes = beta[1:] / spread
    return np.concatenate([[beta[0] - slopes @ centre], slopes])


def _newton(
    link: Link, design: np.ndarray, totals: np.ndarray, masses: np.ndarray, beta: np.ndarray, what: str
) -> np.ndarray:
    def objective(beta: np.ndarray) -> float:
        eta = design @ beta
        with np.errstate(over="ignore"):
            return float(totals @ eta - masses @ link.cumulant(eta))

    value = objective(beta)
    for _ in range(_STEPS):
        eta = design @ beta
        slope = design.T @ (totals - masses * link.mean(eta))
        information = (design * (masses * link.variance(eta))[:, None]).T @ design
        step = _solve(information, slope, what)
        if slope @ step <= _SETTLED * (1.0 + abs(value)):
            return beta + step
        for _ in range(_HALVINGS):
            rival = objective(beta + step)
            if rival > value:
                break
            step = 0.5 * step
        else:
            return beta
        beta, value = beta + step, rival
    raise DegenerateError(_runaway(what))


def _solve(information: np.ndarray, slope: np.ndarray, what: str) -> np.ndarray:
    """information⁻¹ slope; DegenerateError where a coefficient's standard error says that nothing determines it."""
    scale = np.sqrt(np.diagonal(information))
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise DegenerateError(_runaway(what))
    try:
        covariance = np.linalg.inv(np.linalg.cholesky(information / np.outer(scale, scale)))
    except np.linalg.LinAlgError:
        raise DegenerateError(_runaway(what)) from None
    if (np.sqrt((covariance**2).sum(axis=0)) > _UNDETERMINED * scale).any():
        raise DegenerateError(_runaway(what))
    return covariance.T @ (covariance @ (slope / scale)) / scale


def _runaway(what: str) -> str:
    return (
        f"a coefficient of {what} runs off to infinity: the data allow a probability or rate of exactly 0 (or 1), "
        "which only the limit reaches; drop the predictor that tells those rows apart, or this part of the model"
    )
