"""Mixtures over every family of the core."""

import numpy as np

import emcore as em
from tests.registry.case import Case

_RNG = np.random.default_rng(20240229)
_BLOBS = np.concatenate(
    [
        _RNG.normal([0.0, 0.0], [1.0, 0.5], (25, 2)),
        _RNG.normal([4.0, 1.0], [0.6, 1.0], (20, 2)),
        _RNG.normal([1.0, 5.0], [1.0, 1.0], (15, 2)),
    ]
)
_COUNTS = np.concatenate([_RNG.poisson([2.0, 9.0], (25, 2)), _RNG.poisson([7.0, 1.0], (20, 2))]).astype(float)
_TOSSES = np.concatenate([_RNG.binomial(10, [0.8, 0.3], (20, 2)), _RNG.binomial(10, [0.3, 0.5], (25, 2))]).astype(float)
_BITS = (_RNG.random((40, 5)) < np.where(_RNG.random((40, 1)) < 0.5, 0.8, 0.3)).astype(float)
_ITEMS = np.column_stack([_RNG.integers(0, levels, 50) for levels in (2, 3, 4)]).astype(float)


def _with_holes(x: np.ndarray, share: float = 0.15) -> np.ndarray:
    holes = _RNG.random(x.shape) < share
    holes[0] = False
    return np.where(holes, np.nan, x)


CASES = [
    *(
        Case(f"gaussian-{shape}", em.Mixture(em.Gaussian(shape), 3), _BLOBS, real_valued=True, relabels=True)
        for shape in ("full", "tied", "diag", "spherical")
    ),
    *(
        Case(
            f"gaussian-{shape}-prior",
            em.Mixture(em.Gaussian(shape, prior=em.FraleyRaftery(3.0)), 3, weight_prior=2.0),
            _BLOBS,
            real_valued=True,
            relabels=True,
        )
        for shape in ("full", "tied", "diag", "spherical")
    ),
    *(
        Case(f"gaussian-{shape}-holes", em.Mixture(em.Gaussian(shape), 2), _with_holes(_BLOBS), relabels=True)
        for shape in ("diag", "spherical")
    ),
    Case("gaussian-one-component", em.Mixture(em.Gaussian("full"), 1), _BLOBS, real_valued=True, relabels=True),
    Case("poisson", em.Mixture(em.Poisson(), 2), _COUNTS, relabels=True),
    Case("poisson-prior", em.Mixture(em.Poisson(prior=(5.0, 2.0)), 2), _COUNTS, relabels=True),
    Case("poisson-holes", em.Mixture(em.Poisson(), 2), _with_holes(_COUNTS), relabels=True),
    Case("binomial", em.Mixture(em.Binomial(10), 2), _TOSSES, relabels=True),
    Case("binomial-prior", em.Mixture(em.Binomial(10, prior=(1.0, 2.0)), 2), _TOSSES, relabels=True),
    Case("binomial-holes", em.Mixture(em.Binomial(10), 2), _with_holes(_TOSSES), relabels=True),
    Case("binomial-fixed-weights", em.Mixture(em.Binomial(10), 2, fixed_weights=(0.5, 0.5)), _TOSSES),
    Case("bernoulli", em.Mixture(em.Bernoulli(), 2), _BITS, relabels=True),
    Case("bernoulli-prior", em.Mixture(em.Bernoulli(prior=(1.0, 1.0)), 3), _with_holes(_BITS), relabels=True),
    Case("categorical", em.Mixture(em.Categorical(), 2), _ITEMS, relabels=True),
    Case("categorical-prior", em.Mixture(em.Categorical(prior=0.5), 3), _with_holes(_ITEMS), relabels=True),
]
