"""Runs of an app without a browser in which controls are moved: every value, and every pair of values.

A control *follows from* another one where its cell reads it, be it through other cells, and some value of the other
one gives it other values to try. Two controls of which neither follows from the other are moved together, all pairs
of their values in the few runs of a covering array. Where one follows from the other, the app is run with each value of
the first, and the second is then moved through the values that it has there. In a run all other controls are as the
app makes them.
"""

import ast
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import marimo as mo

from emcore.charts.live import LiveChart
from tests.app_controls import copies
from tests.covering import covering

Defs = Mapping[str, Any]


class Cell(NamedTuple):
    """What a cell of a notebook reads from others, and what it gives to them."""

    reads: frozenset[str]
    gives: tuple[str, ...]


class Run(NamedTuple):
    """Controls in place of those that the app makes."""

    moved: dict[str, Any]  # control by name
    given: dict[str, dict[str, Any]]  # by the control moved: all else that its cell gives

    def overrides(self) -> dict[str, Any]:
        """What marimo is to take for granted: whole cells."""
        return dict(chain.from_iterable(cell.items() for cell in self.given.values())) | self.moved

    def without(self, name: str) -> "Run":
        """With one control as the app makes it."""
        return Run(*({key: value for key, value in part.items() if key != name} for part in self))

    def words(self) -> str:
        """The values, to be set by hand."""
        return ", ".join(f"{name} = {control.value!r}" for name, control in self.moved.items())


@cache
def app_of(path: Path) -> Any:
    """The marimo app of a notebook."""
    spec = importlib.util.spec_from_file_location(f"app_{path.stem}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app


@cache
def standing(path: Path) -> tuple[tuple[Any, ...], Defs]:
    """Outputs and definitions of the app as it stands."""
    outputs, defs = app_of(path).run()
    return tuple(outputs), MappingProxyType(dict(defs))


def runs_of(path: Path) -> Iterator[Run]:
    """All runs."""
    after = followers(path)
    yield from _together(path, frozenset(frozenset((one, name)) for one, names in after.items() for name in names))
    yield from chain.from_iterable(_in_turn(path, one, names) for one, names in after.items())


def _together(path: Path, apart: frozenset[frozenset[str]]) -> Iterator[Run]:
    defs = standing(path)[1]
    values = {name: copies(defs[name]) for name in controls_of(path, defs)}
    for row in covering({name: len(some) for name, some in values.items()}, apart):
        given = {name: given_with(path, name, defs) for name in row}
        yield Run({name: values[name][at] for name, at in row.items()}, given)


def _in_turn(path: Path, one: str, names: frozenset[str]) -> Iterator[Run]:
    """Each value of a control, and there each value of the controls that follow from it."""
    for start, there in with_each_value(path, one) if names else ():
        for name in names & set(controls_of(path, there)):
            given = start.given | {name: given_with(path, name, there)}
            yield from (Run(start.moved | {name: control}, given) for control in copies(there[name]))


@cache
def followers(path: Path) -> Mapping[str, frozenset[str]]:
    """For each control those that follow from it."""
    defs = standing(path)[1]
    return MappingProxyType({one: frozenset(_followers(path, one, defs)) for one in controls_of(path, defs)})


def _followers(path: Path, one: str, defs: Defs) -> Iterator[str]:
    below = {name for cell in cells(path) for name in cell.gives if one in before(path, cell)}
    if any(name not in defs or copies(defs[name]) for name in below):
        for _, there in with_each_value(path, one):
            yield from (name for name in below if tried(there.get(name)) != tried(defs.get(name)))


def with_each_value(path: Path, name: str) -> Iterator[tuple[Run, Defs]]:
    """Runs in which one control alone is moved, and what the app defines there; not those that fail."""
    defs = standing(path)[1]
    for control in copies(defs[name]):
        run = Run({name: control}, {name: given_with(path, name, defs)})
        with suppress(Exception):  # this value is in another run too, which then has a complaint
            there = app_of(path).run(defs=run.overrides())[1]
            close(there)
            yield run, there


def charts(value: Any) -> Iterator[LiveChart]:
    """All charts in what an app defines."""
    if isinstance(value, LiveChart):
        yield value
    elif isinstance(value, mo.ui.anywidget):
        yield from charts(value.widget)
    elif isinstance(value, list | tuple):
        yield from chain.from_iterable(map(charts, value))
    elif isinstance(value, Mapping):
        yield from charts(list(value.values()))


def close(defs: Defs) -> None:
    """Let go of the charts of a run, which would stay for the browser's sake."""
    for chart in charts(defs):
        chart.close()


def tried(control: Any) -> list[str]:
    """The values to try, to be compared."""
    return [repr(other.value) for other in copies(control)]


def controls_of(path: Path, defs: Defs) -> list[str]:
    """The names of the controls that there are values to try for."""
    return [name for cell in cells(path) for name in cell.gives if name in defs and copies(defs[name])]


def given_with(path: Path, name: str, defs: Defs) -> dict[str, Any]:
    """All that the cell of a control gives."""
    (cell,) = [cell for cell in cells(path) if name in cell.gives]
    return {other: defs[other] for other in cell.gives if other in defs}


def before(path: Path, cell: Cell) -> set[str]:
    """All names that a cell reads, also through other cells."""
    names, new = set(), set(cell.reads)
    while new:
        names |= new
        new = set(chain.from_iterable(other.reads for other in cells(path) if names & set(other.gives))) - names
    return names


@cache
def cells(path: Path) -> tuple[Cell, ...]:
    """The cells of a notebook, as its file writes them: arguments are read, returned names are given."""
    tree = ast.parse(path.read_text("utf-8"))
    functions = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and any("app.cell" in ast.unparse(d) for d in node.decorator_list)
    ]
    assert functions, f"no cells in {path.name}"
    return tuple(Cell(frozenset(a.arg for a in f.args.args), tuple(_returned(f))) for f in functions)


def _returned(function: ast.FunctionDef) -> Iterator[str]:
    last = function.body[-1]
    value = last.value if isinstance(last, ast.Return) else None
    return (node.id for node in (ast.walk(value) if value else ()) if isinstance(node, ast.Name))
