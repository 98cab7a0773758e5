"""Data sets that come with emcore: classic tables with published answers, and one toy.

`names()` lists them, `info(name)` says where one comes from, under which licence and what answer is
published for it, `load(name)` gives the table as a polars frame. Sources, licences and sizes are kept in
one file beside the tables, `provenance.json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    import polars

__all__ = ["DatasetInfo", "catalogue", "describe", "info", "load", "names"]


@dataclass(frozen=True)
class DatasetInfo:
    """What is known about one data set.

    `fields` gives the meaning and unit of each column, `source` says where the copy was taken from,
    `changes` what was altered in it, `published` the answer in print (or that none is known).
    """

    name: str
    title: str
    rows: int
    columns: int
    fields: str
    source: str
    licence: str
    citation: str
    changes: str
    published: str
    notes: str


def names() -> list[str]:
    """The names of all data sets, in alphabetical order."""
    return sorted(_provenance())


def info(name: str) -> DatasetInfo:
    """Size, columns, source, licence and published answer of the data set `name`.

    Raises ValueError for an unknown name.
    """
    entries = _provenance()
    if name not in entries:
        raise ValueError(_unknown(name, sorted(entries)))
    return DatasetInfo(name=name, **entries[name])


def load(name: str) -> polars.DataFrame:
    """The data set `name` as a polars frame; a missing cell is null.

    Column types follow from all rows: whole numbers Int64, other numbers Float64, text String.
    Raises ValueError for an unknown name, ImportError where polars is not installed.
    """
    info(name)  # an unknown name is reported as such, with or without polars
    try:
        import polars as pl
    except ImportError as error:
        raise ImportError(
            "emcore.datasets.load gives a polars frame, and polars is not installed: pip install 'emcore-learn[frames]'"
        ) from error
    return pl.read_csv((_folder() / f"{name}.csv").read_bytes(), infer_schema_length=None)


def catalogue() -> str:
    """All data sets as one Markdown table: name, contents, rows, columns, licence."""
    lines = ["| name | contents | rows | columns | licence |", "|---|---|---:|---:|---|"]
    for entry in map(info, names()):
        # A bar inside a cell, as in "GPL-2 | GPL-3", would end the cell.
        cells = [f"`{entry.name}`", entry.title, str(entry.rows), str(entry.columns), entry.licence]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def describe(name: str) -> str:
    """One data set as Markdown: its title and a list of all that `info(name)` knows.

    Raises ValueError for an unknown name.
    """
    entry = info(name)
    details = [f"- {f.name}: {getattr(entry, f.name)}" for f in fields(entry) if f.name not in ("name", "title")]
    return "\n".join([f"### {entry.name}", "", entry.title, "", *details])


def _folder() -> Traversable:
    """The folder of the tables: inside an installed package, or beside it in a source checkout."""
    package = resources.files("emcore")
    installed = package / "_data"
    return installed if installed.is_dir() else Path(str(package)).parent / "datasets"


def _provenance() -> dict[str, dict]:
    return json.loads((_folder() / "provenance.json").read_text(encoding="utf-8"))


def _unknown(name: str, known: list[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(str(name), known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    return f"There is no data set {name!r}.{hint} Known: {', '.join(known)}."
