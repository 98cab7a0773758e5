"""Equal rows counted once: statistics and log p(x) of a mixture depend on which rows there are, and how often.

Rows are collapsed where at most half of them are distinct. Whether that may be so is first asked of about 4√n of them:
if n rows were n/2 distinct ones, evenly often, some 16 pairs among those would be equal (the birthday problem); under
half as many, the sort of all rows is not tried. Equal means equal bit for bit; a missing cell equals a missing cell.
"""

import numpy as np

_TRIED_WHOLE = 4096  # rows that are sorted without asking
_PAIRS = 8


def distinct_rows(x: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Distinct rows of x (n, d) with summed weights, in the order of their hashes; x and weight where few are equal."""
    n = len(x)
    if n > _TRIED_WHOLE:
        sample = _hash(x[:: max(int(np.sqrt(n) / 4), 1)])
        if len(sample) - len(np.unique(sample)) < _PAIRS:
            return x, weight
    keys = _hash(x)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.concatenate([[True], keys[1:] != keys[:-1]])
    first = order[starts]
    if 2 * len(first) > n:
        return x, weight
    group = np.cumsum(starts) - 1
    if (_bits(x)[order] != _bits(x[first])[group]).any():  # two rows share a hash: once in 2⁶⁴ pairs
        return x, weight
    return x[first], np.bincount(group, None if weight is None else weight[order], len(first)).astype(float)


def _bits(x: np.ndarray) -> np.ndarray:
    return (x + 0.0).view(np.uint64)  # + 0.0 makes -0.0 a 0.0


def _hash(x: np.ndarray) -> np.ndarray:
    """One number (n,) for every row, by the mixing steps of Steele, Lea & Flood (2014), OOPSLA 49(10), 453-472."""
    keys = np.zeros(len(x), np.uint64)
    for column in _bits(x).T:
        keys += column
        keys ^= keys >> np.uint64(30)
        keys *= np.uint64(0xBF58476D1CE4E5B9)
        keys ^= keys >> np.uint64(27)
        keys *= np.uint64(0x94D049BB133111EB)
    return keys
