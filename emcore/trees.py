"""NamedTuples of arrays (params, statistics): add them, flatten them, join their fields.

Two rules serve the whole package: statistics add over rows, and params have a flat list of named fields.
"""

from collections import namedtuple
from functools import cache
from typing import Any

import numpy as np


def add_stats(a: Any, b: Any) -> Any:
    """stats(A) + stats(B) == stats(A ∪ B): fieldwise, unless the statistics bring a `merge` of their own.

    Second moments about a mean merge by the update of Chan, Golub & LeVeque (1983), so they define `merge`.
    """
    if getattr(a, "_fields", None) != getattr(b, "_fields", None):
        raise TypeError(f"only statistics of one kind add up, not {type(a).__name__} and {type(b).__name__}")
    if hasattr(a, "merge"):
        return a.merge(b)
    if isinstance(a, tuple):
        parts = (add_stats(u, v) for u, v in zip(a, b, strict=True))
        return type(a)(*parts) if hasattr(a, "_fields") else tuple(parts)
    return a + b


def leaves(tree: Any) -> list[np.ndarray]:
    """The arrays of a (nested) tuple, in field order; a number counts as a 0-d array."""
    if isinstance(tree, tuple):
        return [leaf for part in tree for leaf in leaves(part)]
    return [np.asarray(tree, dtype=float)]


def map_leaves(function: Any, tree: Any) -> Any:
    """The same (nested) NamedTuple with `function` applied to each array."""
    if isinstance(tree, tuple):
        parts = [map_leaves(function, part) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    return function(np.asarray(tree, dtype=float))


def to_vector(tree: Any) -> np.ndarray:
    """All numbers of a (nested) NamedTuple as one vector; `from_vector` is its inverse."""
    return np.concatenate([leaf.ravel() for leaf in leaves(tree)])


def from_vector(vector: np.ndarray, like: Any) -> Any:
    """A tree shaped as `like`, filled from a vector made by `to_vector`."""
    position = 0

    def take(leaf: np.ndarray) -> np.ndarray:
        nonlocal position
        piece = vector[position : position + leaf.size].reshape(leaf.shape)
        position += leaf.size
        return piece.copy()

    return map_leaves(take, like)


def _rebuild(name: str, own_fields: tuple[str, ...], part: type, values: tuple) -> Any:
    return joined(name, own_fields, part)(*values)


@cache
def joined(name: str, own_fields: tuple[str, ...], part: Any) -> Any:
    """A flat NamedTuple type: `own_fields`, then the fields of the NamedTuple type `part`.

    So that `params.weights` and `params.means` stand side by side whatever the family; it pickles.
    """
    base: Any = namedtuple(name, own_fields + part._fields)  # type: ignore[misc]

    def reduce(self: Any) -> tuple:
        return _rebuild, (name, own_fields, part, tuple(self))

    return type(name, (base,), {"__slots__": (), "__reduce__": reduce, "__module__": __name__})
