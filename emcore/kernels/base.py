"""What a kernel is: the rows of one problem laid out for passes.

An iteration of EM asks for Σ_i E[t(x_i, z_i)] and Σ_i log p(x_i), not for the responsibilities of any row. A kernel
gives the sums and holds no (n, k) array. The components of S starts are S·k components of one *pile*, and one pass
serves them all: every array of a pile has the starts one after another on its first axis.
Reference: Dempster, Laird & Rubin (1977), J. R. Statist. Soc. B 39, section 2.
"""

from collections.abc import Container, Mapping, Sequence
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

        Component j of start s is entry s·k + j. One start may come without its shared fields stacked, and its
        statistics go back likewise. ValueError for a row that no component allows, with its number;
        DegenerateError where a covariance is not positive definite.
        """
        ...


def pile_up(parts: Sequence[Any], shared: Container[str] = ()) -> Any:
    """One (nested) NamedTuple from many alike: arrays concatenated, those of the fields named in `shared` stacked."""
    first: Any = parts[0]
    if isinstance(first, tuple):
        columns = zip(type(first)._fields, zip(*parts, strict=True))  # type: ignore[attr-defined]
        piled = (np.stack(column) if name in shared else pile_up(column, shared) for name, column in columns)
        return type(first)(*piled)
    return np.concatenate(parts) if isinstance(first, np.ndarray) else first


def take_apart(pile: Any, n_starts: int, shared: Container[str] = ()) -> list[Any]:
    """The inverse of `pile_up`."""
    if isinstance(pile, tuple):
        pairs = zip(type(pile)._fields, pile)  # type: ignore[attr-defined]
        columns = [list(part) if name in shared else take_apart(part, n_starts, shared) for name, part in pairs]
        return [type(pile)(*parts) for parts in zip(*columns)]
    return list(pile.reshape(n_starts, -1, *pile.shape[1:])) if isinstance(pile, np.ndarray) else [pile] * n_starts


def is_pile(params: Any, shared: Mapping[str, int]) -> bool:
    """Whether shared fields are stacked: `shared` has their number of axes in params of one start."""
    return all(np.ndim(part) > shared[name] for name, part in zip(params._fields, params) if name in shared)
