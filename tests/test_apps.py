"""Every app runs without a browser, with its controls as they are and at their limits, and is ready for the gallery.

Covered, for each file apps/NN_*.py: one run as it stands, and runs in which controls are moved so that each value that
`app_controls` lists for a control, and each pair of such values of two controls, is in a run (see `app_runs`).

A run must raise nothing, and show a picture or a callout.
"""

import ast
import struct
import tomllib
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path
from typing import Any

import marimo as mo
import pytest

from emcore.charts.live import LiveChart
from tests.app_controls import FAR, copies
from tests.app_runs import Run, app_of, charts, close, controls_of, followers, runs_of, standing
from tests.covering import covering

APPS = tuple(sorted((Path(__file__).parents[1] / "apps").glob("*.py")))


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


# ---- what an app leaves to the package (what it may import: test_layers)

# Numbers made from data, and marks made from numbers. `+` joins words and lists, and counts presses.
ARITHMETIC = (ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.MatMult)
REDUCTIONS = frozenset({"sum", "mean", "std", "var", "prod", "dot", "argmax", "argmin", "cumsum", "exp", "log", "sqrt"})
CHART_WORDS = frozenset({"mark", "encoding", "hconcat", "vconcat", "$schema"})
AS_IT_IS = frozenset({"rows.n * copies.value"})  # how many rows are fitted, handed to a picture


@pytest.mark.parametrize("path", APPS, ids=lambda path: path.stem)
def test_an_app_computes_nothing_and_builds_no_chart(path):
    found = set(computed(path.read_text("utf-8"))) - AS_IT_IS
    assert not found, f"{path.name} does the work of the package: {sorted(found)}"


def computed(source: str) -> Iterator[str]:
    """Arithmetic, reductions and parts of chart specifications in a program."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.BinOp() | ast.AugAssign() if isinstance(node.op, ARITHMETIC):
                yield ast.unparse(node)
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)) if name in REDUCTIONS:
                yield ast.unparse(node)
            case ast.Dict() if CHART_WORDS & {key.value for key in node.keys if isinstance(key, ast.Constant)}:
                yield ast.unparse(node)


def test_computing_is_told_from_words():
    assert not list(computed('a = [1] + [2]; b = {"k": 1} | {"data": 2}; c = f"{a[-1]:.3f}"; d = presses + 1'))
    for work in ("2 * x", "x.mean()", "sum(x)", "x @ y", "x - y", "{'mark': 'line'}"):
        assert list(computed(work)) == [work]
    assert list(computed("x /= 2")) == ["x /= 2"]


# ---- the runs


@pytest.mark.parametrize("path", APPS, ids=lambda path: path.stem)
def test_an_app_runs_as_it_stands(path):
    outputs, defs = standing(path)
    assert drawn(defs), "no picture"
    assert not [html for html in map(as_text, outputs) if "marimo-error" in html or "Traceback" in html]
    assert controls_of(path, defs), "no controls were found"


@pytest.mark.parametrize("path", APPS, ids=lambda path: path.stem)
def test_an_app_stands_every_pair_of_values_of_its_controls(path):
    failed = failures(path)
    assert not failed, f"{path.name} with\n" + "\n".join(failed)


def failures(path: Path) -> list[str]:
    """What is wrong with the runs, each time with the fewest controls moved."""
    complaints = ((run, complaint(path, run)) for run in runs_of(path))
    return sorted({smallest(path, run, words) for run, words in complaints if words})


def complaint(path: Path, run: Run) -> str:
    """What is wrong with a run, or nothing."""
    try:
        outputs, defs = app_of(path).run(defs=run.overrides())
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    shown = drawn(defs) or any(map(has_callout, outputs))
    close(defs)
    return "" if shown else "neither a picture nor a callout"


def smallest(path: Path, run: Run, words: str) -> str:
    """A complaint with the fewest controls moved that still give cause to one: a pair, or a single value."""
    for name in list(run.moved):
        if fewer := complaint(path, run.without(name)):
            run, words = run.without(name), fewer
    return f"{run.words()}: {words}"


def as_text(output: Any) -> str:
    return "" if output is None else mo.as_html(output).text


def has_callout(output: Any) -> bool:
    return "marimo-callout" in as_text(output)


def drawn(defs: Any) -> list[LiveChart]:
    """The charts of a run that show something."""
    return [chart for chart in charts(defs) if chart.get_state(["shell"])["shell"]]


# ---- what makes the runs


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
        (mo.ui.switch(True), [False, True]),
        (mo.ui.checkbox(False), [False, True]),
        (mo.ui.tabs({"one": "1", "two": "2"}), ["one", "two"]),
        (mo.ui.button(value=0), [0, 1]),
        (mo.ui.run_button(), [False, True]),
        (mo.ui.array([mo.ui.switch(), mo.ui.slider(0, 2)]), [[False, 0], [True, 2]]),
        (mo.ui.form(mo.ui.slider(4, 9)), [4]),
        (mo.ui.file(), []),
        ("no control", []),
    ],
    ids=lambda v: type(v).__name__,
)
def test_the_values_tried_are_the_limits(control, values):
    assert [other.value for other in copies(control)] == values


@pytest.mark.parametrize("apart", [frozenset(), frozenset({frozenset("ab"), frozenset("ce")})])
def test_all_pairs_meet_but_those_kept_apart(apart):
    sizes = {"a": 4, "b": 3, "c": 2, "d": 1, "e": 5}
    rows = covering(sizes, apart)
    met = {frozenset(pair) for row in rows for pair in combinations(row.items(), 2)}
    wanted = {
        frozenset(((one, i), (other, j)))
        for one, other in combinations(sizes, 2)
        if frozenset((one, other)) not in apart
        for i, j in product(range(sizes[one]), range(sizes[other]))
    }
    assert met == wanted
    if not apart:
        assert 20 <= len(rows) <= 24, "a and e alone need 20 rows, all combinations 120"


def test_a_value_without_a_partner_has_a_row():
    assert covering({"a": 3}) == [{"a": 0}, {"a": 1}, {"a": 2}]
    assert {frozenset(row.items()) for row in covering({"a": 1, "b": 2}, {frozenset("ab")})} == {
        frozenset({("a", 0)}),
        frozenset({("b", 0)}),
        frozenset({("b", 1)}),
    }


NOTEBOOK = """
import marimo

