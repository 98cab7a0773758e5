"""Free coordinates of constrained parameters: an unconstrained vector and back.

Accelerators extrapolate, diagnoses differentiate and tests perturb in these coordinates, so that every vector is a
valid set of parameters. A number on its boundary (a probability or rate of exactly 0) is held there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.special import expit, logit


class Constraint(Protocol):
    """The set that a field lives in, with a chart around a given value."""

    def to_free(self, value: np.ndarray, like: np.ndarray) -> np.ndarray:
        """Free coordinates of `value` in the chart of `like`."""
        ...

    def from_free(self, free: np.ndarray, like: np.ndarray) -> np.ndarray:
        """The value with these coordinates; numbers that `like` has on a boundary stay there."""
        ...


@dataclass(frozen=True)
class Real:
    """Any real numbers."""

    def to_free(self, value: np.ndarray, like: np.ndarray) -> np.ndarray:
        """The numbers themselves."""
        return value.ravel()

    def from_free(self, free: np.ndarray, like: np.ndarray) -> np.ndarray:
        """The numbers in their shape."""
        return free.reshape(like.shape).copy()


@dataclass(frozen=True)
class Fixed:
    """Held still: no free coordinate."""

    def to_free(self, value: np.ndarray, like: np.ndarray) -> np.ndarray:
        """Nothing."""
        return np.zeros(0)

    def from_free(self, free: np.ndarray, like: np.ndarray) -> np.ndarray:
        """The value of `like`."""
        return like.copy()


@dataclass(frozen=True)
class Positive:
    """Numbers > 0, by their logarithm."""

    def to_free(self, value: np.ndarray, like: np.ndarray) -> np.ndarray:
        """log value."""
        return np.log(value[like > 0])

    def from_free(self, free: np.ndarray, like: np.ndarray) -> np.ndarray:
        """exp of the coordinates."""
        value = like.copy()
        value[like > 0] = np.exp(free)
        return value


@dataclass(frozen=True)
class UnitInterval:
    """Numbers in (0, 1), by their log-odds."""

    def to_free(self, value: np.ndarray, like: np.ndarray) -> np.ndarray:
        """log p/(1 - p)."""
        return logit(value[(like > 0) & (like < 1)])

    def from_free(self, free: np.ndarray, like: np.ndarray) -> np.ndarray:
        """The logistic function of the coordinates."""
        value = like.copy()
        value[(like > 0) & (like < 1)] = expit(free)
        return value


@dataclass(frozen=True)
class Simplex:
    """Probability vectors along the last axis, by log-ratios to the largest entry of `like` in the row."""

    def _masks(self, like: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = like.reshape(-1, like.shape[-1])
        reference = np.zeros(rows.shape, dtype=bool)
        reference[np.arange(len(rows)), rows.argmax(axis=1)] = True
        return reference, (rows > 0) & ~reference

    def to_free(self, value: np.ndarray, like: np.ndarray) -> np.ndarray:
        """log p_j/p_ref for the positive entries besides the reference."""
        reference, free = self._masks(like)
        rows = value.reshape(free.shape)
        ratios = np.divide(rows, rows[reference][:, None], out=np.ones_like(rows), where=free)
        return np.log(ratios)[free]

    def from_free(self, free: np.ndarray, like: np.ndarray) -> np.ndarray:
        """The softmax of the coordinates, row by row."""
        reference, mask = self._masks(like)
        logits = np.full(mask.shape, -np.inf)
        logits[reference] = 0.0
        logits[mask] = free
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (weights / weights.sum(axis=1, keepdims=True)).reshape(like.shape)


@dataclass(frozen=True)
class PositiveDefinite:
    """Covariance matrices (…, d, d), by their Cholesky factor with the logarithm of its diagonal."""

    def to_free(self, value: np.ndarray, like: np.ndarray) -> np.ndarray:
        """Lower triangles of the factors, diagonals logged."""
        factors = np.linalg.cholesky(value)
        d = value.shape[-1]
        factors[..., np.arange(d), np.arange(d)] = np.log(np.diagonal(factors, axis1=-2, axis2=-1))
        return factors[..., *np.tril_indices(d)].ravel()

    def from_free(self, free: np.ndarray, like: np.ndarray) -> np.ndarray:
        """L Lᵀ."""
        d = like.shape[-1]
        factors = np.zeros(like.shape)
        factors[..., *np.tril_indices(d)] = free.reshape(*like.shape[:-2], -1)
        factors[..., np.arange(d), np.arange(d)] = np.exp(np.diagonal(factors, axis1=-2, axis2=-1))
        return factors @ np.swapaxes(factors, -1, -2)


def by_name(params: Any) -> Mapping[str, Constraint]:
    """The constraints that the package's field names imply, for models that state none."""
    known: dict[str, Constraint] = {name: Simplex() for name in ("weights", "start", "transitions")}
    known |= {name: Positive() for name in ("rates", "scales", "noise_variance")}
    known |= {"probs": UnitInterval(), "covariances": PositiveDefinite()}
    return {name: known.get(name, Real()) for name in params._fields}


class Coordinates:
    """The chart of a model's parameters around one value: `to_vector` and `from_vector` are inverse.

    A model whose fixed fields follow from the others brings `complete(params)`, which fills them in.
    """

    def __init__(self, model: Any, like: Any) -> None:
        self._like = like
        self._complete = getattr(model, "complete", None)
        constraints = model.constraints(like)
        self._fields = [(constraints[name], np.asarray(value, dtype=float)) for name, value in zip(like._fields, like)]
        self._sizes = [len(constraint.to_free(value, value)) for constraint, value in self._fields]

    @property
    def size(self) -> int:
        """Number of free coordinates."""
        return sum(self._sizes)

    def to_vector(self, params: Any) -> np.ndarray:
        """Free coordinates (size,)."""
        parts = [c.to_free(np.asarray(value, dtype=float), like) for (c, like), value in zip(self._fields, params)]
        return np.concatenate(parts)

    def from_vector(self, vector: np.ndarray) -> Any:
        """The params with these coordinates."""
        pieces = np.split(vector, np.cumsum(self._sizes)[:-1])
        params = type(self._like)(*(c.from_free(piece, like) for (c, like), piece in zip(self._fields, pieces)))
        return params if self._complete is None else self._complete(params)
