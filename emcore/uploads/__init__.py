"""A student's own table: the bytes of a delimited text file become columns of numbers, or a sentence that says why not.

Nothing here raises for what a file holds, and nothing in a file is ever run: names and cells are text, and only cells
that are numbers leave as anything else. Names are for people to read; refer to a column by its place.
"""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from emcore.uploads.files import decoded, other_kind
from emcore.uploads.layout import MAX_COLUMNS, Layout, laid_out
from emcore.uploads.numbers import Numbers, numbers
from emcore.uploads.rows import MAX_ROWS, WORDS, rows_of

MAX_BYTES = 5_000_000
_LONGEST_NAME = 60


@dataclass(frozen=True, eq=False)
class Column:
    """One column: `values` (n,) with NaN where a cell is missing, or None and the reason in `trouble`."""

    name: str  # as in the file, made unique and printable; never markup, never a field of a chart
    values: np.ndarray | None
    n_missing: int
    trouble: str = ""


@dataclass(frozen=True, eq=False)
class Table:
    """The columns in the order of the file, and `notes`: how it was read, one sentence each."""

    columns: tuple[Column, ...]
    n_rows: int
    notes: tuple[str, ...] = ()

    @property
    def usable(self) -> tuple[int, ...]:
        """The places of the columns that hold numbers."""
        return tuple(place for place, column in enumerate(self.columns) if column.values is not None)


def read_table(data: bytes) -> Table | str:
    """The table in a delimited text file, or a sentence that says what is wrong with it.

    Encodings: UTF-8, UTF-16 (also without a mark) and UTF-32, otherwise Windows-1252 or Latin-1. Separators: comma,
    semicolon, tab, vertical bar, runs of spaces, or what a first line `sep=;` says; quoted cells may hold them and line
    breaks. Left out, with a note: lines that begin with #, titles above the names, totals and words at the end. A first
    line of numbers is data. Decimal marks, thousands, signs of money and percent are read by column, as
    `emcore.uploads.numbers` says. At most 5 MB, 100,000 rows and 200 columns.
    """
    if len(data) > MAX_BYTES:
        return f"The file has {len(data) / 1e6:,.1f} MB; at most {MAX_BYTES / 1e6:g} MB are read here."
    text, note = decoded(data)
    if not text.strip(' \t\n,;|"'):
        return "The file is empty."
    other = other_kind(data, text)
    if other:
        return other
    rows = rows_of(text)
    layout = rows if isinstance(rows, str) else laid_out(rows)
    if isinstance(rows, str) or isinstance(layout, str):
        return str(layout)
    told = ", as the first line says" if rows.told else ""
    separated = f"Cells are separated by {WORDS[rows.separator]}{told}." if len(layout.names) > 1 else ""
    return _table(layout, rows.separator, tuple(filter(None, (separated, note))))


def _table(layout: Layout, separator: str, notes: tuple[str, ...]) -> Table | str:
    """The table of a layout: its cells as numbers under names to show."""
    import polars as pl

    n_rows, n_columns = len(layout.lines), len(layout.names)
    if n_columns > MAX_COLUMNS:
        return f"The table has {n_columns:,} columns; at most {MAX_COLUMNS} are read here."
    if n_rows > MAX_ROWS:
        return f"The table has {n_rows:,} rows; at most {MAX_ROWS:,} are read here."
    text = [pl.Series(cells, dtype=pl.String) for cells in layout.columns]
    found, written = numbers(text, layout.lines, separator)
    if not layout.headless:
        found = [_no_row_numbers(name, column) for name, column in zip(layout.names, found, strict=True)]
    if all(column.values is None for column in found):
        reasons = "; ".join(f"column {place}: {column.trouble}" for place, column in enumerate(found[:5]))
        return f"No column holds numbers that could be used ({reasons})."
    columns = [
        Column(name, column.values, column.n_missing, column.trouble)
        for name, column in zip(_unique(layout.names), found, strict=True)
    ]
    return Table(tuple(columns), n_rows, (*notes, *layout.notes, *written))


def _no_row_numbers(name: str, column: Numbers) -> Numbers:
    """Without the values where a column of no name counts the rows from 0 or 1, as programs write beside a table."""
    values = column.values
    if name or values is None or values[0] not in (0, 1) or not (np.diff(values) == 1).all():
        return column
    return replace(column, values=None, trouble="the numbers of the rows: nothing to learn from them")


def _unique(names: list[str]) -> list[str]:
    """Printable, not empty, not too long, and no two the same: "a", "a (2)"."""
    plain = []
    for place, name in enumerate(names):
        printable = "".join(c if c.isprintable() else " " for c in name)
        printable = " ".join(printable.split()) or f"column {place}"
        plain.append(printable if len(printable) <= _LONGEST_NAME else printable[: _LONGEST_NAME - 1] + "…")
    taken, counts, unique = set(plain), Counter[str](), []
    for name in plain:
        counts[name] += 1
        candidate = name
        while counts[name] > 1 and candidate in taken:
            candidate = f"{name} ({counts[name]})"
            counts[name] += candidate in taken
        taken.add(candidate)
        unique.append(candidate)
    return unique