app = marimo.App()

with app.setup:
    import marimo as mo


@app.cell
def _():
    example = mo.ui.dropdown(["plain", "tall"], value="plain")
    return (example,)


@app.cell
def _(example):
    height = mo.ui.slider(0, 9 if example.value == "tall" else 3)
    width = mo.ui.slider(0, 5, label=example.value)
    return height, width


@app.cell
def _(height, width):
    ratio = height.value / (5 - width.value or (0 if height.value == 3 else 1))
    mo.callout(f"{ratio}")
    return (ratio,)
"""


@pytest.fixture
def notebook(tmp_path):
    path = tmp_path / "notebook.py"
    path.write_text(NOTEBOOK, "utf-8")
    return path


def test_pairs_are_tried_as_the_app_offers_them(notebook):
    assert followers(notebook) == {"example": {"height"}, "height": set(), "width": set()}, "width has the same values"
    moved = [{name: control.value for name, control in run.moved.items()} for run in runs_of(notebook)]
    for example, heights in (("plain", (0, 3)), ("tall", (0, 9))):
        assert all({"example": example, "height": height} in moved for height in heights)
    met = [run.items() for run in moved]
    assert all(any({"height": h, "width": w}.items() <= run for run in met) for h, w in product((0, 3), (0, 5)))
    assert all(any({"example": e, "width": w}.items() <= run for run in met) for e in ("plain", "tall") for w in (0, 5))
    assert not [run for run in moved if run.get("height") == 9 and run.get("example") != "tall"]


def test_a_failing_pair_is_named(notebook):
    (failed,) = failures(notebook)
    assert failed == "height = 3, width = 5: ZeroDivisionError: division by zero"
