"""Points near a curve in a plane, and what is known in closed form of a line through them."""

from functools import lru_cache

import numpy as np

from emcore.datasets import load

BOW, SPIRAL, GEYSER = "A bow", "A spiral", "Old Faithful, standardised"


@lru_cache(maxsize=8)
def rows(data: str) -> np.ndarray:
    """The points of a data set (n, 2); made ones are drawn with a seed, in the order of their place on the curve."""
    if data == GEYSER:
        x = load("old_faithful").to_numpy()
        x = (x - x.mean(axis=0)) / x.std(axis=0)
    elif data in (BOW, SPIRAL):
        x = _bow() if data == BOW else _spiral()
    else:
        raise ValueError(f"there are no data “{data}”: choose “{BOW}”, “{SPIRAL}” or “{GEYSER}”")
    x.flags.writeable = False
    return x


def _bow(n: int = 120) -> np.ndarray:
    angle = 1.35 * np.pi * (np.arange(n) + 0.5) / n
    noise = 0.2 * np.random.default_rng(0).standard_normal((n, 2))
    return 1.5 * np.column_stack([np.cos(angle), np.sin(angle)]) + noise


def _spiral(n: int = 120) -> np.ndarray:
    along = np.sqrt((np.arange(n) + 0.5) / n)
    angle, radius = 2.6 * np.pi * along, 0.35 + 1.5 * along
    noise = 0.12 * np.random.default_rng(0).standard_normal((n, 2))
    return radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)]) + noise


def collapse_at(data: str, beta: float = 1.0) -> float:
    """The held noise variance at which a line's latent collapses: the largest eigenvalue of the covariance over β."""
    return float(np.linalg.eigvalsh(np.cov(rows(data).T, ddof=0))[-1]) / beta


def line_rate(data: str, noise: float | np.ndarray, beta: float = 1.0) -> np.ndarray:
    """Nats per row that the best linear VAE tells: ½ log(λ/(β noise)), or 0 once that is negative.

    At the optimum the Q_i average to the prior, so the rate is what is left of log s: s² = β noise/λ.
    """
    return 0.5 * np.log(np.maximum(collapse_at(data, beta) / np.asarray(noise, dtype=float), 1.0))
