"""The architecture, held by reading the source: which module may know which, and what no module may do.

An *area* is a module or subpackage directly under `emcore`; a new one must be given its place in `MAY_KNOW`.
"""

import ast
import importlib
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]

BASE = frozenset({"numerics", "data", "trees", "parameters"})
PROTOCOL = BASE | {"divergence", "posteriors", "model"}
ALGORITHMS = frozenset(
    {"objective", "em", "trace", "esteps", "stopping", "initialise", "passes", "accelerate"}
    | {"curvature", "landscape", "lockstep", "optima", "replay", "result", "selection", "stream", "uncertainty"}
)
MODELS = frozenset({"families", "models", "genetics"})

MAY_KNOW = {
    **dict.fromkeys(BASE, BASE),
    "divergence": BASE,
    "chain": BASE | {"divergence"},  # the recursions along a Markov chain
    "posteriors": BASE | {"divergence", "chain"},
    "model": PROTOCOL,
    "families": PROTOCOL,
    "kernels": PROTOCOL | {"families"},  # a mixture's E-step and statistics in one pass over the rows
    "models": PROTOCOL
    | {"families", "kernels", "chain"}
    | {"initialise"},  # a model asks for starting values by a method's name
    "genetics": PROTOCOL | {"models"},  # ready-made models
    **dict.fromkeys(ALGORITHMS, PROTOCOL | ALGORITHMS),  # never a model or family: the protocol is all they see
    "datasets": BASE,
    "tables": PROTOCOL | ALGORITHMS,
    "uploads": BASE,
    "classroom": PROTOCOL
    | ALGORITHMS
    | MODELS
    | {"datasets", "tables", "uploads"},  # what the apps ask for; draws nothing
    "charts": PROTOCOL | ALGORITHMS | MODELS | {"datasets", "tables"},
    "export": PROTOCOL | ALGORITHMS | MODELS | {"datasets", "tables", "charts", "classroom"},
}
# Imports against that direction, made inside a function for the user's convenience, each with its reason.
EXCEPTIONS = {("trace", "tables"): "Trace.to_frame() is what a user reaches for first"}

CORE = PROTOCOL | {"families", "models", "objective", "em", "trace", "esteps", "tables", "charts"}

LAZY = {"altair", "polars", "narwhals", "pandas", "pyarrow", "marimo", "anywidget", "vl_convert"} | {
    "scipy.stats",
    "scipy.optimize",
}
# What numpy.random may be asked for; everything else there draws from one global state.
RANDOM = frozenset({"Generator", "default_rng", "SeedSequence", "BitGenerator", "PCG64", "Philox"})
# Settings that every session of a server would share.
GLOBAL_SETTINGS = ("seterr", "alt.theme", "alt.themes", "alt.data_transformers", "alt.renderers", "filterwarnings")


@dataclass
class Source:
    """One file's syntax tree, and the modules that it imports by full name."""

    name: str
    path: Path
    tree: ast.Module
    at_import: set[str] = field(default_factory=set)  # when the module is imported
    anywhere: set[str] = field(default_factory=set)  # also in functions and for type checkers

    def at(self, node: ast.AST) -> str:
        return f"{self.path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


@cache
def package() -> dict[str, Source]:
    """The sources of `emcore` by module name."""
    paths = sorted((ROOT / "emcore").rglob("*.py"))
    sources = dict(map(read, paths))
    for source in sources.values():
        note_imports(source, frozenset(sources))
    return sources


@cache
def apps() -> tuple[Source, ...]:
    found = tuple(read(path)[1] for path in sorted((ROOT / "apps").glob("*.py")))
    for source in found:
        note_imports(source, frozenset(package()))
    return found


def read(path: Path) -> tuple[str, Source]:
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return name, Source(name, path, ast.parse(path.read_text("utf-8")))


def note_imports(source: Source, modules: frozenset[str]) -> None:
    for node, deferred in import_statements(source.tree):
        targets = set(imported_modules(node, source, modules))
        source.anywhere |= targets
        source.at_import |= set() if deferred else targets


