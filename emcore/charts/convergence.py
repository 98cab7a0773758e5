"""How fast a run comes to its limit: errors on a log axis, estimated rates, predictions, and the information behind.

A straight line on a log axis is linear convergence; its slope is the rate, which is the share of information that is
missing. One scrubber, `frame`, is shared by the charts over EM's iterations; long runs are thinned, the first
iterations and the last always shown.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from emcore.charts.decades import decades
from emcore.charts.grammar import Json, as_text, fitting, layer, quantitative, titled
from emcore.charts.picture import Picture
from emcore.charts.theme import BLACK, BLUE, GREEN, GREY, LABEL_SIZE, PURPLE, SKY, VERMILLION

_SCHEMES = ("EM", "over-relaxed", "SQUAREM", "Anderson")
_COLOURS = (BLACK, SKY, VERMILLION, GREEN)
_DASHES = ([1, 0], [2, 2], [8, 3], [8, 3, 2, 3])
_MOST = 240  # points of a line


class Line(NamedTuple):
    """One scheme: passes over the data, and the error after them."""

    scheme: str
    evaluations: np.ndarray  # (t,)
    error: np.ndarray  # (t,)


class Mark(NamedTuple):
    """Where a stopping rule stops on EM's line."""

    label: str
    iteration: int


def kept(n: int) -> np.ndarray:
    """At most 240 of n places: every one at first, then ever fewer, the last always."""
    if n <= _MOST:
        return np.arange(n)
    dense = _MOST // 2
    return np.unique(np.r_[np.arange(dense), np.geomspace(dense, n - 1, _MOST - dense).round().astype(int)])


def error_curves(
    lines: Sequence[Line],
    marks: Sequence[Mark],
    words: Callable[[int], str],
    *,
    near: int,
    width: int | str = 520,
    height: int = 330,
) -> Picture:
    """Distance from the limit (standard errors, log axis) after every pass over the data; the first line is EM's.

    `marks`: where stopping rules would stop EM. `words`: the heading at an iteration of EM. Ticking
    "zoom" shows the first `near` passes alone.
    """
    em, frames = lines[0], kept(len(lines[0].error))
    in_order = sorted(marks, key=lambda mark: mark.iteration)
    close = {"filter": f"!zoom || datum.evaluations <= {near}"}
    now = {"filter": "datum.frame == frame"}
    at = {
        "x": quantitative("evaluations", "passes over the data", scale={"zero": False, "nice": False}, axis=_whole()),
        "y": decades("distance from the limit, standard errors", "error", domain=[1e-9, 100.0]),
    }
    tips = [as_text("scheme"), quantitative("evaluations", "passes"), quantitative("error", "distance", format=".3g")]
    look = _scheme_channels()
    name: Json = {"align": "left", "dx": 9, "dy": -9, "fontSize": LABEL_SIZE, "color": BLACK, "tooltip": None}
    name |= {"fontWeight": "bold"}
    below, halo = {"align": "right", "dx": -9, "dy": 12}, {"stroke": "white", "strokeWidth": 4}
    square: Json = {"shape": "square", "filled": True, "color": BLUE, "stroke": BLACK, "size": 170, "opacity": 1}
    above = {"align": "left", "baseline": "middle", "x": 0, "y": -16, "fontWeight": "bold", "tooltip": None}
    layers = [
        layer("line", at | look | {"tooltip": tips}, close, data="lines", strokeWidth=2.5, clip=True),
        layer("point", at, close, data="marks", shape="diamond", filled=True, color=PURPLE, size=150, opacity=1),
        *(
            layer("text", at | {"text": as_text("label")}, close, _every_other(side), data="marks", **looks | where)
            for looks in (name | halo, name)
            for side, where in enumerate(({}, below))
        ),
        layer("point", at, close, now, data="frames", tooltip=None, **square),
        layer("text", {"text": as_text("words")}, now, data="frames", fontSize=fitting(width, 370), **above),
    ]
    last = len(frames) - 1
    bind = {"input": "range", "min": 0, "max": last, "step": 1, "name": "along the run "}
    zoom = {"name": "zoom", "value": False, "bind": {"input": "checkbox", "name": "zoom in on the first passes "}}
    ends = ", ".join(f"{line.scheme} {line.error[-1]:.1g} after {int(line.evaluations[-1]):,}" for line in lines)
    spec = {
        "width": width,
        "height": height,
        "layer": layers,
        "params": [{"name": "frame", "value": min(10, last), "bind": bind}, zoom],
        "description": f"Distance from the limit in standard errors by passes over the data: {ends}.",
    }
    tables = {
        "lines": [row for line in lines for row in _line_rows(line)],
        "marks": [
            _point(em, mark.iteration) | {"label": mark.label, "number": number} for number, mark in enumerate(in_order)
        ],
        "frames": [_point(em, t) | {"frame": frame, "words": words(t)} for frame, t in enumerate(frames.tolist())],
    }
    return Picture(spec | titled("Error, log axis: straight is linear", width), tables)


