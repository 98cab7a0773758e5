"""Where EM starts: named methods that seed responsibilities, and explicit starts.

A seeding method returns responsibilities (n, k); one M-step turns them into params. Seeds are softened (nine tenths
to the nearest seed, one tenth to all), so that no start has an empty level, a probability of exactly 0 or a singular
covariance before EM has looked at the data.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from emcore.numerics import row_blocks

METHODS = ("k-means++", "random-rows", "random-responsibilities")
_SOFT = 0.1


def starting_responsibilities(
    features: np.ndarray, k: int, method: str, rng: np.random.Generator, weight: np.ndarray | None = None
) -> np.ndarray:
    """Responsibilities (n, k) from features (n, m) in which Euclidean distance is meaningful.

    "k-means++": k rows drawn with probability ∝ squared distance to the nearest seed so far (Arthur &
    Vassilvitskii 2007), every row to its nearest seed. "random-rows": the same with k rows drawn evenly.
    "random-responsibilities": a flat Dirichlet draw for every row. ValueError for another name.
    """
    (whole,) = responsibility_blocks(features, k, method, rng, weight, len(features))
    return whole[1]


def responsibility_blocks(
    features: np.ndarray, k: int, method: str, rng: np.random.Generator, weight: np.ndarray | None, size: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """`starting_responsibilities`, at most `size` rows at a time."""
    if method not in METHODS:
        raise ValueError(
            f"init must be one of {', '.join(map(repr, METHODS))}, a params tuple, labels (n,) or "
            f"responsibilities (n, k); not {method!r}"
        )
    if method == "random-responsibilities":
        for rows in row_blocks(len(features), size):
            yield rows, rng.dirichlet(np.ones(k), size=len(features[rows]))
        return
    chances = np.ones(len(features)) if weight is None else weight.astype(float)
    seeds = _spread_seeds(features, k, rng, chances, squared=method == "k-means++")
    for rows in row_blocks(len(features), size):
        distances = np.stack([((features[rows] - features[seed]) ** 2).sum(axis=1) for seed in seeds], axis=1)
        yield rows, soften(np.argmin(distances, axis=1), k)


def _spread_seeds(
    features: np.ndarray, k: int, rng: np.random.Generator, chances: np.ndarray, *, squared: bool
) -> list[int]:
    seeds = [int(rng.choice(len(features), p=chances / chances.sum()))]
    nearest = np.full(len(features), np.inf)
    while len(seeds) < k:
        nearest = np.minimum(nearest, ((features - features[seeds[-1]]) ** 2).sum(axis=1))
        odds = chances * (nearest if squared else nearest > 0)
        if not odds.sum() > 0:  # fewer distinct rows than seeds: any row not yet taken
            odds = chances.copy()
            odds[seeds] = 0.0
            odds += 1e-300
        seeds.append(int(rng.choice(len(features), p=odds / odds.sum())))
    return seeds


def soften(labels: np.ndarray, k: int) -> np.ndarray:
    """Responsibilities (n, k): nine tenths to the label, one tenth spread over all components."""
    return (1.0 - _SOFT) * np.eye(k)[labels] + _SOFT / k


def is_params(init: Any) -> bool:
    """True for a params tuple (fields by name) or a mapping of fields."""
    return hasattr(init, "_fields") or isinstance(init, Mapping)


def as_responsibilities(init: Any, n: int, k: int) -> np.ndarray:
    """Responsibilities (n, k) from labels (n,) or responsibilities; ValueError says what does not fit."""
    array = np.asarray(init)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"init must hold numbers (labels or responsibilities), but its dtype is {array.dtype}")
    if array.shape == (n,):
        return _from_labels(array, k)
    if array.shape != (n, k):
        raise ValueError(
            f"init must be labels of shape ({n},) or responsibilities of shape ({n}, {k}), "
            f"but its shape is {array.shape}"
        )
    array = array.astype(np.float64)
    off = ~(np.isfinite(array).all(axis=1) & (array >= 0).all(axis=1) & (np.abs(array.sum(axis=1) - 1.0) < 1e-8))
    if off.any():
        row = int(np.flatnonzero(off)[0])
        raise ValueError(f"init row {row} is not a probability vector: {array[row].tolist()}")
    return array


def _from_labels(labels: np.ndarray, k: int) -> np.ndarray:
    off = ~((labels >= 0) & (labels < k) & (labels == np.floor(labels)))
    if off.any():
        row = int(np.flatnonzero(off)[0])
        raise ValueError(f"init labels must be whole numbers from 0 to {k - 1}, but init[{row}] is {labels[row]}")
    return np.eye(k)[labels.astype(np.intp)]
