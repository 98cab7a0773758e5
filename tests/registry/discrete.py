"""Models whose latents are discrete, or counted in classes, and which are no mixture or chain."""

import numpy as np

import emcore as em
from tests.registry.case import Case

_RNG = np.random.default_rng(1979)
_TWO_WAY = em.MergedMultinomial(
    {"probs": "p11 p12 p21 p22"},
    ("p11", "p12", "p21", "p22", "p11 + p12", "p21 + p22", "p11 + p21", "p12 + p22"),
    tables=(4, 2, 2),
)
_TWO_WAY_COUNTS = np.array([[100, 50, 75, 75, 30, 60, 28, 60], [7, 1, 0, 2, 3, 3, 0, 0], [0, 0, 4, 1, 9, 0, 2, 5]])
_RATINGS = np.array(
    [
        (item, annotator, truth if _RNG.random() < 0.7 else _RNG.integers(3))
        for item, truth in enumerate(_RNG.integers(0, 3, 20))
        for annotator in _RNG.choice(4, size=_RNG.integers(1, 5))
    ]
)
_Z = _RNG.random((40, 2)) < [0.4, 0.6]
_SUMS = _Z @ np.array([[2.0, 0.0, 1.0], [0.0, 3.0, 1.0]]) + _RNG.normal(0.0, 0.6, (40, 3))
_EDGES = (-np.inf, -1.5, -0.5, 0.0, 1.0, 2.0, 3.0, 3.5, 5.0, np.inf)
_CLASSES = np.array([[3, 11, 9, 14, 8, 12, 9, 13, 2], [0, 2, 1, 0, 3, 1, 0, 2, 0], [5, 9, 8, 9, 4, 5, 4, 9, 4]])
_SEEN = np.repeat([1.0, 2.0, 3.0, 4.0], [32, 16, 6, 1])[:, None]

CASES = [
    Case("linkage", em.genetics.linkage(), np.array([[125, 18, 20, 34], [12, 3, 1, 4], [0, 1, 0, 0]])),
    Case("abo", em.genetics.abo(), np.array([[186, 38, 13, 284]]), rows_add=False),
    Case("peppered-moth", em.genetics.peppered_moth(), np.array([[85, 196, 341]]), rows_add=False),
    Case("partially-classified", _TWO_WAY, _TWO_WAY_COUNTS),
    Case("merged-two-groups-prior", em.MergedMultinomial(
        {"selfing": "s", "probs": "A B"},
        ("s*A + (1 - s)*A**2", "2*(1 - s)*A*B", "s*B + (1 - s)*B*B"), prior=1.5),
        np.array([[40, 30, 12], [8, 4, 1], [20, 22, 5]])),
    Case("dawid-skene", em.DawidSkene(3), _RATINGS, rows_add=False),
    Case("dawid-skene-majority", em.DawidSkene(3), _RATINGS, init="majority", rows_add=False),
    Case("dawid-skene-prior", em.DawidSkene(3, prior=(2.0, 0.5), weight_prior=1.0), _RATINGS, rows_add=False),
    Case("binary-factors-1", em.BinaryFactors(1), _SUMS, real_valued=True, relabels=True),
    Case("binary-factors-2", em.BinaryFactors(2), _SUMS, real_valued=True, relabels=True),
    Case("binary-factors-3-prior", em.BinaryFactors(3, prior=(1.0, 2.0)), _SUMS, real_valued=True, relabels=True),
    Case("grouped-normal", em.GroupedNormal(_EDGES), _CLASSES),
    Case("grouped-normal-2", em.GroupedNormal(_EDGES, 2), _CLASSES, relabels=True),
    Case("zero-truncated-poisson", em.ZeroTruncatedPoisson(), _SEEN),
    Case("zero-truncated-poisson-prior", em.ZeroTruncatedPoisson(prior=(3.0, 1.0)), _SEEN),
]  # fmt: skip
