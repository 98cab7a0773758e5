"""What one block of rows gives, and how the parts of many are put together: pure functions, wherever they run.

Parts are joined in a binary tree whose shape follows from the number of blocks alone. So the sums have the same bits
however many threads or workers made the parts, and rounding grows with the logarithm of the number of blocks.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from emcore.data import check_weight, refuse_empty_columns
from emcore.passes import Expectations
from emcore.trace import Problem
from emcore.trees import add_stats

Place = tuple[int, int]  # partition, and block within it; at home every block is a partition of its own


class Rows(NamedTuple):
    """A block as it was read: rows for `model.check`, their weights, and what every block must have in common."""

    x: Any
    weight: np.ndarray | None
    schema: tuple[str, ...]


class Totals(NamedTuple):
    """What an E-step leaves of some blocks."""

    stats: Any  # None where no row had a weight
    log_likelihood: float
    n_rows: int
    weight: float  # Σ weights


class Survey(NamedTuple):
    """The size of some blocks, and rows drawn from them: those with the smallest random keys.

    Every set of rows of one size is equally likely, in one pass over blocks in any order, with equal weights the
    scheme of Efraimidis & Spirakis (2006), Inform. Process. Lett. 97, 181-185.
    """

    n_rows: int
    n_blocks: int
    weight: float  # Σ weights
    seen: np.ndarray  # (d,) whether a column has any value
    schema: tuple[str, ...]
    first: Place
    x: np.ndarray  # (m, d) in the order of the stream
    row_weight: np.ndarray | None  # (m,)
    keys: np.ndarray  # (m,)


def read(block: Any, weight: str | None) -> Rows:
    """A block apart: an array or frame, a pair (x, weights), or a frame whose column `weight` holds the weights."""
    if isinstance(block, tuple) and len(block) == 2:
        if weight is not None:
            raise ValueError(
                f"the block is a pair (x, weights), and weight={weight!r} names a column: give one of them"
            )
        x, _, schema = read(block[0], None)
        return Rows(x, np.asarray(block[1]), (*schema, "with weights"))
    if isinstance(block, np.ndarray | list | tuple):
        if weight is not None:
            raise TypeError(f"weight={weight!r} names a column, but the block is an array: give pairs (x, weights)")
        x = np.asarray(block)
        return Rows(x, None, (f"{x.shape[1]} columns of {x.dtype}" if x.ndim == 2 else f"shape {x.shape}",))
    return _read_frame(block, weight)


def _read_frame(block: Any, weight: str | None) -> Rows:
    import narwhals as nw

    frame = nw.from_native(block, pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    if not isinstance(frame, nw.DataFrame):
        raise TypeError(f"a block must be an array, a data frame or a pair (x, weights), not {type(block).__name__}")
    schema = tuple(f"{name}: {kind}" for name, kind in frame.schema.items())
    if weight is None:
        return Rows(frame.to_native(), None, schema)
    if weight not in frame.columns:
        raise ValueError(f"weight={weight!r} is no column; the columns are {frame.columns}")
    weights = frame.get_column(weight).cast(nw.Float64).to_numpy()
    return Rows(frame.drop(weight).to_native(), weights, schema)


@contextmanager
def naming(place: Place) -> Iterator[None]:
    """Errors of bad input say which block they are about."""
    try:
        yield
    except (TypeError, ValueError) as error:
        inner = f", part {place[1]} of it" if place[1] else ""
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"block {place[0]} of the source{inner}: {error}") from error


def evaluate(
    block: Any, place: Place, model: Any, params: Any, weight: str | None, schema: tuple[str, ...]
) -> Totals | None:
    """Statistics and log p(x) of one block at `params`; None of a block without rows."""
    with naming(place):
        rows = read(block, weight)
        n_rows = len(rows.x)
        if not n_rows:
            return None
        _refuse_other(schema, rows.schema)
        x, weights = model.check(rows.x), _check_weights(rows.weight, n_rows)
        if weights is not None and not weights.any():
            return Totals(None, 0.0, n_rows, 0.0)
        stats, log_likelihood = Expectations(Problem(model, x, weights))(params)
        return Totals(stats, log_likelihood, n_rows, float(n_rows) if weights is None else float(weights.sum()))


def _check_weights(weights: np.ndarray | None, n_rows: int) -> np.ndarray | None:
    """As `check_weight`, but all weights of one block may be zero."""
    if weights is not None and weights.shape == (n_rows,) and not weights.any():
        return np.zeros(n_rows)
    return check_weight(weights, n_rows)


def add_totals(a: Totals | None, b: Totals | None) -> Totals | None:
    """The totals of both. TypeError for statistics that grow with the rows."""
    if a is None or b is None:
        return b if a is None else a
    rest = a.log_likelihood + b.log_likelihood, a.n_rows + b.n_rows, a.weight + b.weight
    if a.stats is None or b.stats is None:
        return Totals(b.stats if a.stats is None else a.stats, *rest)
    return Totals(join(a.stats, b.stats), *rest)


def join(a: Any, b: Any) -> Any:
    """Statistics added; TypeError for those that grow with the rows."""
    stats = add_stats(a, b)
    if _size(stats) > _size(a):
        raise TypeError(
            f"the statistics of this model ({type(a).__name__}) grow with the number of rows, so nothing is gained "
            "by reading the rows in blocks: use em.fit"
        )
    return stats


def _size(tree: Any) -> int:
    return sum(map(_size, tree)) if isinstance(tree, tuple) else int(np.size(tree))


def survey(block: Any, place: Place, model: Any, weight: str | None, size: int, seed: int) -> Survey | None:
    """Check and count a block, and draw at most `size` of its rows; None of a block without rows."""
    with naming(place):
        rows = read(block, weight)
        if not len(rows.x):
            return None
        x = model.check(rows.x)
        if not isinstance(x, np.ndarray):
            raise dependent(model)
        weights = _check_weights(rows.weight, len(x))
        keys = np.random.default_rng((seed, *place)).random(len(x))
        chosen = _smallest(keys, size)
        return Survey(
            n_rows=len(x),
            n_blocks=1,
            weight=float(len(x)) if weights is None else float(weights.sum()),
            seen=np.atleast_1d(~np.isnan(x).all(axis=0)),
            schema=rows.schema,
            first=place,
            x=x[chosen],
            row_weight=None if weights is None else weights[chosen],
            keys=keys[chosen],
        )


def add_surveys(a: Survey | None, b: Survey | None, size: int) -> Survey | None:
    """The survey of both. ValueError naming the block whose columns are not those of the blocks before it."""
    if a is None or b is None:
        return b if a is None else a
    with naming(b.first):
        _refuse_other(a.schema, b.schema)
    keys, x = np.concatenate([a.keys, b.keys]), np.concatenate([a.x, b.x])
    chosen = _smallest(keys, size)
    weights = None if a.row_weight is None else np.concatenate([a.row_weight, b.row_weight])[chosen]
    return Survey(
        n_rows=a.n_rows + b.n_rows,
        n_blocks=a.n_blocks + b.n_blocks,
        weight=a.weight + b.weight,
        seen=a.seen | b.seen,
        schema=a.schema,
        first=a.first,
        x=x[chosen],
        row_weight=weights,
        keys=keys[chosen],
    )


def _smallest(keys: np.ndarray, size: int) -> np.ndarray:
    """The places of the `size` smallest keys, in order of place."""
    if len(keys) <= size:
        return np.arange(len(keys))
    return np.sort(np.argpartition(keys, size)[:size])


def _refuse_other(ours: tuple[str, ...], theirs: tuple[str, ...]) -> None:
    if ours == theirs:
        return
    odd = [part for part in theirs if part not in ours] or list(theirs)
    missing = [part for part in ours if part not in theirs] or list(ours)
    raise ValueError(
        f"it has {', '.join(odd)} where the blocks before have {', '.join(missing)}; all blocks must have the same "
        "columns of the same types in one order"
    )


class Pairwise:
    """Joins parts that arrive one by one in a fixed binary tree, holding no more than log₂ of their number."""

    def __init__(self, join: Callable[[Any, Any], Any]) -> None:
        self._join = join
        self._held: list[tuple[int, Any]] = []  # (height of the subtree, part)

    def add(self, part: Any) -> None:
        """One more part."""
        height = 0
        while self._held and self._held[-1][0] == height:
            part, height = self._join(self._held.pop()[1], part), height + 1
        self._held.append((height, part))

    def total(self) -> Any:
        """All parts joined; None of none."""
        if not self._held:
            return None
        parts = [part for _, part in self._held]
        total = parts.pop()
        while parts:
            total = self._join(parts.pop(), total)
        return total


def dependent(model: Any) -> TypeError:
    """The error of a model whose rows cannot be cut into blocks."""
    return TypeError(
        f"the rows of {type(model).__name__} are not independent observations, or count more than one each, so they "
        "cannot be cut into blocks: use em.fit"
    )


def refuse_unlearnable(found: Survey | None) -> Survey:
    """ValueError for a stream without rows, or with a column without values."""
    if found is None:
        raise ValueError("the source is empty: none of its blocks has a row")
    refuse_empty_columns(np.where(found.seen, 0.0, np.nan)[None])
    if not found.weight > 0:
        raise ValueError("all weights are zero: no row is left to learn from")
    return found
