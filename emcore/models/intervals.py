"""Rows whose last two columns are the ends of an interval that holds the response."""

from typing import Any

import numpy as np

from emcore.data import as_matrix, to_float


def as_intervals(x: Any) -> np.ndarray:
    """x (n, m ≥ 2) as float64: its last two columns `lower` ≤ `upper`, equal where observed, infinite where open.

    Raises what `as_matrix` raises for the rest of x, and ValueError that names the row for an impossible interval.
    """
    x = to_float(x)
    if x.ndim != 2 or x.shape[1] < 2:
        raise ValueError(
            f"x must have two axes and end in the columns lower and upper of the response, but its shape is {x.shape}"
        )
    as_matrix(np.where(np.isinf(x[:, -2:]), 0.0, x[:, -2:]))
    if x.shape[1] > 2:
        as_matrix(x[:, :-2])
    lower, upper = x[:, -2], x[:, -1]
    bad = (lower > upper) | (lower == np.inf) | (upper == -np.inf)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"row {row} of x has lower = {lower[row]:g} and upper = {upper[row]:g}: lower must not exceed upper, "
            "lower = -inf leaves it open below, upper = inf above, and both are equal where the response was observed"
        )
    return x


def guess(x: np.ndarray) -> np.ndarray:
    """One number (n,) for every interval: its middle, or its end where it is open; the mean of those where both are."""
    lower, upper = x[:, -2], x[:, -1]
    middle = np.where(np.isinf(lower), upper, lower)
    closed = np.isfinite(lower) & np.isfinite(upper)
    middle[closed] = 0.5 * (lower[closed] + upper[closed])
    known = np.isfinite(middle)
    middle[~known] = middle[known].mean() if known.any() else 0.0
    return middle