def _whole() -> Json:
    return {"tickMinStep": 1, "grid": False, "format": ",d", "tickCount": 5}


def _every_other(first: int) -> Json:
    """Labels of neighbours stand on different sides of the line."""
    return {"filter": f"datum.number % 2 == {first}"}


def _key() -> Json:
    size = {"labelFontSize": LABEL_SIZE, "symbolStrokeWidth": 3, "symbolSize": 400}
    return {"orient": "bottom", "title": None, "columns": 2} | size


def _scheme_channels() -> Json:
    common = {"field": "scheme", "type": "nominal", "legend": _key()}
    names = list(_SCHEMES)
    return {
        "stroke": common | {"scale": {"domain": names, "range": list(_COLOURS)}},
        "strokeDash": common | {"scale": {"domain": names, "range": [list(dash) for dash in _DASHES]}},
    }


def _line_rows(line: Line) -> list[Json]:
    return [_point(line, t) | {"scheme": line.scheme} for t in kept(len(line.error)).tolist() if line.error[t] > 0]


def _point(line: Line, t: int) -> Json:
    return {"evaluations": int(line.evaluations[t]), "error": float(max(line.error[t], 1e-12))}


def predictions(
    true_left: np.ndarray,
    gain: np.ndarray,
    predicted_left: np.ndarray,
    *,
    width: int | str = 520,
    height: int = 220,
) -> Picture:
    """What log p(x) has still to gain after every iteration: the truth, the last gain, and Aitken's prediction."""
    series = {"still to gain": true_left, "the last gain": gain, "Aitken's prediction": predicted_left}
    frames = kept(len(true_left))
    rows = [
        {"line": name, "iteration": t, "frame": frame, "value": float(values[t])}
        for name, values in series.items()
        for frame, t in enumerate(frames.tolist())
        if np.isfinite(values[t]) and values[t] > 1e-11
    ]
    looks = zip(series, (BLACK, GREY, PURPLE), ([1, 0], [2, 2], [8, 3]))
    names, colours, dashes = (list(part) for part in zip(*looks))
    common = {"field": "line", "type": "nominal", "legend": _key()}
    at = {
        "x": quantitative("iteration", "iteration of EM", scale={"nice": False, "zero": False}, axis=_whole()),
        "y": decades("nats", "value"),
    }
    look = {
        "stroke": common | {"scale": {"domain": names, "range": colours}},
        "strokeDash": common | {"scale": {"domain": names, "range": dashes}},
    }
    tips = [as_text("line"), quantitative("iteration", "iteration"), quantitative("value", "nats", format=".3g")]
    now = {"filter": "datum.frame == frame"}
    layers = [
        layer("line", at | look | {"tooltip": tips}, data="nats", strokeWidth=2.5, clip=True),
        layer("rule", {"x": at["x"]}, now, data="nats", color=GREY, strokeWidth=1, tooltip=None),
    ]
    said = f"Nats still to gain by iteration, from {true_left[0]:.3g}; where EM is slow the last gain is far smaller."
    spec = {"width": width, "height": height, "layer": layers, "description": said, "params": [_follower(len(frames))]}
    return Picture(spec | titled("A small gain is not nearness", width), {"nats": rows})


def rates(
    ratio: np.ndarray, error: np.ndarray, true_rate: float, *, width: int | str = 520, height: int = 300
) -> Picture:
    """The rate that three iterates of EM give, after every iteration, and the share of information that is missing.

    Iterations within 1e-7 standard errors (`error`) are left out: there the ratio is rounding.
    """
    frames = kept(len(ratio))
    rows = [
        {"iteration": t, "frame": frame, "rate": float(ratio[t])}
        for frame, t in enumerate(frames.tolist())
        if np.isfinite(ratio[t]) and error[t] > 1e-7
    ]
    axis = {"tickCount": 6, "format": "~g"}
    at = {
        "x": quantitative("iteration", "iteration of EM", scale={"nice": False, "zero": False}, axis=_whole()),
        "y": quantitative("rate", "step ÷ step before", scale={"domain": [0, 1.1], "nice": False}, axis=axis),
    }
    tips = [quantitative("iteration", "iteration"), quantitative("rate", "estimate", format=".6f")]
    words = {"align": "left", "x": 6, "dy": 16, "color": BLACK, "fontWeight": "bold", "tooltip": None}
    truth = {"y": at["y"] | {"field": "rate"}}
    now = {"filter": "datum.frame == frame"}
    layers = [
        layer("rule", truth, data="truth", color=PURPLE, strokeWidth=2, strokeDash=[6, 4], tooltip=None),
        layer("text", truth | {"text": as_text("label")}, data="truth", fontSize=LABEL_SIZE, **words),
        layer("line", at, data="rates", color=BLUE, strokeWidth=1.5, clip=True, tooltip=None),
        layer(
            "point", at | {"tooltip": tips}, data="rates", shape="square", filled=True, color=BLUE, size=36, clip=True
        ),
        layer("rule", {"x": at["x"]}, now, data="rates", color=GREY, strokeWidth=1, tooltip=None),
    ]
    said = f"The estimated rate by iteration; the share of missing information is {true_rate:.6g}."
    spec = {"width": width, "height": height, "layer": layers, "description": said, "params": [_follower(len(frames))]}
    truth_row = [{"rate": float(true_rate), "label": f"share missing {true_rate:.5f}"}]
    return Picture(spec | titled("Three iterates estimate the rate", width), {"rates": rows, "truth": truth_row})


