"""Every app runs without a browser, with its controls as they are and at their limits, and is ready for the gallery.

Covered, for each file apps/NN_*.py: one run as it stands, and runs in which controls are replaced by copies with
another value: sliders and numbers at both ends (a number without ends at ±1,000,000), range sliders at both ends and
over their whole range, every option of dropdowns and radios, none and all of a multiselect, every tab, switches and
checkboxes turned, text that is no table, buttons that count pressed, forms submitted as they stand. Arrays and
dictionaries (exercises) take their parts' values in step. Left as they are: uploads, tables and draggable handles.

Rule for the number of runs: each value is tried once with all other controls at their defaults, as long as that takes
at most RUNS runs of an app. Beyond that, values of different controls share a run, so that none is left out. A control
that follows from another one never shares with what is before it: its options would be those of the default. So RUNS
holds for the controls that follow from none, for those that follow from these, and so on.

A run must raise nothing, and show a picture or a callout.
"""

import ast
import importlib.util
import struct
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import marimo as mo
import pytest

from emcore.charts.live import LiveChart

APPS = tuple(sorted((Path(__file__).parents[1] / "apps").glob("*.py")))
RUNS = 8
FAR = 1_000_000
NOT_A_TABLE = 'a,b\n1,x\n"'


class Cell(NamedTuple):
    """What a cell of a notebook reads from others, and what it gives to them."""

    reads: frozenset[str]
    gives: tuple[str, ...]


# ---- the gallery


def test_the_gallery_holds_its_apps_in_order():
    numbers = [int(path.name[:2]) for path in APPS]
    assert {2, 10} <= set(numbers)
    assert numbers == sorted(set(numbers)), "two apps have the same number"
    assert set(numbers) <= set(range(1, 11))
    assert [int(header(path)["title"].split(" · ")[0]) for path in APPS] == numbers


def header(path: Path) -> dict[str, str]:
    """Title and description that the gallery shows, from the script's metadata."""
    return script(path)["tool"]["marimo"]["opengraph"]


def script(path: Path) -> dict[str, Any]:
    block = path.read_text("utf-8").split("# /// script\n")[1].split("# ///\n")[0]
    return tomllib.loads("\n".join(line.removeprefix("#").removeprefix(" ") for line in block.splitlines()))


@pytest.mark.parametrize("path", APPS, ids=lambda path: path.stem)
def test_an_app_says_what_it_asks(path):
    said = header(path)
    number, question = said["title"].split(" · ")
    assert int(number) == int(path.name[:2])
    assert question.endswith("?"), "the title is the app's one question"
    assert question == app_title(path)
    assert 20 < len(said["description"]) < 160
    assert "marimo" in script(path)["dependencies"]
    assert not [name for name in script(path)["dependencies"] if name.startswith("emcore")], "exports would pin it"


def app_title(path: Path) -> str:
    made = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    (app,) = [call for call in made if ast.unparse(call.func) == "marimo.App"]
    return next(ast.literal_eval(keyword.value) for keyword in app.keywords if keyword.arg == "app_title")


