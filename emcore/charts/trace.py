"""The run as a staircase: log p(x) and the ELBO at every half-step, and the gap between them on a log axis."""

from typing import Literal

from emcore.charts.decades import decades
from emcore.charts.grammar import Json, kind_channel, layer, now, quantitative, so_far, titled
from emcore.charts.heading import heading, key
from emcore.charts.picture import Picture
from emcore.charts.scene import Panel, Scene, scene_of
from emcore.charts.theme import BLACK, GAP, GREY
from emcore.trace import Trace

Scale = Literal["linear", "log"]
ZOOM = 5  # half-steps on either side
KL_FLOOR = 1e-25  # below it a KL of a whole table is rounding, not a number to draw


def staircase(
    trace: Trace,
    *,
    scale: Scale = "linear",
    zoom: bool = False,
    future: bool = True,
    with_prior: bool = True,
    width: int | str = 640,
    height: int = 340,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """Log p(x) (solid) and the ELBO (dashed) at each half-step; the bar between them is the gap, KL(q ‖ posterior).

    An orange circle is the ELBO after an E-step, a blue square after an M-step. Late, small steps: tick the chart's
    "zoom" box (`zoom` is its first state) to see the half-steps around the scrubber alone, or ask for scale="log",
    the distance below the summit, the highest value reached. `future=False` hides what comes after the scrubber.
    Where the model has a prior its log is added to both lines, for that sum is what never falls; `with_prior=False`
    leaves it out, and log p(x) may then be seen to fall.
    `width` in pixels or "container"; at most `frames` half-steps are shown; `half_step` is where the scrubber starts.
    """
    scene = scene_of(trace, frames)
    panel = staircase_panel(scene, scale, future, width, height, with_prior)
    spec = panel.spec | {"layer": heading(scene, width) + key("height", 37) + panel.spec["layer"]}
    gaps = scene.halves["kl"]
    widest = max(range(len(gaps)), key=lambda i: gaps[i])
    sentence = (
        f"Staircase of {scene.subject()}. The widest gap between log-likelihood and ELBO is {gaps[widest]:.4g} nats, "
        f"at iteration {scene.halves['iteration'][widest]}; the last is {gaps[-1]:.3g}."
    )
    return scene.picture(Panel(spec, panel.datasets), half_step, sentence, zoom_box(zoom))


def staircase_panel(
    scene: Scene, scale: Scale, future: bool, width: int | str, height: int, with_prior: bool = True
) -> Panel:
    """The staircase with its title, without heading; it needs the parameter of `zoom_box`."""
    if scale not in ("linear", "log"):
        raise ValueError(f'scale must be "linear" or "log", not {scale!r}')
    bound, level = ("objective", "log_posterior") if with_prior else ("elbo", "log_likelihood")
    at, prefix = (_linear, "") if scale == "linear" else (_distance, "below_")
    bound, level = prefix + bound, prefix + level
    layers = [
        layer("point", at("value"), {"fold": [bound, level], "as": ["line", "value"]}, opacity=0, tooltip=None),
        *((_line(at(level), [1, 0], 0.22), _line(at(bound), [6, 4], 0.22)) if future else ()),
        _now_rule(half_step_axis()),
        layer("rule", at(bound) | {"y2": {"field": level}}, so_far(), color=GAP, strokeWidth=7, opacity=0.9),
        _line(at(level), [1, 0], 1.0, so_far()),
        _line(at(bound), [6, 4], 1.0, so_far()),
        _steps(at(bound)),
    ]
    near = {"filter": f"!zoom || abs(datum.half_step - half_step) <= {ZOOM}"}
    layers = [part | {"transform": [near, *part.get("transform", [])]} for part in layers]
    view = {"width": width, "height": height, "data": {"name": "halves"}, "layer": layers}
    plain = not (with_prior and scene.has_prior)
    title = "log p(x) solid, ELBO dashed, gap purple" if plain else "log p(x), ELBO dashed: both + log prior"
    return Panel(view | titled(title, width), {"halves": scene.table})


def zoom_box(zoom: bool) -> Json:
    """The checkbox that narrows a staircase to the half-steps around the scrubber; the axes then follow."""
    return {"name": "zoom", "value": zoom, "bind": {"input": "checkbox", "name": "zoom in on the stairs "}}


def half_step_axis(title: str = "half-step") -> Json:
    """The x channel of every chart over the run: the half-step's number in the trace."""
    axis = {"tickMinStep": 1, "grid": False, "format": "d", "titleAnchor": "start"}  # the key is at the end
    axis["labelExpr"] = "datum.value % 1 ? '' : datum.label"  # two half-steps have a tick between them
    return quantitative("index", title, scale={"zero": False, "nice": False, "padding": 12}, axis=axis)


def _linear(field: str) -> Json:
    axis = {"tickCount": 6, "format": ",~r"}
    return {"x": half_step_axis(), "y": quantitative(field, "nats", scale={"zero": False}, axis=axis)}


def _distance(field: str) -> Json:
    return {"x": half_step_axis(), "y": decades("nats below the summit", field, reverse=True)}


def _line(encoding: Json, pattern: list[int], opacity: float, *transform: Json) -> Json:
    look: Json = {"color": BLACK, "strokeWidth": 2, "strokeDash": pattern, "opacity": opacity}
    return layer("line", encoding, *transform, **look, tooltip=None)


def _now_rule(x: Json) -> Json:
    return layer("rule", {"x": x}, now(), color=GREY, strokeWidth=1, tooltip=None)


def _steps(encoding: Json, *transform: Json) -> Json:
    now = {"condition": {"test": "datum.half_step == half_step", "value": 230}, "value": 70}
    numbers = (("log_likelihood", "log p(x)"), ("elbo", "ELBO"), ("kl", "gap KL"))
    tips = [
        {"field": "title", "type": "nominal", "title": "at"},
        *(quantitative(field, name, format=".10g") for field, name in numbers),
    ]
    kind = {"color": kind_channel("colour"), "shape": kind_channel("shape"), "size": now, "tooltip": tips}
    return layer("point", encoding | kind, *transform, so_far(), filled=True, opacity=1)


def kl_curve(
    trace: Trace, *, width: int | str = 640, height: int = 280, frames: int = 60, half_step: int = 0
) -> Picture:
    """The gap KL(q ‖ posterior) at each half-step on a log axis: a straight line is linear convergence.

    After an exact E-step the gap is 0, which a log axis cannot show: such half-steps, and gaps under 1e-25 nats,
    are left out.
    """
    scene = scene_of(trace, frames)
    panel = kl_panel(scene, width, height)
    spec = (
        panel.spec
        | {"layer": heading(scene, width) + key("height", 37) + panel.spec["layer"]}
        | titled("The gap on a log scale: KL(q || posterior)", width)
    )
    drawn = [kl for kl in scene.halves["kl"] if kl > KL_FLOOR]
    span = f"from {drawn[0]:.3g} to {drawn[-1]:.3g} nats" if drawn else "which is 0 throughout"
    zeros = len(trace) - len(drawn)
    sentence = f"The gap, KL(q || posterior), on a log axis: {span}, and 0 at {zeros} of {scene.subject()}."
    return scene.picture(Panel(spec, panel.datasets), half_step, sentence)


def kl_panel(scene: Scene, width: int | str, height: int) -> Panel:
    """The gap on a log axis, without heading and title."""
    x = half_step_axis()
    at = {"x": x, "y": decades("nats (a gap of 0 is not drawn)", "kl", padding=12)}
    shown = {"filter": f"datum.kl > {KL_FLOOR}"}
    line: Json = {"color": GAP, "strokeWidth": 3, "tooltip": None}
    layers = [
        layer("point", {"x": x}, opacity=0, tooltip=None),
        layer("line", at, shown, **line, opacity=0.3),
        _now_rule(x),
        layer("line", at, shown, so_far(), **line),
        _steps(at, shown),
    ]
    view = {"width": width, "height": height, "data": {"name": "halves"}, "layer": layers}
    return Panel(view, {"halves": scene.table})
