"""The rows to choose k for: a data set of the project, or a table that the student brought."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from io import StringIO
from types import MappingProxyType
from typing import Any

import numpy as np

from emcore.classroom.shared import shared
from emcore.datasets import load
from emcore.uploads import Table, read_table

LATENT = "latent classes"
SHAPES = ("full", "tied", "diag", "spherical")
OWN_FILE, PASTED = "My own CSV file", "Numbers that I paste"
OWN = (OWN_FILE, PASTED)
ABOUT_FILES = "A CSV file with a line of names; it stays in this session and is never run."
ABOUT_PASTING = "Paste a table: one row per line, cells separated by commas, semicolons, tabs or spaces."
EXAMPLE = "length,width\n5.1,3.5\n4.9,3.0"
MOST_ROWS, MOST_COLUMNS, MOST_LEVELS = 1_000, 8, 30


@dataclass(frozen=True)
class Source:
    """A data set of the project: which columns are measurements, and which one counts the rows."""

    name: str
    columns: tuple[str, ...]
    weight: str | None = None


_IRIS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
_BIRDS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
DATASETS: Mapping[str, Source] = MappingProxyType(
    {
        "Iris": Source("iris", _IRIS),
        "Old Faithful": Source("old_faithful", ("eruptions", "waiting")),
        "Galaxies": Source("galaxies", ("velocity",)),
        "Penguins": Source("penguins", _BIRDS),
        "Carcinoma: seven pathologists": Source("carcinoma", tuple("abcdefg"), "count"),
    }
)


def _memory(most: int = 512) -> Callable[..., Any]:
    return shared(most)(lambda ask, *about: ask(*about))


@dataclass(frozen=True, eq=False)
class Rows:
    """What is fitted: x (n, d), NaN where a cell is missing, the weight of each row (n,) or None, and names to show.

    `rows.remember(f, a, b)` is `f(a, b)`, worked out once for as long as these rows are in use: a class shares the
    fits of the project's data sets, and those of a student's table go with the table. `keep_few` is for what is large.
    """

    x: np.ndarray
    weight: np.ndarray | None
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    remember: Callable[..., Any] = field(default_factory=_memory, repr=False)
    keep_few: Callable[..., Any] = field(default_factory=lambda: _memory(8), repr=False)

    @property
    def n(self) -> float:
        """How many rows these are, each counted by its weight."""
        return float(len(self.x) if self.weight is None else self.weight.sum())


def models_for(title: str) -> tuple[str, ...]:
    """The models that make sense for a data set; for the student's own, all."""
    if title in OWN:
        return (*SHAPES, LATENT)
    return (LATENT,) if DATASETS[title].weight else SHAPES


@cache
def rows_of(title: str) -> Rows:
    """The rows of a data set of the project, by its title."""
    source = DATASETS[title]
    frame = load(source.name)
    x = frame.select(source.columns).to_numpy().astype(float)
    weight = frame[source.weight].to_numpy().astype(float) if source.weight else None
    names = tuple(name.replace("_", " ") for name in source.columns)
    return _without_empty_rows(Rows(x, weight, names))


def table_of(source: str, uploaded: bytes | None, pasted: str) -> Table | str:
    """The student's table; a sentence as long as there is none to read."""
    if source == OWN_FILE:
        return "Choose a CSV file above." if uploaded is None else read_table(uploaded)
    if source == PASTED:
        return read_table(pasted.encode("utf-8", "replace")) if pasted.strip() else "Paste some numbers above."
    return "A data set of the project is shown."


def rows_to_fit(source: str, table: Table | str, columns: Sequence[int], weight: int | None) -> Rows | str:
    """The rows of the data set, or of the student's table; or why there are none."""
    if source not in OWN:
        return rows_of(source)
    return table if isinstance(table, str) else own_rows(table, tuple(columns), weight)


def rows_csv(rows: Rows) -> str:
    """The rows as they are fitted: nothing where a cell is missing, and last the weights."""
    out = StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow([*rows.names, *([] if rows.weight is None else ["weight"])])
    cells = rows.x if rows.weight is None else np.column_stack([rows.x, rows.weight])
    lines.writerows([["" if np.isnan(value) else value for value in row] for row in cells.tolist()])
    return out.getvalue()


def unusable(table: Table) -> list[dict[str, str]]:
    """The columns that cannot be fitted, and why."""
    return [{"column": c.name, "not used, because it is or has": c.trouble} for c in table.columns if c.trouble]


def own_rows(table: Table, columns: tuple[int, ...], weight: int | None = None) -> Rows | str:
    """The chosen columns of a student's table, by place; or what is wrong with them, in words.

    Rows with nothing in these columns are left out; of more than 1,000 rows, 1,000 are drawn at random.
    """
    columns = tuple(place for place in columns if place != weight)
    if not columns:
        return "Choose at least one column to fit (besides the weights)."
    if len(columns) > MOST_COLUMNS:
        return f"Choose at most {MOST_COLUMNS} columns: {len(columns)} are chosen."
    chosen = [table.columns[place] for place in columns]
    x = np.column_stack([column.values for column in chosen if column.values is not None])
    counted = None if weight is None else table.columns[weight].values
    if counted is not None:
        if np.isnan(counted).any() or (counted < 0).any():
            return "The weight column has missing or negative cells: a weight must be a number of 0 or more."
        if not counted.sum() > 0:
            return "All weights are 0: nothing would be left."
    rows = _without_empty_rows(Rows(x, counted, tuple(column.name for column in chosen)))
    return _few_enough(rows)


def _without_empty_rows(rows: Rows) -> Rows:
    """Rows that have a cell and weigh something."""
    kept = ~np.isnan(rows.x).all(axis=1)
    if rows.weight is not None:
        kept &= rows.weight > 0
    if kept.all():
        return rows
    gone = int((~kept).sum())
    left_out = f"Left out: {gone:,} row{'s' * (gone > 1)} with all cells missing, or a weight of 0."
    weight = None if rows.weight is None else rows.weight[kept]
    return Rows(rows.x[kept], weight, rows.names, (*rows.notes, left_out))


def _few_enough(rows: Rows) -> Rows:
    n = len(rows.x)
    if n <= MOST_ROWS:
        return rows
    drawn = np.sort(np.random.default_rng(0).choice(n, MOST_ROWS, replace=False))
    note = f"{MOST_ROWS:,} of the {n:,} rows are used, drawn at random, so that nobody has to wait."
    weight = None if rows.weight is None else rows.weight[drawn]
    return Rows(rows.x[drawn], weight, rows.names, (*rows.notes, note))


def column_choices(table: Table | str) -> dict[str, int]:
    """The columns that can be fitted: name as shown, and place."""
    return {} if isinstance(table, str) else {table.columns[place].name: place for place in table.usable}


def weight_choices(table: Table | str) -> dict[str, int | None]:
    """What can weigh the rows: nothing, or a column."""
    return {"(every row counts once)": None, **column_choices(table)}
