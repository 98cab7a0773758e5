"""A Markov chain's own numbers, and two ways to read one path out of q.

Reference for decoding: Rabiner (1989), Proc. IEEE 77, 257-286, section III.B.
"""

from collections.abc import Sequence

import numpy as np

from emcore.charts.grammar import Json, as_given, as_text, calculate, layer, look_up, now, quantitative, titled
from emcore.charts.heading import heading
from emcore.charts.lattice import time_axis
from emcore.charts.packed import shown_responsibilities
from emcore.charts.picture import Picture
from emcore.charts.scene import Panel, Scene, scene_of
from emcore.charts.theme import BLACK, COMPONENT_COLOURS, COMPONENT_SHAPES, GREY, PURPLE
from emcore.trace import Trace

_DARK = 0.55  # probability from which the number in a cell is white


def transitions(
    trace: Trace, *, width: int | str = 320, height: int = 240, frames: int = 60, half_step: int = 0
) -> Picture:
    """The start (first row) and transition probabilities at each half-step, from row to column, as shades and numbers.

    ValueError where the params have no `start` and `transitions`.
    """
    scene = scene_of(trace, frames)
    first = trace[0].params
    if not (hasattr(first, "start") and hasattr(first, "transitions")):
        raise ValueError(f"params of {type(trace.model).__name__} have no start and transitions")
    fill = quantitative("p", scale={"domain": [0, 1], "range": ["white", BLACK]}, legend=None)
    x: Json = {"field": "to", "type": "ordinal", "title": "to state", "axis": {"labelAngle": 0, "orient": "bottom"}}
    y: Json = {"field": "from", "type": "ordinal", "title": "from"}
    y["axis"] = {"labelExpr": "datum.value < 0 ? 'start' : datum.value"}
    ink = {"condition": {"test": f"datum.p > {_DARK}", "value": "white"}, "value": BLACK}
    tips = [quantitative("p", "probability", format=".6g")]
    number = {"x": x, "y": y, "text": as_text("p") | {"format": ".3f", "type": "quantitative"}, "color": ink}
    layers = [
        *heading(scene, width),
        layer("rect", {"x": x, "y": y, "fill": fill, "tooltip": tips}, now(), data="moves", stroke="#CCCCCC"),
        layer("text", number, now(), data="moves", baseline="middle", tooltip=None),
    ]
    stay = ", ".join(f"{value:.3g}" for value in np.diag(trace[-1].params.transitions))
    sentence = f"Transition probabilities, for {scene.subject()}. At the end the states stay with probability {stay}."
    spec = {"width": width, "height": height, "layer": layers} | titled("Start and transitions")
    return scene.picture(Panel(spec, {"moves": _moves(scene)}), half_step, sentence)


def _moves(scene: Scene) -> list[Json]:
    """Per half-step, row (-1 is the start) and column: a probability."""
    table = []
    for place, index in enumerate(scene.shown):
        params = scene.trace[int(index)].params
        rows = np.vstack([params.start, params.transitions])
        table += [{"half_step": place, "from": i - 1, "to": j, "p": float(p)} for (i, j), p in np.ndenumerate(rows)]
    return table


def decoding(
    trace: Trace,
    paths: np.ndarray,
    times: Sequence[int] | np.ndarray,
    *,
    truth: np.ndarray | None = None,
    time_title: str = "step",
    width: int | str = 640,
    height: int = 200,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """The one most probable path (line) against the likeliest state of each step (points) under q.

    They answer different questions; where they differ, a purple ring. `paths` (iterations, t) are the modes of each
    iteration's q. `truth` (t,) are the states that made the data, in the labels of this run: a broad grey line.
    """
    scene = scene_of(trace, frames)
    iterations = scene.halves["iteration"][-1]
    if paths.shape != (iterations, scene.n_rows) or len(times) != scene.n_rows:
        raise ValueError(f"paths must have the shape (iterations, t) = {(iterations, scene.n_rows)}, not {paths.shape}")
    chosen = paths[[scene.halves["iteration"][i] - 1 for i in scene.shown]][:, scene.rows]
    likeliest = shown_responsibilities(scene).argmax(axis=2)
    steps = [{"i": i, "t": int(times[row])} for i, row in enumerate(scene.rows)]
    if truth is not None:
        steps = [step | {"truth": int(truth[row])} for step, row in zip(steps, scene.rows, strict=True)]
    tables = {
        "steps": steps,
        "decoded": [
            {"half_step": place, "path": path.tolist(), "likeliest": states.tolist()}
            for place, (path, states) in enumerate(zip(chosen, likeliest, strict=True))
        ],
        "states": [{"state": state} for state in range(scene.n_components)],
    }
    layers = [*heading(scene, width, rows=True), *_decoding_layers(times, time_title, truth is not None)]
    spec = {"width": width, "height": height, "layer": layers}
    title = titled("Path (line), states (points)")
    differ = int((chosen[-1] != likeliest[-1]).sum())
    sentence = f"Two ways to decode, for {scene.subject()}. At the end they differ at {differ} of {len(steps)} steps."
    return scene.picture(Panel(spec | title, tables), half_step, sentence)


def _decoding_layers(times: Sequence[int] | np.ndarray, time_title: str, known: bool) -> list[Json]:
    x = time_axis(times, time_title)
    axis = {"labelExpr": "datum.value % 1 ? '' : datum.value", "ticks": False, "grid": False}  # states are whole
    y = quantitative("state", "state", scale={"reverse": True, "nice": False, "zero": False, "padding": 22}, axis=axis)
    found = [
        *look_up("decoded", "path", "likeliest"),
        calculate("datum.path[datum.i]", "path_state"),
        calculate("datum.likeliest[datum.i]", "marginal_state"),
    ]
    look = [
        calculate(f"{list(COMPONENT_COLOURS)}[datum.marginal_state % 8]", "colour"),
        calculate(f"{list(COMPONENT_SHAPES)}[datum.marginal_state % 8]", "shape"),
    ]
    tips = [
        quantitative("t", time_title),
        quantitative("path_state", "on the most probable path"),
        quantitative("marginal_state", "likeliest at this step"),
    ]
    differ = {"filter": "datum.path_state != datum.marginal_state"}
    dot = {"fill": as_given("colour"), "shape": as_given("shape"), "tooltip": tips}
    ring = {"filled": False, "shape": "circle", "size": 260, "stroke": PURPLE, "strokeWidth": 3, "tooltip": None}
    on_path = {"x": x, "y": y | {"field": "path_state"}}
    marginal = {"x": x, "y": y | {"field": "marginal_state"}}
    true_line = {"color": GREY, "strokeWidth": 6, "opacity": 0.35, "interpolate": "step", "tooltip": None}
    truth = [layer("line", {"x": x, "y": y | {"field": "truth"}}, data="steps", **true_line)] if known else []
    return [
        layer("point", {"y": y}, data="states", opacity=0, tooltip=None),  # holds the axis still
        *truth,
        layer("line", on_path, *found, data="steps", color=BLACK, strokeWidth=1.6, interpolate="step", tooltip=None),
        layer("point", marginal | dot, *found, *look, data="steps", size=34, stroke=GREY, strokeWidth=0.5, opacity=1),
        layer("point", marginal, *found, differ, data="steps", **ring),
    ]
