"""A log-likelihood as a map with EM's path on it, and the places where many starts end.

Shades are steps of height like the contour lines of a map: white is the summit, and each darker shade lies below it by
the nats of the key. M-steps are blue squares, as everywhere.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from emcore.charts.grammar import Json, as_given, as_text, fitting, layer, quantitative, titled
from emcore.charts.packed import Domain
from emcore.charts.picture import Picture
from emcore.charts.theme import BLACK, BLUE, GREEN, GREY, LABEL_SIZE, ORANGE, PURPLE, SKY, VERMILLION
from emcore.optima import Multistart

LEVELS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # nats below the summit at which the shade changes
_SHADES = ("#FFFFFF", "#F1F1F1", "#E4E4E4", "#D6D6D6", "#C7C7C7", "#B7B7B7", "#A6A6A6", "#949494")
_BANDS = (*(f"< {level:g}" for level in LEVELS), f"> {LEVELS[-1]:g}")
_FINE = 180  # cells of the drawn map in either direction, between which heights are interpolated
_SUMMIT_COLOURS = (GREEN, ORANGE, PURPLE, SKY)
_SUMMIT_SHAPES = ("circle", "triangle-up", "diamond", "cross")


def landscape(
    across: np.ndarray,
    up: np.ndarray,
    log_likelihood: np.ndarray,
    path: np.ndarray,
    values: np.ndarray,
    *,
    titles: Sequence[str],
    domain: Domain,
    starts: np.ndarray | None = None,
    ends: np.ndarray | None = None,
    width: int | str = 480,
    height: int = 400,
) -> Picture:
    """log p(x) (len(up), len(across)) over two numbers, with EM's `path` (t, 2) and its `values` (t,) in nats.

    `starts` (s, 2) and `ends` (s,): other starts, with the number of the summit that each reaches (0 the highest).
    One scrubber, `iteration`; what comes after it is faint.
    """
    at = _plane(titles, domain)
    now = {"filter": "datum.iteration == iteration"}
    so_far = {"filter": "datum.iteration <= iteration"}
    order = {"order": {"field": "iteration", "type": "quantitative"}}
    tips = [as_text("title") | {"title": "at"}, *(quantitative(c, t, format=".6g") for c, t in zip("xy", titles))]
    square: Json = {"shape": "square", "filled": True, "color": BLUE, "clip": True}
    words = {"x": 0, "y": -16, "align": "left", "baseline": "middle", "fontWeight": "bold", "tooltip": None}
    layers = [
        _shade_layer(at),
        *_basin_layers(at),
        layer("line", at | order, data="path", color=BLUE, opacity=0.4, strokeWidth=2, clip=True, tooltip=None),
        layer("line", at | order, so_far, data="path", color=BLUE, strokeWidth=3, clip=True, tooltip=None),
        layer("point", at | {"tooltip": tips}, so_far, data="path", size=45, opacity=1, **square),
        layer("point", at, now, data="path", size=190, opacity=1, stroke=BLACK, **square, tooltip=None),
        layer("text", {"text": as_text("title")}, now, data="path", fontSize=fitting(width, 370), **words),
    ]
    last = len(path) - 1
    bind = {"input": "range", "min": 0, "max": last, "step": 1, "name": "iteration "}
    spec = {
        "width": width,
        "height": height,
        "layer": layers,
        "params": [{"name": "iteration", "value": last, "bind": bind}],
        "description": _in_words(path, values, titles),
    }
    tables = {
        "land": _runs(across, up, log_likelihood, domain),
        "path": _path_table(path, values),
        "starts": _starts_table(starts, ends),
    }
    return Picture(spec | titled("log p(x): white is the summit", width), tables)


def _in_words(path: np.ndarray, values: np.ndarray, titles: Sequence[str]) -> str:
    (a, b), (c, d) = path[0], path[-1]
    return (
        f"Map of the log-likelihood over {titles[0]} and {titles[1]}. EM goes from ({a:.4g}, {b:.4g}) to "
        f"({c:.4g}, {d:.4g}) in {len(path) - 1} iterations, from {values[0]:,.4f} to {values[-1]:,.4f} nats."
    )


def _plane(titles: Sequence[str], domain: Domain) -> Json:
    channels = {}
    for name, title, limits in zip("xy", titles, domain, strict=True):
        scale = {"domain": list(limits), "nice": False, "zero": False}
        channels[name] = quantitative(name, title, scale=scale, axis={"tickCount": 6, "grid": False})
    return channels


def _shade_layer(at: Json) -> Json:
    legend = {
        "orient": "bottom",
        "title": "nats below the summit",
        "titleFontSize": LABEL_SIZE,
        "labelFontSize": LABEL_SIZE,
        "symbolType": "square",
        "symbolSize": 180,
        "symbolStrokeColor": GREY,
        "symbolStrokeWidth": 1,
        "columns": 4,
        "columnPadding": 14,
    }
    shade = {"field": "below", "type": "nominal", "scale": {"domain": list(_BANDS), "range": list(_SHADES)}}
    channels = at | {"x2": {"field": "x2"}, "y2": {"field": "y2"}, "fill": shade | {"legend": legend}}
    return layer("rect", channels, data="land", clip=True, tooltip=None)


def _runs(across: np.ndarray, up: np.ndarray, log_likelihood: np.ndarray, domain: Domain) -> list[Json]:
    """Rows of the map as runs of one shade, fewer marks than cells would be; they overlap, so that no seam shows."""
    fine = [np.linspace(*limits, _FINE + 1) for limits in domain]
    first, second = ((edges[1:] + edges[:-1]) / 2 for edges in fine)
    wide = np.array([np.interp(first, across, row) for row in log_likelihood])
    heights = np.array([np.interp(second, up, column) for column in wide.T]).T
    below = np.maximum(np.nanmax(log_likelihood) - heights, 0.0)
    bands = np.searchsorted(LEVELS, below, side="right")
    over, above = (0.6 * (edges[1] - edges[0]) for edges in fine)
    edge, change = np.ones((_FINE, 1), dtype=bool), np.diff(bands, axis=1) != 0
    (j, low), (_, last) = np.nonzero(np.hstack([edge, change])), np.nonzero(np.hstack([change, edge]))
    corners = fine[0][low], fine[0][last + 1] + over, fine[1][j], fine[1][j + 1] + above
    shades = (_BANDS[band] for band in bands[j, low].tolist())
    names = ("x", "x2", "y", "y2", "below")
    return [dict(zip(names, row)) for row in zip(*(values.tolist() for values in corners), shades)]


def _path_table(path: np.ndarray, values: np.ndarray) -> list[Json]:
    last = values[-1]
    return [
        {
            "iteration": t,
            "x": float(a),
            "y": float(b),
            "title": f"iteration {t}: log p(x) = {value:,.4f}"
            + (f", {last - value:.2g} to go" if value < last else ""),
        }
        for t, ((a, b), value) in enumerate(zip(path.tolist(), values.tolist()))
    ]


def _basin_layers(at: Json) -> list[Json]:
    """Small symbols for other starts, by the summit that they reach."""
    looks = {"fill": as_given("colour"), "shape": as_given("shape")}
    tips = [as_text("words") | {"title": "a start that ends at"}]
    mark = {"filled": True, "size": 50, "opacity": 1, "stroke": "white", "strokeWidth": 0.5}
    return [layer("point", at | looks | {"tooltip": tips}, data="starts", **mark)]


def _starts_table(starts: np.ndarray | None, ends: np.ndarray | None) -> list[Json]:
    if starts is None or ends is None:
        return []
    numbers = [min(int(end), len(_SUMMIT_COLOURS) - 1) for end in ends]
    return [
        {"x": a, "y": b, "colour": _SUMMIT_COLOURS[end], "shape": _SUMMIT_SHAPES[end]}
        | {"words": f"place {end}, 0 the highest"}
        for (a, b), end in zip(starts.tolist(), numbers, strict=True)
    ]


def optima(
    found: Multistart,
    thinnest: Sequence[float] | None = None,
    *,
    width: int | str = 480,
    height: int = 300,
) -> Picture:
    """How many of the starts ended at which height: sound ends blue circles, degenerate ones vermillion crosses.

    `thinnest`: per optimum the smallest standard deviation of a component, for the tooltip.
    """
    highest, most = max(o.objective for o in found), max(o.starts for o in found)
    rows = [
        {
            "objective": float(optimum.objective),
            "starts": optimum.starts,
            "ended": "sound" if optimum.sound else "degenerate",
            "label": f"{optimum.objective:,.2f}",
            "thinnest": None if thinnest is None else float(thinnest[rank]),
            "named": rank == 0 or optimum.objective == highest,
        }
        for rank, optimum in enumerate(found)
    ]
    axis = {"tickMinStep": 1, "format": "d", "tickCount": 6}
    starts = quantitative("starts", "starts that ended there", scale={"domain": [0, 1.18 * most]}, axis=axis)
    roomy = {"scale": {"zero": False, "padding": 40}, "axis": {"tickCount": 5}}
    at = {"x": quantitative("objective", "objective reached (nats): higher →", **roomy)}
    spec = {"width": width, "height": height, "layer": _optima_layers(at, starts), "description": _ends_in_words(found)}
    title = titled("Ends reached: ● sound ✕ collapsed", width)
    return Picture(spec | title, {"optima": rows})


def _optima_layers(at: Json, starts: Json) -> list[Json]:
    kinds = ["sound", "degenerate"]
    common = {"field": "ended", "type": "nominal", "legend": None}
    colour = common | {"scale": {"domain": kinds, "range": [BLUE, VERMILLION]}}
    shape = common | {"scale": {"domain": kinds, "range": ["circle", "cross"]}}
    angle = {"condition": {"test": "datum.ended === 'degenerate'", "value": 45}, "value": 0}
    tips = [
        quantitative("objective", "objective", format=",.4f"),
        quantitative("starts", "starts"),
        as_text("ended"),
        quantitative("thinnest", "thinnest sd ÷ the data's", format=".2g"),
    ]
    looks: Json = {"color": colour, "shape": shape, "angle": angle, "tooltip": tips}
    named = {"filter": "datum.named"}
    label = {"dy": -16, "fontWeight": "bold", "fontSize": LABEL_SIZE, "tooltip": None}
    stick = at | {"y": starts, "y2": {"datum": 0}, "color": colour}
    return [
        layer("rule", stick, data="optima", strokeWidth=2, tooltip=None),
        layer("point", at | {"y": starts} | looks, data="optima", filled=True, size=150, opacity=1),
        layer("text", at | {"y": starts, "text": as_text("label")}, named, data="optima", **label),
    ]


def _ends_in_words(found: Multistart) -> str:
    total = sum(optimum.starts for optimum in found)
    lost = [optimum for optimum in found if not optimum.sound]
    parts: list[Any] = [f"{total} starts ended at {len(found)} places."]
    if found[0].sound:
        parts.append(f"The best sound one, {found[0].objective:,.3f}, was reached {found[0].starts} times.")
    if lost:
        highest = max(optimum.objective for optimum in lost)
        parts.append(f"{sum(o.starts for o in lost)} collapsed, the highest at {highest:,.3f}.")
    return " ".join(parts)
