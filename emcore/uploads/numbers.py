"""Cells as numbers: how a column writes them (decimal mark, thousands, signs of money), or why they are none.

Patterns are those of Rust's regular expressions, which take time in proportion to the text.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

_ERRORS = ("#n/a", "#div/0!", "#value!", "#ref!", "#num!", "#name?", "#null!")  # of spreadsheets
MISSING = frozenset(  # in lower case
    ("", "na", "n/a", "n.a.", "<na>", "nan", "-nan", "null", "none", ".", "..", "?", ":", "-", "--", "–", "—", *_ERRORS)
)
_LARGEST = 1e100  # squares of more would overflow
_GROUPS = " \u00a0\u2009\u202f'’"  # these set off thousands and nothing else
_MONEY = "[$€£¥₹]|USD|EUR|GBP|CHF"
_UNIT = rf"^([-+]?)(?:{_MONEY})\s*|\s*(?:%|{_MONEY})$"
_DATE = r"^(?:\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?|\d{4}-\d{2})$"
_TIME = r"^\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?$"
_AMBIGUOUS = "1.234 can be thousands or decimals here: write all numbers in one way, without marks for thousands"


def _pattern(decimal: str, thousands: str) -> str:
    """The numbers written with this decimal mark, in which the other may set off thousands."""
    whole = rf"(?:[0-9]+|[1-9][0-9]{{0,2}}(?:[{thousands}{_GROUPS}][0-9]{{3}})+)"
    size = rf"(?:{whole}(?:[{decimal}][0-9]*)?|[{decimal}][0-9]+)(?:[eE][-+]?[0-9]+)?"
    return rf"^[-+]?(?:{size}|(?i:inf(?:inity)?))$"


_POINT, _COMMA = _pattern(".", ","), _pattern(",", ".")
_LIKE = re.compile(rf"\s*(?:[$€£¥₹]\s*)?(?:{_POINT[1:-1]}|{_COMMA[1:-1]})\s*[%$€£¥₹]?\s*")


def looks_like_a_number(cell: str) -> bool:
    """Whether a cell may hold a number, in whichever way it is written."""
    return bool(_LIKE.fullmatch(cell))


@dataclass(frozen=True)
class Numbers:
    """A column as numbers: `values` (n,), NaN where a cell is missing, or None and the reason in `trouble`."""

    values: np.ndarray | None
    n_missing: int
    trouble: str = ""


@dataclass(frozen=True)
class _Written:
    """How a column's cells are written: those given, without signs; which marks can be decimal; what cannot be read."""

    given: Any  # a polars column of text
    missing: np.ndarray
    decimals: str  # of "." and ",", those that make a number of every cell
    trouble: str = ""
    unit: bool = False

    def holds(self, mark: str) -> bool:
        return bool(self.given.str.contains(mark, literal=True).any())

    @property
    def surely(self) -> str:
        """The decimal mark, where only one will do."""
        return self.decimals if len(self.decimals) == 1 else ""


def numbers(columns: list[Any], lines: list[int], separator: str) -> tuple[list[Numbers], tuple[str, ...]]:
    """Each of the columns, text from these lines of the file, as numbers; and notes on how they were written.

    A column that can be read in two ways, as "1.234", is read as the columns that can only be read in one; where there
    are none, with decimal points if it holds no commas or if commas separate the cells.
    """
    written = [_written(column, lines) for column in columns]
    sure = "".join(sorted({column.surely for column in written if not column.trouble}))
    decimals = [column.trouble or _decimal(column, sure, separator) for column in written]
    read = [
        Numbers(None, int(column.missing.sum()), decimal) if len(decimal) > 1 else _read(column, decimal)
        for column, decimal in zip(written, decimals, strict=True)
    ]
    used = [
        (column, decimal)
        for column, decimal, found in zip(written, decimals, read, strict=True)
        if found.values is not None
    ]
    return read, _notes(used)


