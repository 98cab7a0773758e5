"""Linear-Gaussian models, and Gaussians with missing cells."""

import numpy as np

import emcore as em
from tests.registry.case import Case

_RNG = np.random.default_rng(1982)
_LOADINGS = np.array([[1.0, 0.0], [0.8, 0.3], [-0.5, 1.0], [0.2, -0.9], [0.0, 0.4]])
_FACTORS = _RNG.standard_normal((60, 2)) @ _LOADINGS.T + _RNG.normal(0.0, [0.5, 0.7, 0.4, 0.6, 0.9], (60, 5)) + 2.0
_BLOBS = np.concatenate(
    [
        _RNG.multivariate_normal([0.0, 0.0, 1.0], [[1.0, 0.6, 0.2], [0.6, 1.0, 0.0], [0.2, 0.0, 0.5]], 40),
        _RNG.multivariate_normal([4.0, 1.0, 3.0], [[0.5, -0.2, 0.1], [-0.2, 1.0, 0.4], [0.1, 0.4, 1.0]], 30),
    ]
)


def _with_holes(x: np.ndarray, share: float = 0.2) -> np.ndarray:
    """x with holes at random, one row complete and one without any cell."""
    holes = _RNG.random(x.shape) < share
    holes[0], holes[1] = False, True
    return np.where(holes, np.nan, x)


def _one_hole_a_row(x: np.ndarray) -> np.ndarray:
    """Every row misses one cell, so that the Jacobian of a change of units is the same for all rows."""
    holes = np.arange(x.shape[1]) == _RNG.integers(0, x.shape[1], len(x))[:, None]
    return np.where(holes, np.nan, x)


_HOLES, _HOLE_A_ROW = _with_holes(_FACTORS), _one_hole_a_row(_FACTORS)
_BLOBS_HOLES, _BLOBS_HOLE_A_ROW = _with_holes(_BLOBS), _one_hole_a_row(_BLOBS)

CASES = [
    *(
        case
        for name, model in (("factor-analysis", em.FactorAnalysis), ("ppca", em.PPCA))
        for case in (
            Case(f"{name}-1", model(1), _FACTORS, real_valued=True),
            Case(f"{name}-2", model(2), _FACTORS, real_valued=True),
            Case(f"{name}-2-prior", model(2, noise_prior=3.0), _FACTORS, real_valued=True),
            Case(f"{name}-2-holes", model(2), _HOLES),
            Case(f"{name}-1-hole-a-row", model(1), _HOLE_A_ROW, real_valued=True, n_scaled=4),
        )
    ),
    Case("missing-normal", em.MissingNormal(), _HOLES),
    Case("missing-normal-complete", em.MissingNormal(), _FACTORS, real_valued=True),
    Case("missing-normal-prior", em.MissingNormal(em.FraleyRaftery(3.0)), _HOLES),
    Case("missing-normal-hole-a-row", em.MissingNormal(), _HOLE_A_ROW, real_valued=True, n_scaled=4),
    *(
        case
        for shape in ("full", "tied")
        for case in (
            Case(f"gaussian-{shape}-cells", em.Mixture(em.Gaussian(shape), 2), _BLOBS_HOLES, relabels=True),
            Case(
                f"gaussian-{shape}-cells-prior",
                em.Mixture(em.Gaussian(shape, prior=em.FraleyRaftery(2.0)), 2, weight_prior=1.0),
                _BLOBS_HOLES,
                relabels=True,
            ),
            Case(
                f"gaussian-{shape}-cell-a-row",
                em.Mixture(em.Gaussian(shape), 2),
                _BLOBS_HOLE_A_ROW,
                relabels=True,
                real_valued=True,
                n_scaled=2,
            ),
        )
    ),
]
