"""A saddle left behind, a spike, the line between two names of one fit, and annealing: four small curves."""

from collections.abc import Mapping, Sequence

import numpy as np

from emcore.charts.decades import POWERS, decades
from emcore.charts.grammar import Json, as_text, layer, quantitative, titled
from emcore.charts.picture import Picture
from emcore.charts.scene import plain
from emcore.charts.theme import BLACK, BLUE, GREEN, GREY, LABEL_SIZE, VERMILLION


def _whole() -> Json:
    return {"tickMinStep": 1, "tickCount": 5, "grid": False, "format": "d"}


def escape(
    apart: Mapping[float, np.ndarray], chosen: float, limit: float, *, width: int | str = 480, height: int = 300
) -> Picture:
    """The distance from a saddle after every iteration, by size of the nudge, on a log axis; `chosen` stands out.

    `limit`: the distance that counts as separated. A distance of 0 (no nudge) is nowhere on a log axis.
    """
    rows = [
        {"nudge": nudge, "iteration": t, "apart": float(value), "chosen": nudge == chosen}
        for nudge, values in apart.items()
        for t, value in enumerate(values)
        if value > 0
    ]
    at = {
        "x": quantitative("iteration", "iteration", axis=_whole()),
        "y": decades("distance from the saddle", "apart", domain=[1e-7, 1.0]),
    }
    each = at | {"detail": {"field": "nudge", "type": "nominal"}}
    mine = {"filter": "datum.chosen"}
    tips = [quantitative("iteration", "iteration"), quantitative("apart", "apart", format=".4g")]
    layers = [
        layer("rule", {"y": at["y"] | {"field": "limit"}}, data="limit", color=GREEN, strokeDash=[6, 4], tooltip=None),
        layer("line", each, data="apart", color=GREY, opacity=0.6, strokeWidth=1.5, clip=True, tooltip=None),
        layer("line", each, mine, data="apart", color=BLUE, strokeWidth=3, clip=True, tooltip=None),
        layer("point", at | {"tooltip": tips}, mine, data="apart", shape="square", filled=True, color=BLUE, size=40),
    ]
    said = f"Distance from the saddle by iteration for nudges {', '.join(f'{nudge:g}' for nudge in apart)}."
    spec = {"width": width, "height": height, "layer": layers, "description": said}
    return Picture(
        spec | titled("A nudge grows by a constant factor", width), {"apart": rows, "limit": [{"limit": limit}]}
    )


def spike(
    sd: np.ndarray,
    log_likelihood: np.ndarray,
    interior: float,
    path_sd: np.ndarray,
    path: np.ndarray,
    *,
    width: int | str = 480,
    height: int = 300,
) -> Picture:
    """log p(x) as one component shrinks onto a row (log axis, narrower to the right), and EM's own path (squares)."""
    curve = [{"sd": float(s), "value": plain(float(v))} for s, v in zip(sd, log_likelihood)]
    steps = [{"sd": float(s), "value": plain(float(v)), "iteration": t} for t, (s, v) in enumerate(zip(path_sd, path))]
    domain = [float(sd.min()), float(sd.max())]
    axis = {"tickCount": 6, "labelExpr": POWERS, "grid": False}
    scale = {"type": "log", "nice": False, "reverse": True, "domain": domain}
    at = {
        "x": quantitative("sd", "sd of the pinned component: narrower →", scale=scale, axis=axis),
        "y": quantitative("value", "log p(x), nats", scale={"zero": False}, axis={"tickCount": 6}),
    }
    tips = [
        quantitative("iteration", "iteration"),
        quantitative("sd", "sd", format=".3g"),
        quantitative("value", "log p(x)", format=",.4f"),
    ]
    words = {"align": "right", "x": "width", "dx": -6, "dy": 14, "fontWeight": "bold", "tooltip": None}
    height_of_best = {"y": at["y"] | {"field": "value"}}
    layers = [
        layer("line", at, data="curve", color=BLACK, strokeWidth=2.5, tooltip=None),
        layer("rule", height_of_best, data="best", color=GREEN, strokeWidth=2, strokeDash=[6, 4], tooltip=None),
        layer("text", height_of_best | {"text": as_text("label")}, data="best", fontSize=LABEL_SIZE, **words),
        layer("line", at | {"order": {"field": "iteration"}}, data="path", color=BLUE, strokeWidth=2, clip=True),
        layer(
            "point", at | {"tooltip": tips}, data="path", shape="square", filled=True, color=BLUE, size=70, opacity=1
        ),
    ]
    said = (
        f"log p(x) as one component shrinks: from {log_likelihood[-1]:,.2f} at sd {sd[-1]:.2g} to "
        f"{log_likelihood[0]:,.2f} at {sd[0]:.2g}; the best sound fit has {interior:,.3f}."
    )
    spec = {"width": width, "height": height, "layer": layers, "description": said}
    best = [{"value": float(interior), "label": f"best sound fit {interior:,.2f}"}]
    return Picture(spec | titled("The spike rises for ever", width), {"curve": curve, "path": steps, "best": best})