@pytest.mark.parametrize("path", APPS, ids=lambda path: path.stem)
def test_an_app_has_a_small_thumbnail(path):
    content = (path.parent / "__marimo__" / "assets" / path.stem / "opengraph.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert struct.unpack(">II", content[16:24]) == (1200, 630)
    assert 5_000 < len(content) < 200_000


# ---- the runs


@pytest.mark.parametrize("path", APPS, ids=lambda path: path.stem)
def test_an_app_runs_as_it_stands(path):
    outputs, defs = standing(path)
    assert drawn(defs), "no picture"
    assert not [html for html in map(as_text, outputs) if "marimo-error" in html or "Traceback" in html]
    assert variants_of(path), "no controls were found"


@pytest.mark.parametrize("path", APPS, ids=lambda path: path.stem)
def test_an_app_stands_every_value_of_its_controls(path):
    failed = [words for overrides in runs_of(path) if (words := complaint(path, overrides))]
    assert not failed, f"{path.name} with\n" + "\n".join(failed)


def complaint(path: Path, overrides: dict[str, Any]) -> str:
    """What is wrong with a run, or nothing."""
    values = {name: control.value for name, control in overrides.items() if is_control(control)}
    try:
        outputs, defs = load(path).app.run(defs=dict(overrides))
    except Exception as error:
        return f"{values}: {type(error).__name__}: {error}"
    shown = drawn(defs) or any(map(has_callout, outputs))
    return "" if shown else f"{values}: neither a picture nor a callout"


@cache
def standing(path: Path) -> tuple[tuple[Any, ...], MappingProxyType]:
    outputs, defs = load(path).app.run()
    return tuple(outputs), MappingProxyType(dict(defs))


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"app_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def as_text(output: Any) -> str:
    return "" if output is None else mo.as_html(output).text


def has_callout(output: Any) -> bool:
    return "marimo-callout" in as_text(output)


def drawn(defs: Any) -> list[LiveChart]:
    """The charts of a run that show something."""
    return [chart for chart in charts(list(defs.values())) if chart.get_state(["shell"])["shell"]]


def charts(value: Any) -> Iterator[LiveChart]:
    if isinstance(value, LiveChart):
        yield value
    elif isinstance(value, mo.ui.anywidget):
        yield from charts(value.widget)
    elif isinstance(value, list | tuple):
        yield from chain.from_iterable(map(charts, value))
    elif isinstance(value, dict):
        yield from charts(list(value.values()))


# ---- the values of a control


def other_values(control: Any) -> list[Any]:
    """Copies of a control with the values to try; none for a kind that is left as it is."""
    match control:
        case mo.ui.slider():
            return [_slider(mo.ui.slider, control, value) for value in (control.start, control.stop)]
        case mo.ui.range_slider():
            low, high = control.start, control.stop
            return [_slider(mo.ui.range_slider, control, ends) for ends in ((low, low), (low, high), (high, high))]
        case mo.ui.number():
            low = -FAR if control.start is None else control.start
            high = FAR if control.stop is None else control.stop
            return [mo.ui.number(low, high, value=value) for value in (low, high)]
        case mo.ui.dropdown() | mo.ui.radio():
            return [type(control)(control.options, value=name) for name in control.options]
        case mo.ui.multiselect():
            return [mo.ui.multiselect(control.options, value=some) for some in ([], list(control.options))]
        case mo.ui.switch() | mo.ui.checkbox():
            return [type(control)(value=not control.value)]
        case mo.ui.text() | mo.ui.text_area():
            return [type(control)(value=NOT_A_TABLE)]
        case mo.ui.tabs():
            return [mo.ui.tabs(dict.fromkeys(control._tab_keys, ""), value=name) for name in control._tab_keys]
        case mo.ui.run_button():
            return [mo.ui.switch(value=True)]  # its value is True while what it asked for runs
        case mo.ui.button() if isinstance(control.value, int):
            return [mo.ui.button(value=control.value + 1)]
        case mo.ui.form():
            return [control.element]  # its value is there at once
        case mo.ui.array():
            return [mo.ui.array(parts) for parts in in_step(control.elements)]
        case mo.ui.dictionary():
            return [
                mo.ui.dictionary(dict(zip(control.elements, parts))) for parts in in_step(control.elements.values())
            ]
    return []


@pytest.mark.parametrize(
    ("control", "values"),
    [
        (mo.ui.slider(1, 8, value=3), [1, 8]),
        (mo.ui.slider(steps=[0, 0.1, 30], value=0.1), [0, 30]),
        (mo.ui.range_slider(1, 5, value=(2, 3)), [[1, 1], [1, 5], [5, 5]]),
        (mo.ui.number(0, 9999, value=1), [0, 9999]),
        (mo.ui.number(), [-FAR, FAR]),
        (mo.ui.dropdown({"a": 1, "b": 2}, value="a"), [1, 2]),
        (mo.ui.radio(["yes", "no"]), ["yes", "no"]),
        (mo.ui.multiselect(["a", "b"]), [[], ["a", "b"]]),
        (mo.ui.switch(True), [False]),
        (mo.ui.checkbox(False), [True]),
        (mo.ui.tabs({"one": "1", "two": "2"}), ["one", "two"]),
        (mo.ui.button(value=0), [1]),
        (mo.ui.run_button(), [True]),
        (mo.ui.array([mo.ui.switch(), mo.ui.slider(0, 2)]), [[True, 0], [True, 2]]),
        (mo.ui.form(mo.ui.slider(4, 9)), [4]),
        (mo.ui.file(), []),
        ("no control", []),
    ],
    ids=lambda v: type(v).__name__,
)
def test_the_values_tried_are_the_limits(control, values):
    assert [other.value for other in other_values(control)] == values


def _slider(kind: Any, control: Any, value: Any) -> Any:
    if control.steps is not None:
        return kind(steps=control.steps, value=value)
    return kind(control.start, control.stop, control.step, value=value)


def in_step(parts: Any) -> list[list[Any]]:
    """Several controls moved together: the first value of each, then the second, …; the shorter lists begin again."""
    every = [other_values(part) or [part] for part in parts]
    return [[values[turn % len(values)] for values in every] for turn in range(max(map(len, every), default=0))]


# ---- which controls an app has, and which of them may share a run


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
    return tuple(Cell(frozenset(a.arg for a in f.args.args), tuple(returned(f))) for f in functions)


def returned(function: ast.FunctionDef) -> Iterator[str]:
    last = function.body[-1]
    value = last.value if isinstance(last, ast.Return) else None
    return (node.id for node in (ast.walk(value) if value else ()) if isinstance(node, ast.Name))


def is_control(value: Any) -> bool:
    return bool(other_values(value))


def variants_of(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """For every cell with a control and every value: the cell's depth among controls, and all that the cell gives."""
    defs, found = standing(path)[1], []
    for cell in cells(path):
        given = {name: defs[name] for name in cell.gives if name in defs}
        moved = [name for name, value in given.items() if is_control(value)]
        for values in in_step(given[name] for name in moved):
            found.append((depth(path, cell), given | dict(zip(moved, values, strict=True))))
    return found


def depth(path: Path, cell: Cell) -> int:
    """0 where a cell follows from no control, 1 where it follows from controls at depth 0 alone, and so on."""
    before = [name for name in sources(path, cell) if is_control(standing(path)[1].get(name))]
    givers = [other for other in cells(path) if set(before) & set(other.gives)]
    return max((1 + depth(path, other) for other in givers), default=0)


def sources(path: Path, cell: Cell) -> set[str]:
    """All names that a cell reads, also through other cells."""
    names, new = set(), set(cell.reads)
    while new:
        names |= new
        new = set(chain.from_iterable(c.reads for c in cells(path) if names & set(c.gives))) - names
    return names


@cache
def runs_of(path: Path) -> tuple[dict[str, Any], ...]:
    """The overrides of every run, depth by depth."""
    variants = variants_of(path)
    return tuple(
        run for level in sorted({at for at, _ in variants}) for run in shared([v for a, v in variants if a == level])
    )


def shared(variants: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The variants in at most RUNS runs (or as many as one cell has), those of one cell in different runs."""
    most = max(sum(other.keys() == variant.keys() for other in variants) for variant in variants)
    count = min(len(variants), max(RUNS, most))
    runs = [dict(chain.from_iterable(v.items() for v in variants[turn::count])) for turn in range(count)]
    assert sum(map(len, variants)) == sum(map(len, runs)), "two values of one control met in a run"
    return runs


def test_a_run_is_shared_only_when_there_are_many():
    few = [{"a": 1}, {"a": 2}, {"b": 1}]
    assert shared(few) == few
    many = [{name: value} for name in "abcde" for value in range(3)]
    runs = shared(many)
    assert len(runs) == RUNS
    assert {(name, value) for run in runs for name, value in run.items()} == {next(iter(v.items())) for v in many}
    assert len(shared([{"a": value} for value in range(30)])) == 30
