"""Regressions with a latent variable, and the families of waiting times and heavy tails."""

import numpy as np

import emcore as em
from tests.registry.case import Case

_RNG = np.random.default_rng(19890601)


def _scale_response(x: np.ndarray, c: float) -> np.ndarray:
    return np.column_stack([x[:, :-1], c * x[:, -1:]])


def _scale_interval(x: np.ndarray, c: float) -> np.ndarray:
    return np.column_stack([x[:, :-2], c * x[:, -2:]])


def _two_planes(n: int) -> np.ndarray:
    v = _RNG.uniform(-2.0, 2.0, (n, 2))
    z = _RNG.random(n) < 0.4
    mean = np.where(z, 3.0 - 1.5 * v[:, 0], 0.5 * v[:, 0] + v[:, 1])
    return np.column_stack([v, mean + _RNG.normal(0.0, np.where(z, 0.4, 0.8), n)])


def _without_responses(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x[::7, -1] = np.nan
    return x


def _intervals(n: int) -> np.ndarray:
    """Responses observed, open above, open below, held between two numbers, and unknown."""
    v = _RNG.normal(size=n)
    z = 1.0 + 0.8 * v + _RNG.normal(0.0, 0.7, n)
    kind = np.arange(n) % 5
    lower = np.select([kind == 0, kind == 1, kind == 2, kind == 3], [z, z - 0.3, -np.inf, z - 0.4], z)
    upper = np.select([kind == 0, kind == 1, kind == 2, kind == 3], [z, np.inf, z + 0.5, z + 0.2], z)
    lower[-1], upper[-1] = -np.inf, np.inf
    return np.column_stack([v, lower, upper])


def _times(n: int) -> np.ndarray:
    z = _RNG.exponential(3.0, n)
    kind = np.arange(n) % 4
    lower = np.select([kind == 1, kind == 2, kind == 3], [0.6 * z, 0.0, np.floor(z)], z)
    upper = np.select([kind == 1, kind == 2, kind == 3], [np.inf, 1.4 * z, np.floor(z) + 1.0], z)
    return np.column_stack([lower, upper])


def _zero_inflated(n: int) -> np.ndarray:
    v = _RNG.normal(size=(n, 2))
    structural = _RNG.random(n) < 1.0 / (1.0 + np.exp(1.0 - 0.8 * v[:, 0]))
    counts = _RNG.poisson(np.exp(0.8 + 0.4 * v[:, 0] - 0.3 * v[:, 1]))
    return np.column_stack([v, np.where(structural, 0, counts)]).astype(float)


def _groups(n: int) -> np.ndarray:
    group = np.sort(_RNG.integers(0, 8, n))
    v = _RNG.normal(size=n)
    return np.column_stack([3.0 * group, v, 1.0 + 0.5 * v + 0.8 * _RNG.normal(size=8)[group] + _RNG.normal(size=n)])


def _observed(x: np.ndarray) -> float:
    return float((x[:, -1] == x[:, -2]).mean())


_PLANES, _INTERVALS, _TIMES, _ZEROS = _two_planes(60), _intervals(50), _times(40), _zero_inflated(80)
_GROUPED = _groups(40)
_WAITS = np.concatenate([_RNG.exponential(1.0, (25, 2)), _RNG.exponential([8.0, 4.0], (20, 2))])
_WAITS_WITH_HOLES = np.where(_RNG.random(_WAITS.shape) < 0.15, np.nan, _WAITS)
_HEAVY = np.concatenate([_RNG.standard_t(3, (30, 2)), [5.0, 2.0] + 0.7 * _RNG.standard_t(3, (25, 2))])
_HEAVY_WITH_HOLES = np.where(_RNG.random(_HEAVY.shape) < 0.15, np.nan, _HEAVY)
_ONE_PLANE = np.column_stack([_PLANES[:, :1], 2.0 - _PLANES[:, 0] + _RNG.standard_t(2, len(_PLANES))])

CASES = [
    Case("exponential", em.Mixture(em.Exponential(), 2), _WAITS, relabels=True, real_valued=True,
         rescale=lambda x, c: c * x),
    Case("exponential-prior", em.Mixture(em.Exponential(prior=(2.0, 5.0)), 2), _WAITS, relabels=True),
    Case("exponential-holes", em.Mixture(em.Exponential(), 2), _WAITS_WITH_HOLES, relabels=True),
    Case("regressions", em.Mixture(em.LinearRegression(), 2), _PLANES, relabels=True, real_valued=True,
         rescale=_scale_response, n_scaled=1),
    Case("regressions-prior", em.Mixture(em.LinearRegression(prior=em.RegressionPrior(3.0, 2.0)), 3), _PLANES,
         relabels=True, real_valued=True, rescale=_scale_response, n_scaled=1),
    Case("regressions-through-origin", em.Mixture(em.LinearRegression(intercept=False), 2), _PLANES, relabels=True,
         real_valued=True, rescale=_scale_response, n_scaled=1),
    Case("regressions-holes", em.Mixture(em.LinearRegression(), 2), _without_responses(_PLANES), relabels=True),
    Case("student-t", em.Mixture(em.StudentT(4.0), 2), _HEAVY, relabels=True, real_valued=True, closed_form=False),
    Case("student-t-prior", em.Mixture(em.StudentT(2, prior=em.FraleyRaftery(3.0)), 2), _HEAVY, relabels=True,
         real_valued=True, closed_form=False),
    Case("student-t-cauchy", em.Mixture(em.StudentT(1), 1), _HEAVY, relabels=True, real_valued=True,
         closed_form=False),
    Case("student-t-holes", em.Mixture(em.StudentT(3), 2), _HEAVY_WITH_HOLES, relabels=True, closed_form=False),
    Case("t-regression", em.TRegression(3.0), _ONE_PLANE, real_valued=True, rescale=_scale_response, n_scaled=1),
    Case("t-regression-cauchy", em.TRegression(1, intercept=False), _ONE_PLANE),
    Case("t-regression-df", em.TRegression(), _ONE_PLANE, real_valued=True, rescale=_scale_response, n_scaled=1),
    Case("censored-regression", em.CensoredRegression(), _INTERVALS, real_valued=True, rescale=_scale_interval,
         n_scaled=_observed(_INTERVALS)),
    Case("censored-regression-through-origin", em.CensoredRegression(intercept=False), _INTERVALS),
    Case("censored-exponential", em.CensoredExponential(), _TIMES, real_valued=True, rescale=_scale_interval,
         n_scaled=_observed(_TIMES)),
    Case("negative-binomial", em.NegativeBinomial(), _RNG.negative_binomial(2, 0.3, (40, 1)).astype(float),
         init={"means": 2.0, "shapes": 5.0}),
    Case("random-intercept", em.RandomIntercept(), _GROUPED, real_valued=True, rescale=_scale_response,
         n_scaled=1),
    Case("zero-inflated-poisson", em.ZeroInflatedPoisson(), _ZEROS),
    Case("zero-inflated-poisson-constant", em.ZeroInflatedPoisson((0, 1), ()), _ZEROS),
    Case("zero-inflated-poisson-intercepts", em.ZeroInflatedPoisson(), _ZEROS[:, -1:]),
    Case("zero-inflated-poisson-holes", em.ZeroInflatedPoisson((0,), (0,)), _without_responses(_ZEROS)),
    Case("hmm-exponential", em.HMM(em.Exponential(), 2), _WAITS, relabels=True, rows_add=False),
    Case("hmm-regressions", em.HMM(em.LinearRegression(), 2), _without_responses(_PLANES), relabels=True,
         rows_add=False),
    Case("hmm-student-t", em.HMM(em.StudentT(4), 2), _HEAVY, relabels=True, rows_add=False, closed_form=False),
]  # fmt: skip