def between(
    lines: Sequence[tuple[str, np.ndarray]], grid: np.ndarray, *, width: int | str = 480, height: int = 300
) -> Picture:
    """log p(x) on straight lines from a fit (0) to the same fit with its components renamed (1)."""
    rows = [
        {"order": name, "t": float(t), "value": plain(float(v))} for name, values in lines for t, v in zip(grid, values)
    ]
    at = {
        "x": quantitative(
            "t", "0: the fit · 1: its components renamed", scale={"domain": [0, 1]}, axis={"tickCount": 5}
        ),
        "y": quantitative("value", "log p(x), nats", scale={"zero": False}, axis={"tickCount": 6}),
    }
    each = at | {"detail": {"field": "order", "type": "nominal"}}
    tips = [as_text("order"), quantitative("value", "log p(x)", format=",.3f")]
    ends, middle = {"filter": "datum.t == 0 || datum.t == 1"}, {"filter": "abs(datum.t - 0.5) < 1e-9"}
    dot = {"filled": True, "size": 120, "opacity": 1}
    layers = [
        layer("line", each | {"tooltip": tips}, data="lines", color=BLACK, strokeWidth=2),
        layer("point", at | {"tooltip": tips}, ends, data="lines", color=BLUE, shape="square", **dot),
        layer("point", at | {"tooltip": tips}, middle, data="lines", color=VERMILLION, shape="diamond", **dot),
    ]
    lowest = min(float(values[len(grid) // 2]) for _, values in lines)
    top = float(lines[0][1][0])
    said = f"{len(lines)} lines from a fit to its renamings: {top:,.3f} at the ends, down to {lowest:,.2f} midway."
    spec = {"width": width, "height": height, "layer": layers, "description": said}
    return Picture(spec | titled("Equal ends, a worse middle", width), {"lines": rows})


def annealing(
    plain_run: np.ndarray, runs: np.ndarray, top: float, warm: int, *, width: int | str = 480, height: int = 300
) -> Picture:
    """log p(x) by iteration: plain EM (grey, dashed), annealed runs (s, t) from its start; shaded while β < 1."""
    rows = [{"run": "plain", "iteration": t, "value": plain(float(v))} for t, v in enumerate(plain_run)]
    rows += [
        {"run": str(seed), "iteration": t, "value": plain(float(v))}
        for seed, values in enumerate(runs)
        for t, v in enumerate(values)
    ]
    low = float(min(plain_run[0], plain_run[-1])) - 6.0
    scale = {"domain": [low, top + 3.0], "zero": False, "nice": False}
    at = {
        "x": quantitative("iteration", "iteration", axis=_whole(), scale={"nice": False}),
        "y": quantitative("value", "log p(x), nats", scale=scale, axis={"tickCount": 6}),
    }
    each = at | {"detail": {"field": "run", "type": "nominal"}}
    tempered, bare = {"filter": "datum.run !== 'plain'"}, {"filter": "datum.run === 'plain'"}
    words = {"align": "left", "x": 6, "dy": -9, "fontSize": LABEL_SIZE, "color": BLACK, "tooltip": None}
    height_of_top = {"y": at["y"] | {"field": "top"}}
    line = {"clip": True, "tooltip": None}
    layers = [
        layer(
            "rect",
            {"x": at["x"] | {"field": "from"}, "x2": {"field": "to"}},
            data="marks",
            color="#F3E9D8",
            tooltip=None,
        ),
        layer("rule", height_of_top, data="marks", color=GREEN, strokeWidth=2, strokeDash=[6, 4], tooltip=None),
        layer("text", height_of_top | {"text": as_text("label")}, data="marks", fontWeight="bold", **words),
        layer("line", each, bare, data="runs", color=GREY, strokeWidth=3, strokeDash=[8, 4], **line),
        layer("line", each, tempered, data="runs", color=VERMILLION, strokeWidth=2, opacity=0.8, **line),
    ]
    marks = [{"from": 0, "to": warm, "top": float(top), "label": f"top {top:,.2f}"}]
    said = (
        f"Plain EM ends at {plain_run[-1]:,.3f}, {len(runs)} annealed runs between {runs[:, -1].min():,.3f} and "
        f"{runs[:, -1].max():,.3f}; the top is {top:,.3f}."
    )
    spec = {"width": width, "height": height, "layer": layers, "description": said}
    title = titled("Annealed solid, plain EM dashed", width)
    return Picture(spec | title, {"runs": rows, "marks": marks})
