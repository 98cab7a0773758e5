"""What a kernel is: the rows of one problem laid out for passes.

An iteration of EM asks for Σ_i E[t(x_i, z_i)] and Σ_i log p(x_i), not for the responsibilities of any row. A kernel
gives the sums and holds no (n, k) array. The components of S starts are S·k components of one *pile*, and one pass
serves them all: every array of a pile has the starts one after another on its first axis.
Reference: Dempster, Laird & Rubin (1977), J. R. Statist. Soc. B 39, section 2.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np


class MixtureStats(NamedTuple):
    """Expected rows of each component, and what the family keeps."""

    counts: np.ndarray  # (k,)
    family: Any


class Kernel(Protocol):
    """The rows of one problem laid out for passes: E-step and statistics of one or many sets of parameters at once."""

    def evaluate(self, params: Any, n_starts: int = 1) -> tuple[MixtureStats, np.ndarray]:
        """Expected statistics of all n_starts·k components, and log p(x) (n_starts,), from one pass over the rows.

        Component j of start s is entry s·k + j. ValueError for a row that no component allows, with its number;
        DegenerateError where a covariance is not positive definite.
        """
        ...


def pile_up(parts: Sequence[Any], shared: Collection[str] = ()) -> Any:
    """One (nested) NamedTuple from many alike: arrays concatenated, those of the fields named in `shared` stacked."""
    first = parts[0]
    if isinstance(first, tuple):
        columns = zip(*parts, strict=True)
        return type(first)(*(_pile_field(name, column, shared) for name, column in zip(first._fields, columns)))
    return np.concatenate(parts) if isinstance(first, np.ndarray) else first


def _pile_field(name: str, column: Sequence[Any], shared: Collection[str]) -> Any:
    return np.stack(column) if name in shared else pile_up(column, shared)


def take_apart(pile: Any, n_starts: int, shared: Collection[str] = ()) -> list[Any]:
    """The inverse of `pile_up`."""
    if isinstance(pile, tuple):
        columns = [
            list(part) if name in shared else take_apart(part, n_starts, shared)
            for name, part in zip(pile._fields, pile)
        ]
        return [type(pile)(*parts) for parts in zip(*columns)]
    return list(pile.reshape(n_starts, -1, *pile.shape[1:])) if isinstance(pile, np.ndarray) else [pile] * n_starts
