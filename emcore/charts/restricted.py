"""Where a restricted Q leads: log p(x) and the best ELBO of its family along a line, with the bias as an arrow."""

from collections.abc import Sequence

import numpy as np

from emcore.charts.grammar import Json, as_text, fitting, kind_channel, layer, quantitative, so_far, titled
from emcore.charts.heading import heading
from emcore.charts.limits import held_by, scale_of
from emcore.charts.picture import Picture
from emcore.charts.scene import Panel, Scene, scene_of
from emcore.charts.theme import BLACK, GAP, GREY, VERMILLION
from emcore.trace import Trace


def profile(
    trace: Trace,
    grid: np.ndarray,
    log_likelihood: np.ndarray,
    elbo: np.ndarray,
    *,
    summit: float,
    end: float,
    title: str,
    places: Sequence[float] = (),
    width: int | str = 560,
    height: int = 360,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """Log p(x) (solid) and the highest ELBO that the family of Q allows (dashed) over a line through θ.

    The arrow is the bias, from the place of the highest log p(x) (`summit`) to where climbing the ELBO ends (`end`);
    purple bars are the gap at either. With `places` (h,), where on the line each half-step of the trace stands, the
    ELBO that it reached is marked too. Curves (g,) on `grid`; `title` of its axis.
    """
    scene = scene_of(trace, frames)
    limits = _limits(trace, grid, log_likelihood, elbo, (summit, end), bool(len(places)))
    ends = [_end(name, at, grid, log_likelihood, elbo) for name, at in (("max log p(x)", summit), ("EM ends", end))]
    arrow = {"from": summit, "to": end, "floor": limits["low"], "words": _bias(ends, bool(len(places)))}
    curve = zip(grid.tolist(), log_likelihood.tolist(), elbo.tolist(), strict=True)
    tables: dict[str, list[Json]] = {
        "profile": [{"place": a, "level": b, "bound": c} for a, b, c in curve],
        "ends": ends,
        "bias": [arrow | {"tip": 1 if end > summit else 0}],
        "limits": [limits],
        "visits": _visits(scene, places),
    }
    at = _axes(grid, title)
    layers = [*held_by("limits"), *_curves(at), *_ends(at), *_arrow(at, width), *_path(at)]
    spec: Json = {"width": width, "height": height, "layer": heading(scene, width, y=-44) + layers}
    sentence = (
        f"Log-likelihood and the best ELBO of a restricted Q along a line, for {scene.subject()}. log p(x) is highest "
        f"at {summit:.4g}; climbing the ELBO ends at {end:.4g}."
    )
    return scene.picture(Panel(spec | titled("Where does the bound lead?"), tables), half_step, sentence)


def _bias(ends: list[Json], has_unit: bool) -> str:
    """How far θ is led, where the line has a unit of its own, and what that costs."""
    (start, stop) = ends
    moved, lost = stop["place"] - start["place"], stop["level"] - start["level"]
    if abs(moved) < 1e-6:
        return "no bias"
    words = f"bias {moved:+.3f}, log p(x) {lost:+.3g}" if has_unit else f"log p(x) {lost:+.3g}"
    return words.replace("-", "−")


def _limits(
    trace: Trace,
    grid: np.ndarray,
    level: np.ndarray,
    bound: np.ndarray,
    ends: tuple[float, float],
    with_path: bool,
) -> dict[str, float]:
    """Heights that show both curves between the ends, and the run where it is on the line."""
    high = float(level.max())
    inside = (grid >= min(ends) - 1e-9) & (grid <= max(ends) + 1e-9)
    low = float(bound[inside].min()) if inside.any() else float(bound.min())
    low = min([low, *(half.elbo for half in trace if with_path)])
    span = max(high - low, 1e-3)
    return {"low": low - 0.35 * span, "high": high + 0.1 * span}


def _end(name: str, at: float, grid: np.ndarray, level: np.ndarray, bound: np.ndarray) -> Json:
    heights = {"level": float(np.interp(at, grid, level)), "bound": float(np.interp(at, grid, bound))}
    return {"place": at, "name": name} | heights


def _visits(scene: Scene, places: Sequence[float]) -> list[Json]:
    if not len(places):
        return [{"half_step": -1, "kind": "E", "place": 0.0, "elbo": 0.0}]  # a table needs its columns
    return [
        {
            "half_step": frame,
            "kind": scene.trace[int(index)].kind,
            "place": float(places[int(index)]),
            "elbo": scene.trace[int(index)].elbo,
        }
        for frame, index in enumerate(scene.shown)
    ]


def _axes(grid: np.ndarray, title: str) -> Json:
    scale = {"domain": [float(grid[0]), float(grid[-1])], "nice": False, "zero": False}
    axis = {"tickCount": 5, "format": ",~r"}
    return {
        "x": quantitative("place", title, scale=scale, axis={"tickCount": 6, "grid": False}),
        "y": quantitative("level", "log p(x) solid, ELBO dashed, nats", scale=scale_of("limits"), axis=axis),
    }


def _curves(at: Json) -> list[Json]:
    look: Json = {"color": BLACK, "strokeWidth": 2.5, "clip": True, "tooltip": None}
    bound = at | {"y": at["y"] | {"field": "bound"}}
    return [
        layer("line", at, data="profile", **look),
        layer("line", bound, data="profile", strokeDash=[7, 4], **look),
    ]


def _ends(at: Json) -> list[Json]:
    bar = at | {"y2": {"field": "bound"}}
    tips = [as_text("name") | {"title": "at"}, quantitative("level", "log p(x)"), quantitative("bound", "best ELBO")]
    return [
        layer("rule", {"x": at["x"]}, data="ends", color=GREY, strokeDash=[2, 3], tooltip=None),
        layer("rule", bar | {"tooltip": tips}, data="ends", color=GAP, strokeWidth=6, clip=True),
    ]


def _arrow(at: Json, width: int | str) -> list[Json]:
    """From the summit to the end, along the floor of the plot."""
    y: Json = {"y": "height", "yOffset": -18, "tooltip": None}
    start, tip = at["x"] | {"field": "from"}, at["x"] | {"field": "to"}
    moved = {"filter": "datum.words !== 'no bias'"}
    turned = {"condition": {"test": "datum.tip === 1", "value": 90}, "value": -90}
    head = {"shape": "triangle-up", "filled": True, "size": 160, "color": VERMILLION, "opacity": 1}
    words: Json = {"baseline": "middle", "align": "left", "x": 22, "color": VERMILLION, "fontWeight": "bold"}
    words |= {"y": -18, "tooltip": None, "fontSize": fitting(width, 300)}
    line = {"x": start, "x2": {"field": "to"}}
    return [
        layer("rule", line, moved, data="bias", color=VERMILLION, strokeWidth=4, **y),
        layer("point", {"x": tip, "angle": turned}, moved, data="bias", **head, **y),
        layer("text", {"text": as_text("words")}, data="bias", **words),
    ]


def _path(at: Json) -> list[Json]:
    size = {"condition": {"test": "datum.half_step == half_step", "value": 230}, "value": 50}
    kind = {"color": kind_channel("colour"), "shape": kind_channel("shape"), "size": size}
    known = {"filter": "datum.half_step >= 0"}
    here = at | {"y": at["y"] | {"field": "elbo"}} | kind
    return [layer("point", here, known, so_far(), data="visits", filled=True, opacity=1, clip=True, tooltip=None)]
