"""Where the parameters go: the means in the plane, or any parameter against the half-step."""

from collections.abc import Sequence

import numpy as np

from emcore.charts.grammar import Json, as_given, as_text, kind_channel, layer, now, quantitative, so_far, titled
from emcore.charts.heading import heading
from emcore.charts.marks import component_layers, plane, row_tips
from emcore.charts.packed import (
    Domain,
    centres,
    check_columns,
    components_table,
    looks,
    plane_domain,
    points_table,
)
from emcore.charts.picture import Picture
from emcore.charts.scene import Panel, Scene, plain, scene_of
from emcore.charts.theme import BLACK, GREY, LABEL_SIZE
from emcore.charts.trace import half_step_axis
from emcore.tables import parameter_name, scalars
from emcore.trace import Trace

_MOST_LINES = 24


def parameter_path(
    trace: Trace,
    columns: Sequence[int] = (0, 1),
    *,
    field: str | None = None,
    names: Sequence[str] | None = None,
    domain: Domain | None = None,
    width: int | str = 560,
    height: int = 440,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """The path of the components' means in the plane of two columns, each M-step a blue square; E-steps move nothing.

    With `field`, or where the params have no means in a plane, every number of that field (by default the first one
    that moves and is not the weights) against the half-step. ValueError for an unknown field.
    """
    scene = scene_of(trace, frames)
    panel = path_panel(scene, columns, field, names, domain, width, height)
    what = field or ("means" if _has_plane(trace) else _field(trace, None))
    spec = panel.spec | {"layer": heading(scene, width, rows="points" in panel.datasets) + panel.spec["layer"]}
    sentence = f"The path of {what}, for {scene.subject()}. {_ends(trace, what)}"
    return scene.picture(Panel(spec, panel.datasets), half_step, sentence)


def path_panel(
    scene: Scene,
    columns: Sequence[int],
    field: str | None,
    names: Sequence[str] | None,
    domain: Domain | None,
    width: int | str,
    height: int,
) -> Panel:
    """The path with its title, without heading."""
    if field is None and _has_plane(scene.trace):
        titles = check_columns(scene, columns, names, 2)
        layers, tables = _plane_layers(scene, columns, titles, domain or plane_domain(scene, columns))
        title = "The path of the means"
    else:
        what = _field(scene.trace, field)
        layers, tables = _line_layers(scene, what)
        title = f"The path of {what}"
    return Panel({"width": width, "height": height, "layer": layers} | titled(title), tables)


def _has_plane(trace: Trace) -> bool:
    places = centres(trace, 0)
    return places is not None and places.shape[1] >= 2


def _field(trace: Trace, field: str | None) -> str:
    fields = trace[0].params._fields
    if field is None:
        moving = (name for name in fields if name != "weights" and _moves(trace, name))
        return next(moving, fields[0])
    if field not in fields:
        raise ValueError(f"params have no field {field!r}: they have {', '.join(fields)}")
    return field


def _moves(trace: Trace, field: str) -> bool:
    first, last = (np.asarray(getattr(trace[i].params, field), dtype=float) for i in (0, -1))
    return not np.allclose(first, last, rtol=1e-9, atol=0.0)


def _ends(trace: Trace, field: str) -> str:
    """The first numbers of the field at both ends of the run."""
    if not hasattr(trace[0].params, field):
        return ""
    first, last = (np.ravel(getattr(trace[i].params, field))[:4] for i in (0, -1))
    start, end = (", ".join(f"{value:.4g}" for value in part) for part in (first, last))
    more = " …" if np.size(getattr(trace[0].params, field)) > 4 else ""
    return f"From {start}{more} to {end}{more}."


def _plane_layers(
    scene: Scene, columns: Sequence[int], titles: Sequence[str], domain: Domain
) -> tuple[list[Json], dict[str, list[Json]]]:
    components = components_table(scene, (int(columns[0]), int(columns[1])))
    for row in components:
        row["kind"] = scene.table[row["half_step"]]["kind"]
    at = plane(titles, domain)
    track = {
        "order": {"field": "half_step", "type": "quantitative"},
        "detail": {"field": "component", "type": "nominal"},
        "stroke": as_given("colour"),
        "strokeDash": as_given("dash"),
    }
    moved = {"filter": "datum.kind === 'M' || datum.half_step == 0"}
    square = {"color": kind_channel("colour"), "shape": kind_channel("shape")}
    dots = {"filled": True, "size": 20, "color": GREY, "opacity": 0.45, "clip": True}
    line = {"clip": True, "tooltip": None}
    layers = [
        layer("point", at | {"tooltip": row_tips(titles)}, data="points", **dots),
        layer("line", at | track, data="components", strokeWidth=2, opacity=0.35, **line),
        layer("line", at | track, so_far(), data="components", strokeWidth=3, **line),
        layer("point", at | square, moved, so_far(), data="components", filled=True, size=40, opacity=1, **line),
        *(_means(at) if scene.has_responsibilities else component_layers(at, components)),
    ]
    return layers, {"points": points_table(scene, columns), "components": components}


def _means(at: Json) -> list[Json]:
    """Where the means are now: a symbol of the component's own, and its number beside it."""
    look = {"fill": as_given("colour"), "shape": as_given("shape")}
    symbol = {"size": 150, "stroke": BLACK, "strokeWidth": 1.5, "opacity": 1, "clip": True}
    number = {"dx": 14, "dy": -12, "fontWeight": "bold", "clip": True, "tooltip": None}
    return [
        layer("point", at | look, now(), data="components", **symbol, tooltip=None),
        layer("text", at | {"text": as_text("component")}, now(), data="components", **number),
    ]


def _line_layers(scene: Scene, field: str) -> tuple[list[Json], dict[str, list[Json]]]:
    table = _scalars_table(scene, field)
    names = ["values", "half_step", "index", "kind"]
    steps = [{"flatten": ["values", "half_steps", "index", "kind"], "as": names}]
    at = {"x": half_step_axis(), "y": quantitative("values", field, scale={"zero": False}, axis={"tickCount": 6})}
    look = {
        "detail": {"field": "name", "type": "nominal"},
        "stroke": as_given("colour"),
        "strokeDash": as_given("dash"),
    }
    tips = [as_text("name") | {"title": "parameter"}, quantitative("values", "value", format=".6g")]
    square = {"color": kind_channel("colour"), "shape": kind_channel("shape"), "tooltip": tips}
    label = {"align": "left", "baseline": "middle", "x": "width", "dx": 6, "fontSize": LABEL_SIZE, "tooltip": None}
    moved = {"filter": "datum.kind === 'M' || datum.half_step == 0"}
    last = {"filter": "datum.half_step == datum.last"}
    every = len(scene.shown) == len(scene.trace)
    line = {"interpolate": "step-before" if every else "linear", "tooltip": None}
    layers = [
        layer("line", at | look, *steps, data="scalars", strokeWidth=1.5, opacity=0.35, **line),
        layer("line", at | look, *steps, so_far(), data="scalars", strokeWidth=2.5, **line),
        layer("rule", {"x": half_step_axis()}, now(), data="halves", color=GREY, strokeWidth=1, tooltip=None),
        layer("point", at | square, *steps, moved, so_far(), data="scalars", filled=True, size=45, opacity=1),
        layer("text", {"y": at["y"], "text": as_text("label")}, *steps, last, data="scalars", **label),
    ]
    return layers, {"scalars": table}


def _scalars_table(scene: Scene, field: str) -> list[Json]:
    """One row per number of the field, its values over the half-steps shown packed inside (the first 24 numbers)."""
    picked = [[item for item in scalars(scene.trace[int(i)].params) if item[0] == field] for i in scene.shown]
    values = np.array([[number for _, _, number in half[:_MOST_LINES]] for half in picked])  # (h, numbers)
    legible = _apart(values)
    common = {name: [row[name] for row in scene.table] for name in ("index", "kind")}
    common["half_steps"] = list(range(len(values)))
    return [
        {
            "name": parameter_name(field, place),
            "label": (parameter_name("", place) or field) if number in legible else "",
            "values": [plain(value) for value in values[:, number].tolist()],
            "last": len(values) - 1,
            **common,
            **looks(place[0] if place else 0),
        }
        for number, (_, place, _) in enumerate(picked[0][:_MOST_LINES])
    ]


def _apart(values: np.ndarray) -> set[int]:
    """The lines (columns) whose ends are far enough from one another to be labelled."""
    least = 0.045 * float(np.ptp(values[np.isfinite(values)])) if np.isfinite(values).any() else 0.0
    chosen: list[int] = []
    for number in np.argsort(values[-1], kind="stable").tolist():
        if not chosen or values[-1, number] - values[-1, chosen[-1]] >= least:
            chosen.append(number)
    return set(chosen)
