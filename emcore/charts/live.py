"""A chart that stays on the page: only what changed travels, and the picture never blinks.

`LiveChart` keeps one Vega view. `update(chart)` compares the new chart with the one on the page: tables that
differ are sent as packed columns and swapped inside the view; a different specification is drawn out of sight
first. Range-bound parameters and draggable handles live outside the view, so their position and the
keyboard focus outlive both. Everything is served from here: no network is needed.

A notebook makes the widget in a cell that depends on no control and updates it in a cell that does:

    scatter = LiveChart(handles=[[2, 55], [4, 80]])         # cell 1: once
    view = mo.ui.anywidget(scatter); view
    starts = view.value["handles"]                          # cell 2: runs again after a drag
    scatter.update(scatter_chart(data, starts, k.value))    # cell 3: runs again after any control
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from copy import copy, deepcopy
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import anywidget
import narwhals.stable.v1 as nw
import numpy as np
import traitlets

from emcore.charts.bundle import BUNDLE
from emcore.charts.columns import pack_frame, pack_rows
from emcore.charts.picture import Picture
from emcore.trace import Trace

_STATIC = Path(__file__).parent / "static"
_SCRIPTS = ("helpers.js", "tables.js", "picture.js", "controls.js", "handles.js", "save.js", "widget.js")
_MARK = "__emcore_table__"


def _module() -> str:
    """The widget's JavaScript with Vega, Vega-Lite and vega-embed inside (gzipped: 0.9 MB becomes 0.4 MB)."""
    packed = base64.b64encode(BUNDLE.read_bytes()).decode()
    scripts = [(_STATIC / name).read_text(encoding="utf-8") for name in _SCRIPTS]
    return "\n".join([f'const LIBRARY = "{packed}";', *scripts])


class LiveSpec(NamedTuple):
    """A chart taken apart: its Vega-Lite `shell`, packed `tables`, range `controls` and `description`."""

    shell: dict[str, Any]
    tables: dict[str, dict[str, Any]]
    controls: list[dict[str, Any]]
    description: str = ""


def live_spec(chart: alt.TopLevelMixin | Mapping[str, Any]) -> LiveSpec:
    """Split a chart into its shell, its tables and its range controls.

    Tables are named by their own name when they have one, else `table_0`, `table_1`, ... in the order in which
    they appear, so that the same drawing code over other numbers gives the same shell. A table is
    `{"length": n, "columns": {name: packed}}`, see `columns.pack`. Values that are not finite become null.
    """
    frames: dict[int, tuple[str, Any]] = {}
    datasets: Mapping[str, Sequence[Any]]
    said = None
    if isinstance(chart, Picture):
        spec = chart.shell()
        datasets, said = chart.tables, json.dumps(spec)  # a table may serve many charts: this one's columns travel
    elif isinstance(chart, Mapping):  # somebody's own
        spec = deepcopy({key: value for key, value in chart.items() if key != "datasets"})
        datasets = chart.get("datasets", {})
    else:
        spec = _without_frames(chart, frames).to_dict()
        datasets = spec.pop("datasets", {})
    tables = {name: pack_frame(frame) for name, frame in frames.values()}
    named: dict[str, str] = {}
    for name, rows in datasets.items():
        if rows and isinstance(rows[0], dict) and _MARK in rows[0]:
            named[name] = rows[0][_MARK]
            continue
        named[name] = f"table_{len(tables)}" if name.startswith("data-") else name
        tables[named[name]] = pack_rows(rows, said)
    for data in list(_data_sources(spec)):
        if "values" in data:
            name = data.setdefault("name", f"table_{len(tables)}")
            tables[name] = pack_rows(data.pop("values"))
        elif "name" in data:
            data["name"] = named.get(data["name"], data["name"])
        elif "@file" in data.get("url", ""):
            raise ValueError(
                'a data transformer replaced a table by a file: call alt.data_transformers.enable("default")'
            )
    description = spec.pop("description", "")
    return LiveSpec(spec, tables, _take_controls(spec), description)


