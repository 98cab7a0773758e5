"""All responsibilities at once: a row of bars for every component, one bar per row of x."""

import numpy as np

from emcore.charts.grammar import Json, as_given, as_text, calculate, layer, look_up, now, quantitative, titled
from emcore.charts.heading import heading
from emcore.charts.packed import counts_table, q_table, shown_responsibilities
from emcore.charts.picture import Picture
from emcore.charts.scene import Panel, Scene, scene_of
from emcore.charts.theme import COMPONENT_COLOURS, GREY, LABEL_SIZE
from emcore.trace import Trace


def strip(trace: Trace, *, width: int | str = 640, height: int = 200, frames: int = 60, half_step: int = 0) -> Picture:
    """Every q_i(z = k): a bar's height in the row of component k. At the right, the rows that the component holds.

    Rows of x keep one order at all half-steps: by their likeliest component at the end, the surest first.
    """
    scene = scene_of(trace, frames)
    panel = strip_panel(scene, width, height)
    spec = (
        panel.spec
        | {"layer": heading(scene, width, rows=True) + panel.spec["layer"]}
        | titled("q(z = k) for every row of x")
    )
    last = trace[-1].q.probs
    sure = int((last.max(axis=1) > 0.99).sum())
    sentence = (
        f"All responsibilities, for {scene.subject()}. At the end {sure} rows are more than 99 % in one component."
    )
    return scene.picture(Panel(spec, panel.datasets), half_step, sentence)


def strip_panel(scene: Scene, width: int | str, height: int) -> Panel:
    """The bars without heading and title."""
    probs = shown_responsibilities(scene)
    steps = [
        *look_up("q", "k", "q"),
        calculate("sequence(0, datum.k)", "component"),
        {"flatten": ["component"]},
        calculate("datum.q[datum.k * datum.i + datum.component] / 1000", "responsibility"),
        {"filter": "datum.responsibility > 0"},
        calculate("-datum.component - 1", "base"),
        calculate("datum.base + 0.88 * datum.responsibility", "top"),
        calculate("datum.place + 1", "end"),
        calculate(f"{list(COMPONENT_COLOURS)}[datum.component % 8]", "colour"),
    ]
    x = quantitative("place", "rows of x, in the order of their last q", scale={"nice": False}, axis=_bare())
    y = quantitative("base", "", scale={"nice": False}, axis=None)
    tips = [quantitative(name, name) for name in ("row", "component", "responsibility")]
    bars = {
        "x": x,
        "x2": {"field": "end"},
        "y": y,
        "y2": {"field": "top"},
        "fill": as_given("colour"),
        "stroke": as_given("colour"),
        "tooltip": tips,
    }
    layers = [
        layer("rule", {"y": y}, now(), data="counts", color=GREY, strokeWidth=0.7, tooltip=None),
        layer("rect", bars, *steps, data="order", strokeWidth=0.4),
        _label(y, "'k = ' + datum.component", align="right", x=0, dx=-8, fontWeight="bold"),
        _label(y, "format(datum.count, ',.1f') + ' rows'", align="left", x="width", dx=8),
    ]
    tables = {
        "q": q_table(probs),
        "order": _order(scene, probs[-1]),
        "counts": counts_table(scene, min(LABEL_SIZE, 0.95 * height / probs.shape[2])),
    }
    return Panel({"width": width, "height": height, "layer": layers}, tables)


def _bare() -> Json:
    return {"ticks": False, "labels": False, "grid": False, "domain": False}


def _label(y: Json, text: str, **look: object) -> Json:
    middle = y | {"field": "middle"}
    steps = (now(), calculate("datum.base + 0.44", "middle"), calculate(text, "words"))
    common = {"baseline": "middle", "tooltip": None}
    font = {"field": "font", "type": "quantitative", "scale": None}
    return layer("text", {"y": middle, "text": as_text("words"), "size": font}, *steps, data="counts", **common, **look)


def _order(scene: Scene, last: np.ndarray) -> list[Json]:
    """Where every row of x stands: by likeliest component, then by how sure it is."""
    order = np.lexsort((-last.max(axis=1), last.argmax(axis=1)))
    return [{"i": int(i), "row": int(scene.rows[i]), "place": place} for place, i in enumerate(order)]
