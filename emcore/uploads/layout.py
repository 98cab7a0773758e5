"""Which rows are the table: the line of names, the rows under it, and what stands above and below."""

import re
from dataclasses import dataclass
from itertools import takewhile, zip_longest
from types import MappingProxyType

from emcore.uploads.numbers import MISSING, looks_like_a_number
from emcore.uploads.rows import Row, Rows

MAX_COLUMNS = 200
_COMMENT = re.compile(r"\s*#(?![0-9])")
_TOTAL = re.compile(
    r"(?i)\s*((grand |sub-?)?totals?|sum|mean|average|avg|summe|gesamt|insgesamt|mittelwert|somme|moyenne|suma)[:.]?\s*"
)
_QUOTE = "A cell that holds the separator must be in quotation marks."
_ADVICE = MappingProxyType(
    {
        ",": "A cell that holds a comma must be in quotation marks; with decimal commas, put semicolons between cells.",
        " ": "Spaces separate the cells here: words with spaces must be in quotation marks, and a missing cell is NA.",
    }
)


@dataclass(frozen=True)
class Layout:
    """Names as in the file ("" where a column has none), the columns' cells as text, and the line of each row."""

    names: list[str]
    columns: list[list[str]]
    lines: list[int]
    headless: bool
    notes: tuple[str, ...]


def laid_out(found: Rows) -> Layout | str:
    """The table among the rows; or what is wrong with it, in words."""
    rows, notes = _without_comments(found)
    above = _titles(rows, found.usual)
    rows = rows[above:]
    if not rows:
        return "The file is empty."
    widest = _length(rows[0][1])
    if widest > MAX_COLUMNS:
        return f"The table has {widest:,} columns; at most {MAX_COLUMNS} are read here."
    headless = _is_data(rows)
    names = [""] * found.usual if headless else [cell.strip() for cell in rows.pop(0)[1]]
    below = _footers(rows, found.usual)
    rows = rows[: len(rows) - below]
    if not rows:
        return "The file has a line of names but no rows."
    aligned = _aligned(names, rows, found.separator, headless)
    if isinstance(aligned, str):
        return aligned
    notes += _said(aligned, rows, above, below, headless, shifted=len(aligned) > len(names))
    table = [(name, cells) for name, *cells in zip_longest(aligned, *(cells for _, cells in rows), fillvalue="")]
    kept = [(name, cells) for name, cells in table if name or any(map(str.strip, cells))]
    names, columns = [name for name, _ in kept], [cells for _, cells in kept]
    return Layout(names, columns, [line for line, _ in rows], headless, tuple(notes))


def _said(names: list[str], rows: list[Row], above: int, below: int, headless: bool, *, shifted: bool) -> list[str]:
    """How the rows were taken, one sentence each."""
    notes = []
    if above:
        notes.append(f"Left out: {_count(above, 'line')} above the table.")
    if below:
        notes.append(f"Left out: {_count(below, 'line')} of words or totals at the end.")
    if headless:
        notes.append("The first line holds numbers, so it was taken as data and the columns have no names.")
    elif any(map(looks_like_a_number, names)):
        notes.append("The first line was taken as the names, though some are numbers.")
    if shifted:
        notes.append("The line of names has one cell fewer than the rows, so the first column has no name.")
    width = _length(names) or len(names)
    short = sum(len(cells) < width for _, cells in rows)
    if short:
        notes.append(f"Taken as missing: the last cells of {_count(short, 'row')} shorter than the first.")
    return notes


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def _length(cells: list[str]) -> int:
    """How many cells there are up to the last that holds something."""
    n = len(cells)
    while n and not cells[n - 1].strip():
        n -= 1
    return n


def _alone(cells: list[str]) -> bool:
    """Words in the first cell, and nothing beside them."""
    return _length(cells) == 1 and not looks_like_a_number(cells[0])