def _without_frames(chart: Any, frames: dict[int, tuple[str, Any]]) -> Any:
    """A shallow copy of the chart with each frame cut to one marked row (types are still inferred from it)."""
    chart = copy(chart) if isinstance(chart, alt.LookupData) else chart.copy(deep=False)
    data = getattr(chart, "data", alt.Undefined)
    native = nw.from_native(data, pass_through=True, eager_only=True)
    if isinstance(native, nw.DataFrame):
        name, _ = frames.setdefault(id(data), (f"table_{len(frames)}", native))
        chart.data = _marked_row(native, name)
    for key in ("layer", "hconcat", "vconcat", "concat"):
        if isinstance(parts := getattr(chart, key, None), list):
            chart[key] = [_without_frames(part, frames) for part in parts]
    if isinstance(spec := getattr(chart, "spec", None), alt.TopLevelMixin):
        chart["spec"] = _without_frames(spec, frames)
    if isinstance(steps := getattr(chart, "transform", None), list):
        chart["transform"] = [_lookup_without_frames(step, frames) for step in steps]
    return chart


def _lookup_without_frames(step: Any, frames: dict[int, tuple[str, Any]]) -> Any:
    if not isinstance(step, alt.LookupTransform) or not isinstance(step["from"], alt.LookupData):
        return step
    step = step.copy(deep=False)
    step["from"] = _without_frames(step["from"], frames)
    return step


def _marked_row(frame: nw.DataFrame[Any], name: str) -> Any:
    row = frame.head(1)
    if not len(row):
        nulls = {column: [None] for column in frame.columns}
        row = nw.from_dict(nulls, schema=frame.schema, backend=frame.implementation)
    return row.with_columns(nw.lit(name).alias(_MARK)).to_native()


