"""The fitted mixture density over the data: curves on a line, shades in a plane."""

from collections.abc import Sequence

import numpy as np

from emcore.charts.grammar import Json, as_given, as_text, calculate, layer, look_up, now, quantitative, titled
from emcore.charts.heading import heading
from emcore.charts.marks import coloured_rows, component_layers, plane, row_tips
from emcore.charts.packed import (
    Domain,
    check_columns,
    components_table,
    looks,
    padded,
    plane_domain,
    points_table,
)
from emcore.charts.picture import Picture
from emcore.charts.scene import Panel, Scene, scene_of
from emcore.charts.theme import BLACK
from emcore.families.gaussian import GaussianFamily
from emcore.tables import ellipses
from emcore.trace import Trace

_GRID, _CELLS = 121, (64, 48)
_SHADES = ("#FFFFFF", "#F3F3F3", "#EAEAEA", "#E0E0E0", "#D6D6D6", "#CBCBCB", "#C0C0C0", "#B4B4B4", "#A8A8A8", "#9B9B9B")


def density(
    trace: Trace,
    columns: Sequence[int] = (0, 1),
    *,
    names: Sequence[str] | None = None,
    domain: Domain | None = None,
    width: int | str = 560,
    height: int = 400,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """The density of the mixture at each half-step.

    x of one column: a histogram, the weighted density of every component, and their sum. Otherwise the plane of two
    columns, of Gaussian components (their marginal, where x has more columns) or of any mixture of two columns of
    real numbers: darker is denser, on one scale.
    """
    scene = scene_of(trace, frames)
    columns = tuple(columns) if scene.n_columns != 1 else (0,)
    titles = check_columns(scene, columns, names, min(scene.n_columns, 2))
    if scene.n_columns == 1:
        layers, tables = line_layers(scene, titles[0], domain, height, points=False)
        title = "The density of the mixture, and its components"
    else:
        layers, tables = _plane_layers(scene, columns, titles, domain or plane_domain(scene, columns))
        title = "The density of the mixture (darker is denser)"
    spec = {"width": width, "height": height, "layer": heading(scene, width, rows=scene.n_columns > 1) + layers}
    sentence = f"Density of the mixture over the data, for {scene.subject()}."
    return scene.picture(Panel(spec | titled(title), tables), half_step, sentence)


def line_layers(
    scene: Scene, title: str, domain: Domain | None, height: int, points: bool = True
) -> tuple[list[Json], dict[str, list[Json]]]:
    """Histogram and curves over one column of x, with (or without) the coloured rows in a strip under them."""
    assert scene.matrix is not None  # see check_columns
    x, whole = scene.matrix[np.isfinite(scene.matrix[:, 0]), 0], scene.whole
    weight = None if scene.weight is None else scene.weight[np.isfinite(scene.matrix[:, 0])]
    bars = _histogram(x, weight, whole)
    top = 1.3 * max(bar["height"] for bar in bars)
    across, up = domain or (padded(x, whole), (0.0, top))
    room = 0.2 if points else 0.0
    at = {
        "x": quantitative("x0", title, scale={"domain": list(across), "nice": False, "zero": False}),
        "y": _height_channel("probability" if whole else "density", up, room),
    }
    tables = {"histogram": bars, "curves": _curves(scene, _grid(scene, x, across), up[1] / 1000.0)}
    layers = [_histogram_layer(at), *_curve_layers(at, whole)]
    if points:
        layers.append(_strip(at, title, scene.n_components, up[1] * room, whole))
    return layers, tables


def _height_channel(title: str, up: tuple[float, float], room: float) -> Json:
    axis = {"labelExpr": "datum.value < 0 ? '' : datum.value == 0 ? '0' : datum.label", "tickCount": 5, "grid": False}
    axis["format"] = "~g" if up[1] > 1e-3 else "~e"
    return quantitative("y", title, scale={"domain": [-room * up[1], up[1]], "nice": False}, axis=axis)


def _histogram(x: np.ndarray, weight: np.ndarray | None, whole: bool) -> list[Json]:
    if whole:
        step = max(1.0, np.ceil(np.ptp(x) / 200))
        edges = np.arange(np.min(x) - 0.5, np.max(x) + step, step)
    else:
        edges = np.linspace(np.min(x), np.max(x), _n_bins(x) + 1)
    heights, _ = np.histogram(x, edges, weights=weight, density=True)
    return [
        {"x0": float(low), "x1": float(high), "height": float(value)}
        for low, high, value in zip(edges, edges[1:], heights)
    ]


def _n_bins(x: np.ndarray) -> int:
    """Freedman & Diaconis (1981), from 8 to 40, before any edge is made: one outlier may ask for billions."""
    low, high = np.quantile(x, [0.25, 0.75])
    width = 2.0 * (high - low) / np.cbrt(len(x))
    return int(np.clip(np.ceil(np.ptp(x) / width), 8, 40)) if width > 0 else 8


def _histogram_layer(at: Json) -> Json:
    channels = at | {
        "x2": {"field": "x1"},
        "y": at["y"] | {"field": "height"},
        "y2": {"datum": 0},
        "tooltip": [quantitative("x0", "from"), quantitative("x1", "to"), quantitative("height", "density")],
    }
    return layer("bar", channels, data="histogram", color="#DDDDDD", stroke="white", clip=True)


def _grid(scene: Scene, x: np.ndarray, across: tuple[float, float]) -> np.ndarray:
    """Where curves are evaluated: across the axis, or the range of x where the model allows no other values."""
    if scene.whole:
        low, high = np.ceil(across[0]), np.floor(across[1])
        low = low if low >= 0 or np.min(x) < 0 else 0.0
        return np.arange(low, high + 1, max(1.0, np.ceil((high - low) / 200)))
    grid = np.linspace(*across, _GRID)
    try:
        scene.trace.model.check(grid[:, None])
    except ValueError:
        return np.linspace(np.min(x), np.max(x), _GRID)
    return grid


def _curves(scene: Scene, grid: np.ndarray, unit: float) -> list[Json]:
    """Weighted densities of the components and their sum, in thousandths of the height of the axis."""
    step = float(grid[1] - grid[0]) if len(grid) > 1 else 1.0
    place = {"x0": float(grid[0]), "dx": step, "unit": unit}
    rows = []
    for frame, index in enumerate(scene.shown):
        heights = component_heights(scene.trace, int(index), grid)
        every = np.column_stack([heights.sum(axis=1), heights])
        units = np.floor(np.minimum(every / unit, 9999.0) + 0.5).astype(int).T.tolist()
        styles: list[Json] = [{"component": "all", "colour": BLACK, "dash": [1, 0], "thick": 1.5}]  # drawn beneath
        styles += [looks(c) | {"component": str(c), "thick": 2.5} for c in range(heights.shape[1])]
        rows += [
            {"half_step": frame, "y": values, "peak": int(np.argmax(values))} | place | style
            for values, style in zip(units, styles, strict=True)
        ]
    return rows


def component_heights(trace: Trace, index: int, grid: np.ndarray) -> np.ndarray:
    """Weighted density of every component (g, k) at a half-step, over one column of x.

    For a model that is no mixture (a Markov chain), the weights are the shares of the rows. ValueError where the
    model knows neither `log_joint` nor a family.
    """
    model, half = trace.model, trace[index]
    if hasattr(model, "log_joint"):
        return np.exp(model.log_joint(half.params, grid[:, None]))
    if not hasattr(model, "family"):
        raise ValueError(f"{type(model).__name__} has no densities by component to draw")
    return half.q.probs.mean(axis=0) * np.exp(model.family.log_prob(half.params, grid[:, None]))


def _curve_layers(at: Json, whole: bool) -> list[Json]:
    steps = [
        now(),
        calculate("sequence(0, length(datum.y))", "g"),
        {"flatten": ["y", "g"]},
        calculate("datum.x0 + datum.g * datum.dx", "x0"),
        calculate("datum.y * datum.unit", "y"),
    ]
    peak = [
        now(),
        {"filter": "datum.component !== 'all'"},
        calculate("datum.x0 + datum.peak * datum.dx", "x0"),
        calculate("datum.y[datum.peak] * datum.unit", "y"),
    ]
    each = at | {"detail": {"field": "component", "type": "nominal"}, "stroke": as_given("colour")}
    line = each | {"strokeDash": as_given("dash"), "strokeWidth": as_given("thick")}
    disc = {"filled": False, "fill": "white", "size": 330, "strokeWidth": 3, "opacity": 1, "clip": True}
    label = {"baseline": "middle", "fontWeight": "bold", "clip": True, "tooltip": None}
    dots = {"filled": True, "fill": "white", "size": 45, "clip": True, "tooltip": None}
    return [
        layer("line", line, *steps, data="curves", clip=True, tooltip=None),
        *([layer("point", each, *steps, data="curves", **dots)] if whole else []),
        layer("point", at | {"stroke": as_given("colour")}, *peak, data="curves", shape="circle", **disc, tooltip=None),
        layer("text", at | {"text": as_text("component")}, *peak, data="curves", **label),
    ]


def _strip(at: Json, title: str, n_components: int, room: float, whole: bool) -> Json:
    """The rows of x under the axis, spread by multiples of irrational numbers so that equal values do not hide."""
    aside = [calculate("datum.x0 + 0.7 * ((0.75488 * datum.i) % 1 - 0.5)", "spread")] if whole else []
    x = at["x"] | {"field": "spread"} if whole else at["x"]
    down = calculate(f"-{room} * (0.15 + 0.7 * ((0.56984 * datum.i) % 1))", "y")
    return coloured_rows(at | {"x": x}, [title], n_components, *aside, down)


def _plane_layers(
    scene: Scene, columns: Sequence[int], titles: Sequence[str], domain: Domain
) -> tuple[list[Json], dict[str, list[Json]]]:
    across, up = _CELLS
    (x0, x1), (y0, y1) = domain
    cells = [{"across": across, "cells": across * up, "x0": x0, "dx": (x1 - x0) / across, "y0": y0}]
    cells[0] |= {"dy": (y1 - y0) / up}
    shades = _shades(scene, (int(columns[0]), int(columns[1])), domain)
    tables = {"cells": cells, "shades": shades, "points": points_table(scene, columns)}
    tables["components"] = components_table(scene, (int(columns[0]), int(columns[1])))
    at = plane(titles, domain)
    dots = {"filled": True, "size": 22, "color": BLACK, "opacity": 0.55, "clip": True}
    rows = layer("point", at | {"tooltip": row_tips(titles)}, data="points", **dots)
    return [_shade_layer(at), rows, *component_layers(at, tables["components"])], tables


def _shades(scene: Scene, columns: tuple[int, int], domain: Domain) -> list[Json]:
    """Per half-step a digit for every cell: tenths of √(density / the highest of the last half-step)."""
    every = plane_density(scene, columns, *(_middles(limits, count) for limits, count in zip(domain, _CELLS)))
    digits = np.minimum(10.0 * np.sqrt(every / every[-1].max()), 9.0).astype(np.uint8)
    return [{"half_step": place, "digits": (row + 48).tobytes().decode()} for place, row in enumerate(digits)]


def _middles(limits: tuple[float, float], count: int) -> np.ndarray:
    step = (limits[1] - limits[0]) / count
    return limits[0] + step * (np.arange(count) + 0.5)


def plane_density(scene: Scene, columns: tuple[int, int], first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Density in two columns at each half-step shown, (h, len(second) · len(first)).

    Gaussian components by their marginal; any other mixture where x has just these two columns.
    """
    model = scene.trace.model
    if isinstance(getattr(model, "family", None), GaussianFamily) or hasattr(scene.trace[0].params, "covariance"):
        return _gaussian_density(scene, columns, first, second)
    if scene.n_columns != 2 or scene.whole or not hasattr(model, "log_joint"):
        raise ValueError(
            f"{type(model).__name__} has no density in a plane to show: that takes Gaussian components, or another "
            "mixture over two columns of real numbers"
        )
    grid = np.stack([part.ravel() for part in np.meshgrid(first, second)], axis=1)
    grid = grid if columns == (0, 1) else grid[:, ::-1]
    return np.stack([np.exp(model.log_joint(scene.trace[int(i)].params, grid)).sum(axis=1) for i in scene.shown])


def _gaussian_density(scene: Scene, columns: tuple[int, int], first: np.ndarray, second: np.ndarray) -> np.ndarray:
    centres, axes = ellipses(scene.trace, columns, scene.shown)
    weights = np.stack([_weights(scene.trace, int(i), centres.shape[1]) for i in scene.shown])
    a, b, c = (axes[..., i, j, None, None] for i, j in ((0, 0), (1, 0), (1, 1)))  # (h, k, 1, 1)
    u = (first - centres[..., 0, None, None]) / a
    v = (second[:, None] - centres[..., 1, None, None] - b * u) / c
    parts = np.exp(-0.5 * (u * u + v * v)) * (weights[..., None, None] / (2.0 * np.pi * a * c))
    return parts.sum(axis=1).reshape(len(parts), -1)


def _weights(trace: Trace, index: int, k: int) -> np.ndarray:
    half = trace[index]
    if hasattr(half.params, "weights"):
        return np.asarray(half.params.weights)
    return half.q.probs.mean(axis=0) if k > 1 else np.ones(1)


def _shade_layer(at: Json) -> Json:
    steps = [
        calculate("sequence(0, datum.cells)", "cell"),
        {"flatten": ["cell"]},
        *look_up("shades", "digits"),
        calculate("toNumber(substring(datum.digits, datum.cell, datum.cell + 1))", "level"),
        {"filter": "datum.level > 0"},
        calculate(f"{list(_SHADES)}[datum.level]", "colour"),
        calculate("datum.x0 + datum.dx * (datum.cell % datum.across)", "left"),
        calculate("datum.y0 + datum.dy * floor(datum.cell / datum.across)", "low"),
        calculate("datum.left + datum.dx", "right"),
        calculate("datum.low + datum.dy", "high"),
    ]
    channels = {
        "x": at["x"] | {"field": "left"},
        "x2": {"field": "right"},
        "y": at["y"] | {"field": "low"},
        "y2": {"field": "high"},
        "fill": as_given("colour"),
        "stroke": as_given("colour"),
    }
    return layer("rect", channels, *steps, data="cells", strokeWidth=0.5, tooltip=None)