def _without_comments(found: Rows) -> tuple[list[Row], list[str]]:
    """The rows without lines that begin with #, of which the last above the numbers may hold the names; and notes."""
    leading = len(list(takewhile(lambda row: _is_comment(row[1]), found.rows)))
    above, rows = found.rows[:leading], found.rows[leading:]
    kept = [row for row in rows if not (_is_comment(row[1]) and (found.separator == " " or _alone(row[1])))]
    n_gone, notes = leading + len(rows) - len(kept), []
    if above and kept and any(map(looks_like_a_number, kept[0][1])):
        line, cells = above[-1]
        names = [cells[0].lstrip("# \t"), *cells[1:]]
        names = names[1:] if found.separator == " " and not names[0] else names
        if len(names) == found.usual:
            kept, n_gone = [(line, names), *kept], n_gone - 1
            notes.append("The names are those of the last line that begins with #.")
    if n_gone:
        notes.append(f"Left out: {_count(n_gone, 'line')} that begin{'s' * (n_gone == 1)} with #.")
    return kept, notes


def _is_comment(cells: list[str]) -> bool:
    return bool(_COMMENT.match(cells[0])) and cells[0].strip().lower() not in MISSING


def _titles(rows: list[Row], usual: int) -> int:
    """How many rows above the table are words alone; but a name may stand alone too, right above the numbers."""
    if usual < 2:
        return 0
    n = len(list(takewhile(lambda row: _alone(row[1]), rows[:-1])))
    named = n > 0 and len(rows[n - 1][1]) > 1 and _is_data(rows[n:])
    return n - named


def _footers(rows: list[Row], usual: int) -> int:
    """How many rows at the end are words alone, or call themselves a total; never all."""

    def is_footer(row: Row) -> bool:
        first = next(filter(str.strip, row[1]))
        return bool(_TOTAL.fullmatch(first)) or (usual > 1 and _alone(row[1]))

    return len(list(takewhile(is_footer, reversed(rows[1:]))))


def _is_data(rows: list[Row]) -> bool:
    """Whether the first row is data: numbers alone; or one with a fraction, or beside words that come again below.

    Other numbers, such as years, may be names; and a first cell that is empty stands over the names of rows.
    """
    first = [cell.strip() for cell in rows[0][1]]
    numbers = [cell for cell in first if looks_like_a_number(cell)]
    words = [(place, cell) for place, cell in enumerate(first) if cell not in numbers and cell.lower() not in MISSING]
    if not numbers or not first[0]:
        return False
    if not words or any(re.search(r"[0-9][.,][0-9]", cell) for cell in numbers):
        return True
    below = [cells for _, cells in rows[1:1_000]]
    return any(cell == cells[place].strip() for place, cell in words for cells in below if place < len(cells))


def _row_names_first(rows: list[list[str]], width: int, separator: str) -> bool:
    """Whether the rows begin with a name or count of the row, over which R writes nothing, not even a separator."""
    if len(rows) < 2 or width < 2 or min(map(len, rows)) <= width or max(map(_length, rows)) != width + 1:
        return False
    first = [cells[0].strip() for cells in rows]
    counts = first in ([str(place + start) for place in range(len(first))] for start in (0, 1))
    commas_are_decimal = separator == "," and not any("." in cell for cells in rows for cell in cells)  # or may be
    return (counts and not commas_are_decimal) or not any(map(looks_like_a_number, first))


def _aligned(names: list[str], rows: list[Row], separator: str, headless: bool) -> list[str] | str:
    """One name per column; or, in words, the first row that does not fit them."""
    width = len(names)
    if not headless and _row_names_first([cells for _, cells in rows], width, separator):
        return ["", *names]
    for line, cells in rows:
        n = _length(cells)
        if n > width or (separator == " " and n < width):
            usually = "most have" if headless else "the line of names has"
            return (
                f"The cells do not line up: line {line:,} has {_count(n, 'cell')}, but {usually} {width:,}. "
                f"{_ADVICE.get(separator, _QUOTE)}"
            )
    return names