def _data_sources(spec: Any) -> Iterable[dict[str, Any]]:
    """Every data definition inside a Vega-Lite specification, in document order."""
    if isinstance(spec, dict):
        if isinstance(spec.get("data"), dict):
            yield spec["data"]
        for key, value in spec.items():
            if key != "data":
                yield from _data_sources(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from _data_sources(value)


def _take_controls(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Move range bindings of top-level parameters out of the shell: a longer trace is then only data."""
    controls = []
    for param in spec.get("params", []):
        bind = param.get("bind")
        if isinstance(bind, dict) and bind.get("input") == "range" and "select" not in param:
            lo, hi = bind.get("min", 0), bind.get("max", 100)
            label = (bind.get("name") or param["name"]).strip().rstrip(":")
            value, step = param.get("value", lo), bind.get("step", 1)
            place = {"min": lo, "max": hi, "step": step, "value": value}
            controls.append({"name": param["name"], "label": label} | place)
            del param["bind"]
            param["value"] = 0
    return controls


def _accept_handles(value: Any, widget: LiveChart) -> list[list[float]]:
    """What the page sends late, for another number of handles, or unsound, changes nothing."""
    try:
        points = _points(value)
    except (TypeError, ValueError):
        return widget.handles
    return points if [*map(len, points)] == [*map(len, widget.handles)] else widget.handles


def _accept_params(value: Any, widget: LiveChart) -> dict[str, float]:
    sound = isinstance(value, dict) and all(type(v) in (int, float) and math.isfinite(v) for v in value.values())
    return value if sound and value.keys() == widget.params.keys() else widget.params


class LiveChart(anywidget.AnyWidget):
    """A Vega-Lite chart that is updated in place.

    handles: draggable points `[[x, y], ...]` in data coordinates over a single (or layered) view with quantitative
        x and y; `[[x], ...]` slide along the x axis. The page writes their new places back, clamped to the axes.
    handle_label: what one is called by a screen reader, "initial mean 2 at (3.1, 70)".
    height: pixels kept free before the first picture, so that the page does not jump.
    link: charts of one page with the same link move their range parameters together, on the page alone.
    quiet: show no control (for charts that follow a linked one).
    params: names of range parameters shared with Python, with a first value: `{"t": 0}`. The others stay on the page.
    """

    _esm = _module()
    _css = (_STATIC / "live.css").read_text(encoding="utf-8")

    handles: traitlets.List[list[float]] = traitlets.List().tag(sync=True, from_json=_accept_handles)
    handle_label = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int().tag(sync=True)
    link = traitlets.Unicode().tag(sync=True)
    quiet = traitlets.Bool().tag(sync=True)
    params = traitlets.Dict().tag(sync=True, from_json=_accept_params)

    def __init__(
        self,
        chart: alt.TopLevelMixin | Mapping[str, Any] | None = None,
        *,
        handles: Sequence[Sequence[float]] = (),
        handle_label: str = "initial mean",
        height: int = 320,
        link: str = "",
        quiet: bool = False,
        params: Mapping[str, float] | None = None,
    ) -> None:
        self._live = LiveSpec({}, {}, []) if chart is None else live_spec(chart)
        self._revision = 0
        super().__init__(
            handles=_points(handles),
            handle_label=handle_label,
            height=height,
            link=link,
            quiet=quiet,
            params=dict(params or {}),
        )

    def draw(
        self, picture: Callable[..., alt.TopLevelMixin], trace: Trace, **options: Hashable | np.ndarray
    ) -> list[str]:
        """`update(picture(trace, **options))`, made once for everybody who looks at this run.

        Options are hashable, or arrays, which are the same where their numbers are, or tuples of either.
        """
        key = (picture, *((name, _content(value)) for name, value in options.items()))
        return self._show(trace.once(key, lambda: live_spec(picture(trace, **options))))

    def update(self, chart: alt.TopLevelMixin | Mapping[str, Any]) -> list[str]:
        """Show another chart; returns the names of what had to be sent (the tables as `table:name`)."""
        return self._show(live_spec(chart))

    def _show(self, new: LiveSpec) -> list[str]:
        old = self._live
        sent = [f"table:{name}" for name, table in new.tables.items() if table != old.tables.get(name)]
        if new.shell != old.shell:
            sent.append("shell")
        if new.controls != old.controls:
            sent.append("controls")
        if new.tables.keys() != old.tables.keys():
            sent.append("tables")
        if new.description != old.description:
            sent.append("description")
        self._live = new
        self._revision += 1
        self.send_state([*sent, "revision"])
        return sent

    def place(self, handles: Sequence[Sequence[float]]) -> None:
        """Put the handles somewhere else, or change how many there are."""
        self.handles = _points(handles)

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """The traits, and each part of the chart under a key of its own, so that each can travel alone."""
        chart = {
            "shell": self._live.shell,
            "controls": self._live.controls,
            "tables": list(self._live.tables),
            "description": self._live.description,
            "revision": self._revision,
        } | {f"table:{name}": table for name, table in self._live.tables.items()}
        if key is None:
            return super().get_state(None, drop_defaults) | chart
        keys = [key] if isinstance(key, str) else list(key)
        traits = [name for name in keys if name not in chart]
        state = super().get_state(traits, drop_defaults) if traits else {}
        return state | {name: chart[name] for name in keys if name in chart}


def _content(option: Hashable | np.ndarray) -> Hashable:
    """What tells one option from another: of an array its numbers, by their digest."""
    if isinstance(option, tuple):
        return tuple(map(_content, option))
    if not isinstance(option, np.ndarray):
        return option
    return option.shape, option.dtype.str, blake2b(option.tobytes()).digest()


def _points(handles: Sequence[Sequence[float]]) -> list[list[float]]:
    points = [[float(value) for value in point] for point in handles]
    if any(len(point) not in (1, 2) or not all(map(math.isfinite, point)) for point in points):
        raise ValueError("handles must be [x] or [x, y] of finite numbers in the units of the axes")
    return points
