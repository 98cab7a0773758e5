"""Tables as packed columns: small, exact, and quick to compare; what the page unpacks is in static/tables.js."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np
from altair.utils import sanitize_narwhals_dataframe


def pack(values: Sequence[Any] | np.ndarray) -> dict[str, Any]:
    """One column, small and exact: `{"kind": "f8" | "f4" | "i4" | "i2" | "i1", "values": bytes}`.

    Little-endian, in the shortest type that holds every number; arrays of one length follow one another, `width`
    numbers each, those equal to the one before left out (`places` says which is whose: q stays where it is in every
    M-step); repeated strings become codes into `levels` (-1 is null); anything else is JSON text,
    `{"kind": "json", "values": "[...]"}`, which the messenger need not walk.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "iuf":
        return _pack_numbers(values)
    items = list(values)
    if items and isinstance(items[0], np.ndarray):
        if len({item.shape for item in items}) == 1 and items[0].size:
            return _pack_arrays(np.stack(items))
        items = [item.tolist() for item in items]
    if items and all(type(item) is int and abs(item) < 2**53 for item in items):
        return _pack_numbers(np.array(items))
    if items and all(item is None or isinstance(item, str) for item in items):
        levels = list(dict.fromkeys(item for item in items if item is not None))
        codes = {None: -1} | {level: code for code, level in enumerate(levels)}
        return _pack_numbers(np.array([codes[item] for item in items])) | {"levels": levels}
    if items and all(item is None or type(item) in (int, float) for item in items):
        return _pack_numbers(np.array(items, dtype=float))  # a null is a NaN on the way
    plain = [item.item() if isinstance(item, np.generic) else item for item in items]
    return {"kind": "json", "values": json.dumps(plain, separators=(",", ":"))}


def _pack_arrays(rows: np.ndarray) -> dict[str, Any]:
    new = np.append(True, (rows[1:] != rows[:-1]).any(axis=1))
    places = (np.cumsum(new) - 1).tolist()
    return _pack_numbers(rows[new].ravel()) | {"width": rows.shape[1], "places": places}


def _pack_numbers(array: np.ndarray) -> dict[str, Any]:
    for kind in ("i1", "i2", "i4") if array.dtype.kind in "iu" else ("f4",):
        with np.errstate(over="ignore"):
            short = array.astype("<" + kind)
        if np.array_equal(short, array, equal_nan=array.dtype.kind == "f"):
            return {"kind": kind, "values": short.tobytes()}
    return {"kind": "f8", "values": array.astype("<f8").tobytes()}


def pack_frame(frame: nw.DataFrame[Any]) -> dict[str, Any]:
    """A table, `{"length": n, "columns": {name: packed}}`."""
    clean = sanitize_narwhals_dataframe(frame)  # dates become ISO strings, what Vega cannot read is refused
    columns = {column.name: pack(_plain(column)) for column in clean.iter_columns()}
    return {"length": len(frame), "columns": columns}


def _plain(column: Any) -> Any:
    if column.dtype.is_numeric() and not column.is_null().any():
        return column.to_numpy()
    return column.to_list()


def pack_rows(rows: Sequence[Any], said: str | None = None) -> dict[str, Any]:
    """The same from records; only the columns named in `said`, where it is given."""
    if rows and not isinstance(rows[0], Mapping):
        rows = [{"data": value} for value in rows]  # Vega's own name for a bare value
    names = [name for name in dict.fromkeys(chain.from_iterable(rows)) if said is None or name in said]
    return {"length": len(rows), "columns": {name: pack([row.get(name) for row in rows]) for name in names}}
