"""Text as rows of cells: which separator divides it, and the line of the file in which each row begins."""

import re
from collections import Counter
from csv import Error as CsvError
from csv import field_size_limit
from csv import reader as csv_reader
from dataclasses import dataclass
from io import StringIO
from types import MappingProxyType

from emcore.uploads.numbers import MISSING, looks_like_a_number

MAX_ROWS = 100_000
SEPARATORS = (",", ";", "\t", "|", " ")  # " ": any run of spaces and tabs
WORDS = MappingProxyType({",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars", " ": "spaces"})
_SAMPLE = 32_000  # characters looked at to find the separator, or two lines if those are longer
_CLOSE = "Close it in a text editor, or save the table from the spreadsheet again as CSV."
_ASIDE = 1_000  # rows that may yet be left out: titles, comments, totals
_WIDE = 1_000  # cells of a row looked at to find the separator
_SEP_LINE = re.compile(r'\s*"?sep=(.)"?[;,\t ]*(?:\n|$)', re.IGNORECASE)
_RULE = re.compile(r"[-:=+\s]*---[-:=+\s]*")  # what underlines the names in a table made of bars or spaces

Row = tuple[int, list[str]]  # the line of the file, and the cells


@dataclass(frozen=True)
class Rows:
    """The rows that hold anything, what separates their cells, and the usual number of cells in a row of numbers."""

    rows: list[Row]
    separator: str
    usual: int
    told: bool  # the file's first line named the separator


def rows_of(text: str) -> Rows | str:
    """The rows of a table as text; or what is wrong with it, in words."""
    line = _SEP_LINE.match(text)
    if line and line[1] not in SEPARATORS:
        names = ", ".join(WORDS.values())
        return f"The first line, sep=, names a separator that is not read here. These are: {names}."
    first, text = (2, text[line.end() :]) if line else (1, text)
    separator = line[1] if line else _separator(text)
    rows, trouble = _parsed(text, separator, first)
    if len(rows) > MAX_ROWS + _ASIDE:
        return f"The table has more than {MAX_ROWS:,} rows, which is the most that is read here."
    return trouble or Rows(rows, separator, _usual(rows[:1_000]), line is not None)


def _parsed(text: str, separator: str, first: int = 1) -> tuple[list[Row], str]:
    """The rows that hold anything, up to too many; and why the cells cannot be told apart, or ""."""
    if separator == " ":
        text = re.sub(r"(?m)^ | $", "", re.sub(r"[ \t]+", " ", text))
    reader = csv_reader(StringIO(f"{text}\nend", newline=""), delimiter=separator)
    rows: list[Row] = []
    line, cells = first, ["end"]
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                rows.append((line, cells))
            if len(rows) > MAX_ROWS + _ASIDE:
                return rows, ""
            line, begun = first + reader.line_num, line
    except CsvError:
        return rows, (
            f"A cell in line {line:,} has more than {field_size_limit():,} characters: this is no table, or a "
            "quotation mark is not closed."
        )
    if cells != ["end"]:
        return rows[:-1], f"A quotation mark in line {begun:,} is not closed. {_CLOSE}"
    rows.pop()
    if separator in "| ":
        rows = [(line, cells) for line, cells in rows if not _RULE.fullmatch("".join(cells))]
    return rows, ""


def _separator(text: str) -> str:
    """The one that makes the most of the cells numbers, among those that divide the rows of numbers."""
    second = text.find("\n", _SAMPLE) + 1
    end = text.find("\n", second) if second else -1
    sample = text if end < 0 else text[:end]
    return max(SEPARATORS, key=lambda separator: _score(_parsed(sample, separator)[0], separator))


def _score(rows: list[Row], separator: str) -> tuple[bool, float, int]:
    """Whether it divides rows of numbers; the share of numbers in them, of cells that are given; the usual width."""
    numeric = _numeric(rows)
    usual = _usual(rows)
    if not numeric:
        return False, 0.0, usual if separator != " " else 0
    before = rows[numeric[0] - 1][1] if numeric[0] else []
    if len(before) == 1 and usual == 2 and separator in ", ":
        return False, 0.0, 0  # these stand inside numbers: one name, and below it "1,5" or "1 000"
    cells = [(len(rows[place][1]) == usual, cell.strip()) for place in numeric for cell in rows[place][1][:_WIDE]]
    given = [(in_line, cell, looks_like_a_number(cell)) for in_line, cell in cells if cell.lower() not in MISSING]
    if separator == " " and any(not number and re.search(r"[,;|]", cell) for _, cell, number in given):
        return False, 0.0, 0  # spaces inside the cells of another separator
    share = sum(in_line and number for in_line, _, number in given) / max(len(given), 1)
    return usual > 1 and share > 0, share, usual


def _usual(rows: list[Row]) -> int:
    """The commonest number of cells, of rows with a number if there are any; the larger of two as common."""
    widths = Counter(len(rows[place][1]) for place in _numeric(rows) or range(len(rows)))
    return max(widths, key=lambda width: (widths[width], width), default=0)


def _numeric(rows: list[Row]) -> list[int]:
    """The places of the rows that hold a number."""
    return [place for place, (_, cells) in enumerate(rows) if any(map(looks_like_a_number, cells))]
