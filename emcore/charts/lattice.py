"""A hidden Markov model in time: the series in the colours of its states, and the lattice of the E-step.

Both keep one time axis, so that they can stand above one another. Tables are packed as in `packed`.
"""

from collections.abc import Sequence

import numpy as np

from emcore.charts.grammar import Json, as_given, as_text, calculate, layer, look_up, now, quantitative, titled
from emcore.charts.heading import heading
from emcore.charts.marks import coloured_rows, likeliest_component, mixed_colour, own_shares
from emcore.charts.packed import (
    centres,
    looks,
    padded,
    points_table,
    q_table,
    shown_responsibilities,
)
from emcore.charts.picture import Picture
from emcore.charts.scene import Panel, Scene, plain, scene_of
from emcore.charts.theme import BLACK, COMPONENT_COLOURS, GREY
from emcore.trace import Trace

_AXIS = 78  # pixels left of both plots, so that their times stand under one another
_STRIP = 12  # pixels of the strip of colours


def series(
    trace: Trace,
    times: Sequence[int] | np.ndarray,
    *,
    names: tuple[str, str] = ("step", "x"),
    width: int | str = 640,
    height: int = 240,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """x over time, every step in its states' colours mixed by q, with the shape of the likeliest state.

    Horizontal lines are the states' means, the black steps the mean of the likeliest state; the strip below holds the
    mixed colours alone. `times` (t,) are whole numbers, one apart; `names` the titles of time and x. For one column
    of x. ValueError where times and rows do not match.
    """
    scene = scene_of(trace, frames)
    titles = [names[1]]
    if scene.n_columns != 1:
        raise ValueError(f"a series has one column of x, but this x has {scene.n_columns}")
    probs = shown_responsibilities(scene)
    tables = {
        "points": [
            row | {"t": t} for row, t in zip(points_table(scene, (0,)), _shown_times(scene, times), strict=True)
        ],
        "q": q_table(probs),
        "levels": _levels(scene),
        "level_lists": _level_lists(scene),
    }
    layers = [*heading(scene, width, rows=True), *_series_layers(scene, times, names, titles, height)]
    spec = {"width": width, "height": height, "layer": layers} | titled(names[1])
    ends = ", ".join(f"{value:.3g}" for value in tables["level_lists"][-1]["means"])
    sentence = f"The series in the colours of its states, for {scene.subject()}. The states' means end at {ends}."
    return scene.picture(Panel(spec, tables), half_step, sentence)


def _series_layers(
    scene: Scene, times: Sequence[int] | np.ndarray, names: tuple[str, str], titles: list[str], height: int
) -> list[Json]:
    x = _time(times, names[0])
    y = quantitative("x0", scale=_room_below(scene), axis={"tickCount": 5, **_extent()})
    at = {"x": x, "y": y}
    step = [
        *own_shares(),
        *likeliest_component(),
        *look_up("level_lists", "means"),
        calculate("datum.means[datum.likeliest]", "level"),
    ]
    mixed = [*own_shares(), *mixed_colour(scene.n_components), *_cell(0.6)]
    level = {"y": y | {"field": "mean"}, "stroke": as_given("colour"), "strokeDash": as_given("dash")}
    end: Json = {"x": "width", "xOffset": -14, "tooltip": None}
    disc = {"filled": False, "fill": "white", "shape": "circle", "size": 300, "strokeWidth": 3, "opacity": 1}
    number = {"align": "center", "baseline": "middle", "fontWeight": "bold", "color": BLACK}
    tip = {"tooltip": [quantitative("component", "state"), quantitative("mean", "mean", format=".5g")]}
    cell = x | {"field": "from"}
    strip = {"y": height - _STRIP, "y2": height, "stroke": None, "tooltip": None}
    return [
        layer("rect", {"x": cell, "x2": {"field": "to"}, "fill": as_given("colour")}, *mixed, data="points", **strip),
        layer("line", at, data="points", color=GREY, strokeWidth=1, opacity=0.5, tooltip=None),
        layer("rule", level | tip, now(), data="levels", strokeWidth=2.5),
        layer(
            "line",
            at | {"y": y | {"field": "level"}},
            *step,
            data="points",
            color=BLACK,
            strokeWidth=1.2,
            interpolate="step",
            tooltip=None,
        ),
        coloured_rows(at, titles, scene.n_components),
        layer("point", {"y": level["y"], "stroke": as_given("colour")}, now(), data="levels", **disc, **end),
        layer("text", {"y": level["y"], "text": as_text("component")}, now(), data="levels", **number, **end),
    ]


def lattice(
    trace: Trace,
    filtered: np.ndarray,
    times: Sequence[int] | np.ndarray,
    *,
    time_title: str = "step",
    width: int | str = 640,
    height: int = 190,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """The E-step from inside: for every state p(z_s | x_1 … x_s), the pass forward, over q(z_s), which also looks back.

    `filtered` (iterations, t, k): the filter under the θ of each iteration's E-step; so both rows hold still while θ
    moves. A cell is as dark as it is probable, in its state's colour. ValueError where shapes do not match the trace.
    """
    scene = scene_of(trace, frames)
    k, iterations = scene.n_components, scene.halves["iteration"][-1]
    if filtered.shape != (iterations, scene.n_rows, k):
        raise ValueError(
            f"filtered must have the shape (iterations, t, k) = {(iterations, scene.n_rows, k)}, not {filtered.shape}"
        )
    smoothed = shown_responsibilities(scene)
    forward = filtered[[scene.halves["iteration"][i] - 1 for i in scene.shown]][:, scene.rows]
    shown_times = _shown_times(scene, times)
    tables = {
        "steps": [{"i": i, "t": t} for i, t in enumerate(shown_times)],
        "filtered": [{"half_step": row["half_step"], "p": row["q"]} for row in q_table(forward)],
        "q": q_table(smoothed),
        "slots": [{"slot": slot} for slot in range(2 * k)],
    }
    layers = [*heading(scene, width, rows=True), *_lattice_layers(times, time_title)]
    spec = {"width": width, "height": height, "layer": layers}
    title = titled("Filtered against smoothed")
    return scene.picture(Panel(spec | title, tables), half_step, _lattice_sentence(scene, forward, smoothed))


def _lattice_layers(times: Sequence[int] | np.ndarray, time_title: str) -> list[Json]:
    x = _time(times, time_title)
    words = "floor(datum.value / 2) + (datum.value % 2 ? ' smoothed' : ' filtered')"
    axis = {"labelExpr": words, "labelFontSize": 12, "ticks": False, "domain": False, "labelOverlap": False}
    y: Json = {"field": "slot", "type": "ordinal", "title": None, "axis": axis | _extent()}
    y["scale"] = {"paddingInner": 0.06, "paddingOuter": 0}
    cells = [
        *look_up("q", "k", "q"),
        *look_up("filtered", "p"),
        calculate("sequence(0, 2 * datum.k)", "slot"),
        {"flatten": ["slot"]},
        calculate("floor(datum.slot / 2)", "state"),
        calculate("datum.k * datum.i + datum.state", "at"),
        calculate("datum.p[datum.at] / 1000", "p_filtered"),
        calculate("datum.q[datum.at] / 1000", "p_smoothed"),
        calculate("datum.slot % 2 ? datum.p_smoothed : datum.p_filtered", "probability"),
        {"filter": "datum.probability > 0"},
        calculate(f"{list(COMPONENT_COLOURS)}[datum.state % 8]", "colour"),
        *_cell(),
    ]
    tips = [
        quantitative("t", time_title),
        quantitative("state", "state"),
        quantitative("p_filtered", "filtered"),
        quantitative("p_smoothed", "smoothed"),
    ]
    opacity = quantitative("probability", scale={"domain": [0, 1], "range": [0, 1]}, legend=None)
    rect = {"x": x | {"field": "from"}, "x2": {"field": "to"}, "y": y, "fill": as_given("colour")}
    return [
        layer("point", {"y": y}, data="slots", opacity=0, tooltip=None),  # holds every state's rows
        layer("rect", rect | {"fillOpacity": opacity, "tooltip": tips}, *cells, data="steps", stroke=None),
    ]


def _lattice_sentence(scene: Scene, forward: np.ndarray, smoothed: np.ndarray) -> str:
    apart = np.abs(forward[-1] - smoothed[-1]).max(axis=1)
    return (
        f"Filtered and smoothed probabilities of the states over time, for {scene.subject()}. At the end they differ "
        f"by more than 0.1 at {int((apart > 0.1).sum())} of {len(apart)} steps, and by {apart[-1]:.2g} at the last."
    )


def time_axis(times: Sequence[int] | np.ndarray, title: str) -> Json:
    """The x channel of every chart over time: half a step of room on both sides, whole numbers."""
    return _time(times, title)


def _time(times: Sequence[int] | np.ndarray, title: str) -> Json:
    domain = [float(times[0]) - 0.5, float(times[-1]) + 0.5]
    axis = {"format": "d", "tickMinStep": 1, "tickCount": 6, "grid": False}
    return quantitative("t", title, scale={"domain": domain, "nice": False, "zero": False}, axis=axis)


def _extent() -> Json:
    return {"minExtent": _AXIS, "maxExtent": _AXIS}


def _cell(after: float = 0.5) -> list[Json]:
    """The ends of a step's cell; opaque ones reach under their neighbour, so that no seam shows."""
    return [calculate("datum.t - 0.5", "from"), calculate(f"datum.t + {after}", "to")]


def _shown_times(scene: Scene, times: Sequence[int] | np.ndarray) -> list[int]:
    if len(times) != scene.n_rows:
        raise ValueError(f"there are {len(times)} times for {scene.n_rows} steps of x")
    return [int(times[row]) for row in scene.rows]


def _room_below(scene: Scene) -> Json:
    """A fixed axis from the data, with room for the strip under them."""
    assert scene.matrix is not None  # a series has one column
    low, high = padded(scene.matrix[:, 0])
    return {"domain": [low - 0.1 * (high - low), high], "nice": False, "zero": False}


def _levels(scene: Scene) -> list[Json]:
    """Per half-step and state: its mean and its looks."""
    return [
        {"half_step": place, "component": c, "mean": plain(float(mean)), **looks(c)}
        for place, means in enumerate(_means(scene))
        for c, mean in enumerate(means)
    ]


def _level_lists(scene: Scene) -> list[Json]:
    return [
        {"half_step": place, "means": [plain(float(mean)) for mean in means]}
        for place, means in enumerate(_means(scene))
    ]


def _means(scene: Scene) -> list[np.ndarray]:
    every = [centres(scene.trace, int(i)) for i in scene.shown]
    return [np.zeros(0) if means is None else means[:, 0] for means in every]
