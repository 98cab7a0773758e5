"""A student's own table: the bytes of a delimited text file become columns of numbers, or a sentence that says why not.

Nothing here raises for what a file holds, and nothing in a file is ever run: names and cells are text, and only cells
that are numbers leave as anything else. Names are for people to read; refer to a column by its place.
"""

import re
from collections import Counter
from csv import Error as CsvError
from csv import reader as csv_reader
from dataclasses import dataclass
from io import BytesIO, StringIO
from types import MappingProxyType
from typing import Any

import numpy as np

MAX_BYTES, MAX_ROWS, MAX_COLUMNS = 5_000_000, 100_000, 200
SEPARATORS = (",", ";", "\t")
MISSING = ("", "na", "n/a", "nan", "null", "none", ".", "?", "-", "--")  # in any case
_LONGEST_NAME = 60
_LARGEST = 1e100  # squares of more would overflow
_SAMPLE = 64_000  # characters looked at to find the separator
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_DATE = r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?$"
_WORDS = MappingProxyType({",": "commas", ";": "semicolons", "\t": "tabs"})
_BROKEN = (
    "The cells do not line up: some row has more cells than the first, or a quotation mark is not closed. "
    "Check the file in a text editor, or save it from the spreadsheet again as CSV."
)


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

    Encodings: UTF-8 with or without a mark, UTF-16 with one, otherwise Windows-1252 or Latin-1. Separators: comma,
    semicolon, tab; quoted cells may hold them and line breaks. Decimal commas are read where commas separate nothing.
    A first line that holds only numbers is taken as data. At most 5 MB, 100,000 rows and 200 columns.
    """
    if len(data) > MAX_BYTES:
        return f"The file has {len(data) / 1e6:,.1f} MB; at most {MAX_BYTES / 1e6:g} MB are read here."
    text, encoding = _decoded(data)
    if not text.strip():
        return "The file is empty."
    if _CONTROL.search(text):
        return (
            "This is no text file (it holds control characters). A table saved by a spreadsheet must first be saved as "
            "CSV."
        )
    separator = _separator(text)
    cells = _cells(text, separator)
    if isinstance(cells, str):
        return cells
    return _table(cells, separator, encoding)


def _decoded(data: bytes) -> tuple[str, str]:
    """The text with plain line ends, and the name of the encoding; any bytes are text in the last one."""
    marked = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "cp1252"):
        try:
            text = data.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        text, encoding = data.decode("latin-1"), "latin-1"
    return text.replace("\r\n", "\n").replace("\r", "\n").strip("\x1a\n"), encoding


def _separator(text: str) -> str:
    """The one that divides the first line, gives the lines after it as many cells, and the most; in this order."""
    best = (False, False, 0)
    for separator in SEPARATORS:
        widths = _widths(text[:_SAMPLE], separator, cut=len(text) > _SAMPLE)
        score = (widths[0] > 1, len(set(widths)) == 1, widths[0])
        if score > best:
            best, found = score, separator
    return found


def _widths(sample: str, separator: str, *, cut: bool) -> list[int]:
    """Cells per line; the last line of a cut sample is not whole."""
    try:
        widths = [len(row) for row in csv_reader(StringIO(sample, newline=""), delimiter=separator) if row]
    except CsvError:
        return [1]
    return widths[:-1] if cut and len(widths) > 1 else widths or [1]


def _cells(text: str, separator: str) -> Any:
    """All cells as text, a polars frame whose first row is the file's first line; or what is wrong, in words."""
    import polars as pl

    width = _widths(text[:_SAMPLE], separator, cut=False)[0]
    if width > MAX_COLUMNS:
        return f"The table has {width:,} columns; at most {MAX_COLUMNS} are read here."
    schema = {f"column_{place}": pl.String for place in range(width)}
    try:
        frame = pl.read_csv(
            BytesIO(text.encode("utf-8", "replace")), has_header=False, separator=separator, schema=schema, glob=False
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return _BROKEN
    if frame.width != width:
        return _BROKEN
    frame = frame.filter(~pl.all_horizontal(pl.all().is_null() | (pl.all().str.strip_chars() == "")))
    if frame.height > MAX_ROWS + 1:
        return f"The table has {frame.height - 1:,} rows; at most {MAX_ROWS:,} are read here."
    return frame


def _table(cells: Any, separator: str, encoding: str) -> Table | str:
    """The table of all cells as text, the first row of which may be the header."""
    import polars as pl

    if not cells.height:
        return "The file is empty."
    first = [cell or "" for cell in cells.row(0)]
    headless = all(_is_number(cell) for cell in first)
    body = cells if headless else cells.slice(1)
    if not body.height:
        return "The file has a line of names but no rows."
    names = _unique(["" if headless else cell for cell in first])
    text = body.select(pl.all().fill_null("").str.strip_chars())
    # where the comma is the separator, one inside a quoted cell may as well set off thousands
    commas = separator != "," and any(_has_decimal_comma(text[column]) for column in text.columns)
    columns = tuple(_column(name, text[column], commas) for name, column in zip(names, text.columns, strict=True))
    if all(column.values is None for column in columns):
        reasons = "; ".join(f"column {place}: {column.trouble}" for place, column in enumerate(columns[:5]))
        return f"No column holds numbers that could be used ({reasons})."
    return Table(columns, body.height, _notes(separator, encoding, headless, commas, len(columns)))


def _notes(separator: str, encoding: str, headless: bool, commas: bool, width: int) -> tuple[str, ...]:
    notes = [f"Cells are separated by {_WORDS[separator]}."] if width > 1 else []
    if encoding in ("cp1252", "latin-1"):
        notes.append("The text is not UTF-8 and was read as Latin-1: look at accented letters in names.")
    if headless:
        notes.append("The first line holds numbers, so it was taken as data and the columns have no names.")
    if commas:
        notes.append("Commas inside numbers were read as decimal commas.")
    return tuple(notes)


def _is_number(cell: str) -> bool:
    return bool(re.fullmatch(r"\s*[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?\s*", cell, re.ASCII))


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


def _has_decimal_comma(text: Any) -> bool:
    """Some cell is a number with a comma in it."""
    return bool(text.str.contains(r"^[-+]?\d*,\d+([eE][-+]?\d+)?$").any())


def _column(name: str, text: Any, commas: bool) -> Column:
    """Numbers where every cell is one or missing."""
    import polars as pl

    missing = text.str.to_lowercase().is_in(MISSING)
    n_missing = int(missing.sum())
    given = text.filter(~missing)
    trouble = _not_numbers(given, commas)
    if not trouble:
        plain = text.str.replace(",", ".", literal=True) if commas else text
        values = plain.str.strip_prefix("+").cast(pl.Float64, strict=False).to_numpy().copy()
        values[missing.to_numpy()] = np.nan
        trouble = _unsound(values[~missing.to_numpy()])
    return Column(name, None if trouble else values, n_missing, trouble)


def _not_numbers(given: Any, commas: bool) -> str:
    """Why these cells are not all numbers; "" where they are."""
    import polars as pl

    if not len(given):
        return "empty"
    if given.str.contains(_DATE).all():
        return "dates: give them as numbers, such as days since the first"
    if commas and given.str.contains(r"^[-+]?\d*\.\d+([eE][-+]?\d+)?$").any():
        return "points in a table with decimal commas: thousands or decimals? Write numbers in one way"
    plain = given.str.replace(",", ".", literal=True) if commas else given
    bad = int(plain.str.strip_prefix("+").cast(pl.Float64, strict=False).is_null().sum())
    if bad == len(given):
        return "text: give categories as codes 0, 1, …"
    if bad:
        return f"{bad:,} of {len(given):,} cells are not numbers"
    return ""


def _unsound(values: np.ndarray) -> str:
    """What keeps these numbers from being used; "" if nothing does."""
    if not np.isfinite(values).all():
        return "holds infinity"
    if np.abs(values).max() > _LARGEST:
        return f"holds numbers beyond {_LARGEST:g}"
    if values.min() == values.max():
        return "holds one number only, again and again: nothing to learn from it"
    return ""
