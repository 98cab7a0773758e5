"""Points near a curve in a plane, written digits near a sheet, and what is known in closed form of a line there."""

from typing import NamedTuple

import numpy as np

from emcore.classroom.shared import shared
from emcore.datasets import load

BOW, SPIRAL, GEYSER = "A bow", "A spiral", "Old Faithful, standardised"
DIGITS = "Written digits, two latents"
SHOWN = (0, 1, 3, 4, 6)  # the digits taken
EACH, COLUMNS = 14, 6  # images of each, and principal components kept


class Written(NamedTuple):
    """Images of digits by their leading principal components, in units in which these have variance 1 on average."""

    x: np.ndarray  # (n, 6)
    labels: np.ndarray  # (n,) which digit was written
    images: np.ndarray  # (n, 64) ink from 0 to 1
    mean: np.ndarray  # (64,)
    axes: np.ndarray  # (6, 64)

    def ink(self, x: np.ndarray) -> np.ndarray:
        """The images (…, 64) that rows (…, 6) stand for."""
        return np.clip(self.mean + x @ self.axes, 0.0, 1.0)


@shared(1)
def written() -> Written:
    """The first images of each of `SHOWN` among the 8 by 8 digits."""
    table = load("digits")
    digit = table["digit"].to_numpy()
    chosen = np.sort(np.concatenate([np.flatnonzero(digit == label)[:EACH] for label in SHOWN]))
    images = table.drop("digit").to_numpy()[chosen].astype(float) / 16.0
    mean = images.mean(axis=0)
    axes = np.linalg.svd(images - mean, full_matrices=False)[2][:COLUMNS]
    scores = (images - mean) @ axes.T
    unit = np.sqrt((scores**2).mean())
    return Written(scores / unit, digit[chosen], images, mean, axes * unit)


def n_latents(data: str) -> int:
    """How many latent variables the lesson gives a decoder of these data."""
    return 2 if data == DIGITS else 1


@shared(8)
def rows(data: str) -> np.ndarray:
    """The rows of a data set, (n, 2) or (n, 6); made ones are drawn with a seed, in their order along the curve."""
    if data == GEYSER:
        x = load("old_faithful").to_numpy()
        x = (x - x.mean(axis=0)) / x.std(axis=0)
    elif data == DIGITS:
        x = written().x.copy()
    elif data in (BOW, SPIRAL):
        x = _bow() if data == BOW else _spiral()
    else:
        raise ValueError(f"there are no data “{data}”: choose “{BOW}”, “{SPIRAL}”, “{GEYSER}” or “{DIGITS}”")
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


def _eigenvalues(data: str) -> np.ndarray:
    """Of the covariance, largest first."""
    return np.linalg.eigvalsh(np.cov(rows(data).T, ddof=0))[::-1]


def collapse_at(data: str, beta: float = 1.0) -> float:
    """The held noise variance at which a line's last latent collapses: the largest eigenvalue of x over β."""
    return float(_eigenvalues(data)[0]) / beta


def line_rate(data: str, noise: float | np.ndarray, beta: float = 1.0) -> np.ndarray:
    """Nats per row that the best linear VAE tells: Σ ½ log(λ/(β noise)) over its latents, where that is positive.

    At the optimum the Q_i average to the prior, so the rate is what is left of log s: s² = β noise/λ.
    """
    kept = _eigenvalues(data)[: n_latents(data)]
    told = [0.5 * np.log(np.maximum(value / (beta * np.asarray(noise, dtype=float)), 1.0)) for value in kept]
    return np.sum(told, axis=0)