def _written(text: Any, lines: list[int]) -> _Written:
    text = text.str.strip_chars()
    missing = text.str.to_lowercase().is_in(list(MISSING)).to_numpy()
    given = text.filter(~missing)
    if given.is_empty():
        return _Written(given, missing, "", "empty")
    if given.str.contains(_POINT).all():  # as most columns are
        return _Written(given, missing, ".," if given.str.contains(_COMMA).all() else ".")
    given = given.str.replace_all("−", "-", literal=True).str.replace_all("[\u200b\ufeff]", "")
    plain = given.str.replace(_UNIT, "${1}")
    able = {mark: plain.str.contains(pattern) for mark, pattern in ((".", _POINT), (",", _COMMA))}
    decimals = "".join(mark for mark, fits in able.items() if fits.all())
    bad = (~(able["."] | able[","])).to_numpy()
    if not decimals:
        return _Written(plain, missing, "", _no_numbers(given, bad, np.array(lines)[~missing]))
    units = given.str.extract(f"(%|{_MONEY})")
    trouble = "signs (%, €, …) on some cells only, or of several kinds" if units.n_unique() > 1 else ""
    return _Written(plain, missing, decimals, trouble, units[0] is not None)


def _no_numbers(given: Any, bad: np.ndarray, lines: np.ndarray) -> str:
    """Why these cells are not all numbers; `bad` marks those that are none."""
    if 2 * given.str.contains(_DATE).sum() > len(given):
        return "dates: give them as numbers, such as days since the first"
    if 2 * given.str.contains(_TIME).sum() > len(given):
        return "times: give them as numbers, such as minutes since the first"
    if not bad.any():
        return "decimal points and decimal commas in one column: write all numbers in one way"
    if not bad.all():
        return f"{bad.sum():,} of {len(bad):,} cells are not numbers, the first of them in line {lines[bad][0]:,}"
    if given.str.contains(r"^[-+]?[0-9]").all():
        return "text beside the numbers, such as units: keep the numbers alone"
    return "text: give categories as codes 0, 1, …"


def _decimal(column: _Written, sure: str, separator: str) -> str:
    """The column's decimal mark; or what is wrong, in words. `sure`: the marks that other columns must have."""
    if column.surely:
        return column.surely
    points, commas = column.holds("."), column.holds(",")
    if not points and not commas:
        return "."
    if points and commas:
        return _AMBIGUOUS
    if len(sure) == 1:
        return sure
    return "." if not sure and (points or separator == ",") else _AMBIGUOUS


def _read(column: _Written, decimal: str) -> Numbers:
    """The numbers of a column with this decimal mark."""
    import polars as pl

    plain = column.given.str.replace_all(f"[{_GROUPS}{'.' if decimal == ',' else ','}]", "")
    found = plain.str.replace(decimal, ".", literal=True).cast(pl.Float64).to_numpy()
    n_missing, trouble = int(column.missing.sum()), _unsound(found)
    if trouble:
        return Numbers(None, n_missing, trouble)
    values = np.full(len(column.missing), np.nan)
    values[~column.missing] = found
    return Numbers(values, n_missing)


def _unsound(values: np.ndarray) -> str:
    """What keeps these numbers from being used; "" if nothing does."""
    if not np.isfinite(values).all():
        return "holds infinity"
    if np.abs(values).max() > _LARGEST:
        return f"holds numbers beyond {_LARGEST:g}"
    if values.min() == values.max():
        return "holds one number only, again and again: nothing to learn from it"
    return ""


def _notes(used: list[tuple[_Written, str]]) -> tuple[str, ...]:
    """One sentence for each way of writing that the columns in use have, with their decimal marks."""
    notes = []
    if any(decimal == "," and column.holds(",") for column, decimal in used):
        notes.append("Commas inside numbers were read as decimal commas.")
    for mark, other, word in ((",", ".", "Commas"), (".", ",", "Points")):
        if any(decimal == other and column.holds(mark) for column, decimal in used):
            notes.append(f"{word} inside numbers were read as setting off thousands.")
    if any(column.given.str.contains(f"[{_GROUPS}]").any() for column, _ in used):
        notes.append("Spaces or apostrophes inside numbers were read as setting off thousands.")
    if any(column.unit for column, _ in used):
        notes.append("Signs beside numbers (%, €, …) were left out: 12 % is read as 12.")
    return tuple(notes)