def import_statements(node: ast.AST, deferred: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Every import below `node`, and whether importing the module leaves it unexecuted."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, deferred
        function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        yield from import_statements(child, deferred or function or typing)


def imported_modules(node: ast.AST, source: Source, modules: frozenset[str]) -> Iterator[str]:
    """Full names: `from emcore import em` and, in emcore/fit.py, `from . import em` are both `emcore.em`."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        parts = source.name.split(".")
        keep = len(parts) - node.level + (source.path.name == "__init__.py")
        base = ".".join([*parts[:keep], *filter(None, [node.module])])
    for alias in node.names:
        full = f"{base}.{alias.name}"
        yield full if full in modules else base


def area(module: str) -> str:
    """`charts` for emcore.charts.theme; empty for emcore itself."""
    return module.partition(".")[2].partition(".")[0]


def top_level(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def areas() -> set[str]:
    return {area(name) for name in package()} - {""}


def test_every_area_has_a_place():
    unplaced = areas() - set(MAY_KNOW)
    assert not unplaced, f"say in MAY_KNOW what {sorted(unplaced)} may import"
    absent = CORE - areas()
    assert not absent, f"the rules below speak of modules that do not exist: {sorted(absent)}"


def test_imports_go_one_way():
    wrong = [
        f"{source.name} imports {target}"
        for name, source in package().items()
        for target in sorted(source.anywhere)
        if (here := area(name)) and target.split(".")[0] == "emcore"
        if (there := area(target)) != here and there not in MAY_KNOW.get(here, ())
        if (here, there) not in EXCEPTIONS or target in source.at_import
    ]
    assert not wrong, "against the dependency direction (see MAY_KNOW):\n" + "\n".join(wrong)


def test_exceptions_are_still_needed():
    used = {(area(name), area(target)) for name, source in package().items() for target in source.anywhere}
    assert set(EXCEPTIONS) <= used, f"no longer used: {sorted(set(EXCEPTIONS) - used)}"


def test_no_import_cycles():
    graph = {name: source.at_import & set(package()) - {name} for name, source in package().items()}
    assert any(graph.values()), "no imports inside emcore were found: the reader is broken"
    assert not (circles := cycles(graph)), f"modules that import one another in a circle: {circles}"


def test_cycles_are_found():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"a"}}
    assert cycles(graph) == [["b", "c"]]


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one module."""
    reach = {name: reachable(graph, name) for name in graph}
    found = {tuple(sorted(b for b in reach[a] if a in reach[b])) for a in graph if a in reach[a]}
    return [list(names) for names in sorted(found)]


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    stack = [start]
    while stack:
        fresh = graph[stack.pop()] - seen
        seen |= fresh
        stack.extend(fresh)
    return seen


def loaded_by(statement: str) -> set[str]:
    """Every module that a fresh interpreter has loaded after `statement`."""
    code = f"import sys; {statement}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_import_is_light():
    assert not top_level(loaded_by("import emcore")) & {"numpy", "scipy"}, "`import emcore` should load nothing yet"
    every_name = loaded_by("from emcore import *")
    assert {"emcore.em", "scipy.special"} <= every_name, "the reader is broken: these names need scipy.special"
    assert not every_name & LAZY, f"some public name loads {sorted(every_name & LAZY)}: import them in functions"


def test_the_stub_knows_the_names_that_the_package_has():
    stub = ast.parse((ROOT / "emcore" / "__init__.pyi").read_text("utf-8"))
    said = {
        alias.name: f"{node.module}.{alias.name}" if node.module == "emcore" else node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    package = importlib.import_module("emcore")
    assert said == {name: f"emcore.{home}" for name, home in package._HOMES.items()}
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'gaussian_mixture'"):
        _ = package.gaussian_mixture


def test_the_package_knows_no_notebook():
    wrong = [name for name, source in package().items() if "marimo" in top_level(source.anywhere)]
    assert not wrong, f"marimo belongs in apps/, not in {wrong}"


def test_apps_compute_nothing_and_draw_nothing():
    assert apps(), "no apps found"
    for source in apps():
        known = top_level(source.anywhere)
        assert {"emcore", "marimo"} <= known, f"{source.path.name} is no app: it imports {sorted(known)}"
        wrong = known & {"numpy", "scipy", "altair", "vl_convert", "sklearn", "pandas", "math", "statistics"}
        assert not wrong, f"{source.path.name} imports {sorted(wrong)}: computing and drawing belong in emcore"
        names = [n for n in ast.walk(source.tree) if isinstance(n, ast.Name) and n.id in ("np", "alt", "scipy")]
        assert not names, f"{source.at(names[0])} uses {names[0].id}: computing and drawing belong in emcore"


@pytest.mark.parametrize("module", sorted(package()))
def test_no_module_level_state(module):
    """Students' sessions share the modules of one process: what can be changed there is shared by all."""
    contents = vars(importlib.import_module(module))
    wrong = [name for name, value in contents.items() if not name.startswith("__") and mutable(value)]
    assert not wrong, f"{module} holds {wrong}: make it a tuple, a frozenset or a MappingProxyType"
    tree = package()[module].tree
    wrong = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Global)]
    assert not wrong, f"{module} changes its own module: {wrong}"


def mutable(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return value.flags.writeable
    return isinstance(value, list | dict | set | bytearray | deque | np.random.Generator)


def test_mutable_values_are_told():
    fixed = np.arange(2)
    fixed.flags.writeable = False
    assert not any(map(mutable, [(), frozenset(), "a", 1.0, fixed]))
    assert all(map(mutable, [[], {}, set(), np.arange(2), np.random.default_rng(0)]))


def attributes(source: Source) -> Iterator[tuple[ast.Attribute, str]]:
    """Every `a.b.c` in the source, with its text."""
    return ((n, ast.unparse(n)) for n in ast.walk(source.tree) if isinstance(n, ast.Attribute))


def test_no_global_randomness():
    for source in (*package().values(), *apps()):
        assert "random" not in top_level(source.anywhere), f"{source.name} uses Python's global random state"
        assert "numpy.random" not in source.anywhere, f"{source.name}: write np.random.default_rng, which is checked"
        for node, text in attributes(source):
            if ast.unparse(node.value) in ("np.random", "numpy.random"):
                assert node.attr in RANDOM, f"{source.at(node)} uses {text}: take a Generator or a seed"


def test_no_global_settings():
    for source in (*package().values(), *apps()):
        for node, text in attributes(source):
            wrong = text.startswith(GLOBAL_SETTINGS) or text.endswith(GLOBAL_SETTINGS)
            assert not wrong, f"{source.at(node)} changes {text}: every session in the process would share it"


def test_everything_public_says_what_it_is():
    wrong = []
    for source in package().values():
        public = [node for node in source.tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        public = [node for node in public if not node.name.startswith("_")]
        wrong += [source.at(n) for n in (source.tree, *public) if not ast.get_docstring(n) and source.tree.body]
    assert not wrong, "no docstring:\n" + "\n".join(wrong)
