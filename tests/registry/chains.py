"""Hidden Markov models over every family of the core, on one sequence and on several."""

import numpy as np

import emcore as em
from tests.registry.case import Case

_RNG = np.random.default_rng(19700101)
_LENGTHS = (9, 1, 14, 5, 2, 11)
_STATES = np.repeat(np.arange(30) % 2, _RNG.integers(1, 6, 30))[: sum(_LENGTHS)]
_POINTS = np.where(_STATES[:, None] == 0, 0.0, [3.0, -1.0]) + _RNG.normal(0.0, [1.0, 0.6], (len(_STATES), 2))
_COUNTS = _RNG.poisson(np.where(_STATES == 0, 3.0, 9.0)).astype(float)[:, None]
_TOSSES = _RNG.binomial(10, np.where(_STATES[:, None] == 0, 0.3, [0.7, 0.5])).astype(float)
_BITS = (_RNG.random((len(_STATES), 3)) < np.where(_STATES == 0, 0.2, 0.7)[:, None]).astype(float)
_ITEMS = np.column_stack([_RNG.integers(0, 3, len(_STATES)), _STATES ^ (_RNG.random(len(_STATES)) < 0.2)]).astype(float)
_LINES = np.column_stack([_POINTS[:, 0], np.where(_STATES == 0, 1.0, 4.0) + _POINTS[:, 1]])


def _with_holes(x: np.ndarray, share: float = 0.2) -> np.ndarray:
    holes = _RNG.random(x.shape) < share
    holes[0] = False
    holes[7] = True  # a step of which nothing was seen
    return np.where(holes, np.nan, x)


def _one(name: str, model: em.HMM, x: np.ndarray, **more: bool) -> Case:
    """One sequence."""
    return Case(f"hmm-{name}", model, x, relabels=True, rows_add=False, **more)


def _several(name: str, model: em.HMM, x: np.ndarray) -> Case:
    """Sequences, which are exchangeable units as rows are elsewhere."""
    return Case(f"hmm-{name}-sequences", model, x, lengths=_LENGTHS, relabels=True)


CASES = [
    *(
        _one(f"gaussian-{shape}", em.HMM(em.Gaussian(shape), 2), _POINTS, real_valued=True)
        for shape in ("full", "tied", "diag", "spherical")
    ),
    _one(
        "gaussian-prior",
        em.HMM(em.Gaussian("full", prior="fraley-raftery"), 3, start_prior=1.0, transition_prior=0.5),
        _POINTS,
        real_valued=True,
    ),
    _one("gaussian-stationary", em.HMM(em.Gaussian("full"), 2, stationary=True), _POINTS, real_valued=True),
    _one("gaussian-one-state", em.HMM(em.Gaussian("diag"), 1), _POINTS, real_valued=True),
    _one("poisson-stationary", em.HMM(em.Poisson(), 3, stationary=True), _COUNTS),
    _several("gaussian-full", em.HMM(em.Gaussian("full"), 2), _POINTS),
    _several("gaussian-holes", em.HMM(em.Gaussian("diag"), 2), _with_holes(_POINTS)),
    _several("poisson", em.HMM(em.Poisson(), 3), _COUNTS),
    _several("poisson-stationary", em.HMM(em.Poisson(), 2, stationary=True), _COUNTS),
    _several(
        "poisson-stationary-prior",
        em.HMM(em.Poisson(prior=(5.0, 1.0)), 2, stationary=True, start_prior=1.0, transition_prior=2.0),
        _COUNTS,
    ),
    _several("poisson-holes", em.HMM(em.Poisson(), 2), _with_holes(_COUNTS)),
    _several("binomial", em.HMM(em.Binomial(10), 2), _TOSSES),
    _several("bernoulli", em.HMM(em.Bernoulli(), 2), _with_holes(_BITS)),
    _several("categorical", em.HMM(em.Categorical(), 2, transition_prior=0.1), _ITEMS),
]