def _follower(n: int) -> Json:
    bind = {"input": "range", "min": 0, "max": n - 1, "step": 1, "name": "along the run "}
    return {"name": "frame", "value": min(10, n - 1), "bind": bind}


def information(fractions: np.ndarray, *, width: int | str = 520, height: int = 110) -> Picture:
    """Complete = observed + missing information, one bar per direction of the parameters, the slowest on top."""
    shares = np.clip(fractions[::-1], 0.0, 1.0)
    rows = []
    for number, missing in enumerate(shares.tolist()):
        name = "slowest" if number == 0 else f"direction {number}"
        for part, low, high in (("observed", 0.0, 1.0 - missing), ("missing", 1.0 - missing, 1.0)):
            rows.append({"direction": name, "part": part, "low": low, "high": high, "share": high - low})
    axis = {"format": "%", "tickCount": 5, "grid": False}
    up = {"field": "direction", "type": "nominal", "title": None, "sort": None}
    key = {"orient": "bottom", "title": None, "labelFontSize": LABEL_SIZE, "symbolType": "square"}
    parts = {"domain": ["observed", "missing"], "range": [SKY, PURPLE]}
    fill = {"field": "part", "type": "nominal", "scale": parts, "legend": key}
    at = {"x": quantitative("low", "share of complete information", scale={"domain": [0, 1]}, axis=axis), "y": up}
    tips = [as_text("direction"), as_text("part"), quantitative("share", "share", format=".4%")]
    label = {"align": "right", "dx": -6, "fontSize": LABEL_SIZE, "fontWeight": "bold", "tooltip": None}
    large = {"filter": "datum.part === 'missing' && datum.share > 0.12"}
    right = at | {"x": at["x"] | {"field": "high"}, "text": quantitative("share", format=".2%")}
    layers = [
        layer("bar", at | {"x2": {"field": "high"}, "fill": fill, "tooltip": tips}, data="shares"),
        layer("text", right, large, data="shares", **label),
    ]
    said = f"Missing shares of information by direction: {', '.join(f'{share:.2%}' for share in shares)}."
    spec = {"width": width, "height": height, "layer": layers, "description": said}
    return Picture(spec | titled("Complete = observed + missing", width), {"shares": rows})


def guard(below: Mapping[str, tuple[np.ndarray, np.ndarray]], *, width: int | str = 520, height: int = 300) -> Picture:
    """Nats below the limit by passes over the data, with and without the guard; falls are vermillion crosses.

    `below`: by name, the passes (t,) and the nats (t,).
    """
    rows = []
    for name, (evaluations, values) in below.items():
        falls = np.r_[False, np.diff(values) > 0]
        shown = zip(evaluations.tolist(), values.tolist(), falls.tolist())
        rows += [
            {"line": name, "evaluations": count, "value": value, "fell": fell}
            for count, value, fell in shown
            if np.isfinite(value) and value > 1e-11
        ]
    names = list(below)
    common = {"field": "line", "type": "nominal", "legend": _key()}
    at = {
        "x": quantitative("evaluations", "passes over the data", scale={"nice": False}, axis=_whole()),
        "y": decades("nats below the limit", "value"),
    }
    look = {
        "stroke": common | {"scale": {"domain": names, "range": [VERMILLION, GREEN]}},
        "strokeDash": common | {"scale": {"domain": names, "range": [[1, 0], [8, 3]]}},
    }
    fell = {"filter": "datum.fell"}
    cross = {"shape": "cross", "angle": 45, "filled": True, "color": VERMILLION, "size": 120, "opacity": 1}
    layers = [
        layer("line", at | look, data="below", strokeWidth=2.5, tooltip=None),
        layer("point", at, fell, data="below", tooltip=None, **cross),
    ]
    said = f"Nats below the limit by passes over the data for {' and '.join(names)}; a cross is a fall of log p(x)."
    spec = {"width": width, "height": height, "layer": layers, "description": said}
    return Picture(spec | titled("✕: the leap went down", width), {"below": rows})
