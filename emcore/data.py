"""What comes in: arrays and data frames become a float64 matrix, or a clear error says why not."""

from typing import Any

import numpy as np

_LARGEST = 1e140  # sums of squares of larger numbers overflow


def as_matrix(x: Any, *, allow_missing: bool = False) -> np.ndarray:
    """A float64 array (n, d) from an array or the numeric columns of a data frame; nulls become NaN.

    The input is never written to. Raises TypeError for text or objects, ValueError for a wrong number of axes,
    an empty table, infinity, numbers beyond 1e140, or (unless `allow_missing`) missing cells, with the first places
    named.
    """
    matrix = to_float(x)
    if matrix.ndim != 2:
        hint = "use x[:, None] for one feature" if matrix.ndim == 1 else "rows are observations, columns features"
        raise ValueError(f"x must have two axes (rows, features), but its shape is {matrix.shape}; {hint}")
    if matrix.shape[0] == 0 or matrix.shape[1] == 0:
        raise ValueError(f"x is empty: its shape is {matrix.shape}; at least one row and one column are needed")
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.vdot(matrix, matrix)  # one cheap pass; the search for the place only when it is needed
    if not squares < _LARGEST**2:
        _refuse_nonfinite(matrix, allow_missing)
    return matrix


def to_float(x: Any) -> np.ndarray:
    """A float64 array from an array or the numeric columns of a frame, of any shape; TypeError for text and objects."""
    if not isinstance(x, (np.ndarray, list, tuple, int, float, np.generic)):
        x = _frame_to_array(x)
    array = _rectangular(x, "x")
    if isinstance(x, np.ma.MaskedArray):
        array = np.ma.filled(x.astype(float), np.nan)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"x must hold numbers, but its dtype is {array.dtype}; convert text and objects first "
            "(codes 0, 1, … for categories)"
        )
    return np.ascontiguousarray(array, dtype=np.float64)


def as_numbers(value: Any, name: str) -> np.ndarray:
    """A new float64 array of any shape; TypeError that says which argument holds something else than numbers."""
    array = _rectangular(value, name)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold numbers, but its dtype is {array.dtype}")
    return array.astype(np.float64)


def check_pseudo_count(value: Any, name: str) -> None:
    """ValueError unless a number is finite and ≥ 0."""
    if isinstance(value, bool) or not (isinstance(value, int | float | np.number) and 0 <= value < np.inf):
        raise ValueError(f"{name} must be a pseudo-count ≥ 0, a finite number, not {value!r}")


def check_seed(seed: Any) -> None:
    """ValueError unless a whole number ≥ 0: what is drawn must be drawn again."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed must be a whole number of at least 0, not {seed!r}")


def _rectangular(value: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be a table whose rows are equally long: {error}") from error


def _frame_to_array(frame: Any) -> np.ndarray:
    """Numeric and boolean columns of any frame that narwhals knows (polars, pandas, pyarrow, …)."""
    import narwhals as nw
    import narwhals.selectors as ncs

    native = nw.from_native(frame, pass_through=True, allow_series=True)
    if isinstance(native, nw.LazyFrame):
        native = native.collect()
    if isinstance(native, nw.Series):
        raise ValueError(f"x is one column ({native.name!r}); give a frame: select([{native.name!r}])")
    if not isinstance(native, nw.DataFrame):
        return _array_like(frame)
    numbers = native.select(ncs.numeric() | ncs.boolean())
    if not numbers.columns:
        raise TypeError(f"the frame has no numeric column; its columns are {native.columns}")
    columns = [numbers[name].cast(nw.Float64).to_numpy() for name in numbers.columns]
    return np.column_stack(columns)


def _array_like(x: Any) -> np.ndarray:
    if hasattr(x, "__array__"):
        return np.asarray(x)
    raise TypeError(f"x must be an array or a data frame, not {type(x).__name__}")


def _refuse_nonfinite(matrix: np.ndarray, allow_missing: bool) -> None:
    infinite = np.argwhere(np.isinf(matrix))
    if len(infinite):
        row, column = infinite[0]
        raise ValueError(f"x has an infinite value at row {row}, column {column}; remove it or mark it missing (NaN)")
    large = np.argwhere(np.abs(matrix) > _LARGEST)
    if len(large):
        row, column = large[0]
        raise ValueError(
            f"x has {matrix[row, column]:g} at row {row}, column {column}: squares of numbers beyond {_LARGEST:g} "
            "overflow; give the column in a larger unit"
        )
    missing = np.isnan(matrix)
    if missing.any() and not allow_missing:
        rows = np.flatnonzero(missing.any(axis=1))
        raise ValueError(
            f"x has missing values (NaN or null) in {len(rows)} of {len(matrix)} rows: {_some(rows)}; "
            "this model cannot marginalise them: drop those rows or fill them in"
        )


def refuse_empty_columns(x: np.ndarray) -> None:
    """ValueError where a column of the rows to learn from has no observed value: nothing can be learnt of it."""
    empty = np.isnan(x).all(axis=0)
    if empty.any():
        raise ValueError(f"column {int(np.flatnonzero(empty)[0])} of x has no observed value; drop the column")


def _some(rows: np.ndarray, most: int = 8) -> str:
    shown = ", ".join(str(int(r)) for r in rows[:most])
    return f"rows {shown}" + (", …" if len(rows) > most else "")


def check_counts(x: np.ndarray, what: str, upper: float | np.ndarray = np.inf) -> None:
    """Raise ValueError unless every observed cell is an integer from 0 to `upper` (a number, or one a column)."""
    bad = (x < 0) | (x > upper) | (x != np.floor(x))
    if not bad.any():
        return
    bad &= ~np.isnan(x)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        top = float(np.broadcast_to(upper, x.shape[1])[column])
        limit = "0, 1, 2, …" if np.isinf(top) else f"0 to {top:g}"
        raise ValueError(
            f"{what} needs whole numbers ({limit}), but x has {x[row, column]:g} at row {row}, column {column}"
        )


def check_n_features(x: np.ndarray, n_features: int) -> None:
    """Raise ValueError unless x has the number of columns that the parameters were made for."""
    if x.shape[1] != n_features:
        raise ValueError(f"x has {x.shape[1]} columns, but the parameters were made for {n_features}")


def check_weight(weight: Any, n_rows: int) -> np.ndarray | None:
    """Frequencies or sample weights as float64 (n,), or None for ones.

    Raises ValueError for a wrong length, a negative or non-finite weight, or weights that are all zero.
    """
    if weight is None:
        return None
    array = as_numbers(weight, "weight")
    if array.shape != (n_rows,):
        raise ValueError(f"weight must have shape ({n_rows},), one per row of x, but its shape is {array.shape}")
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(f"weight must be finite and ≥ 0, but weight[{row}] is {array[row]}")
    if not array.any():
        raise ValueError("all weights are zero: no row is left to learn from")
    return array
