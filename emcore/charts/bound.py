"""The bound along one number θ: log p(x), the ELBO of the present Q, and where they touch."""

from collections.abc import Sequence

import numpy as np

from emcore.charts.grammar import (
    Json,
    as_text,
    fitting,
    kind_channel,
    layer,
    now,
    quantitative,
    so_far,
    titled,
)
from emcore.charts.heading import heading
from emcore.charts.limits import held_by, scale_of
from emcore.charts.picture import Picture
from emcore.charts.scene import Panel, Scene, scene_of
from emcore.charts.theme import BLACK, GAP, GREY, LABEL_SIZE
from emcore.landscape import Slice
from emcore.trace import HalfStep, Trace

_NEEDED = 340  # pixels of the longest words
_SMALLEST_SPAN = 0.5  # nats: a run that starts at its end is not blown up to rounding


def bound_curve(
    trace: Trace,
    slices: Sequence[Slice],
    *,
    theta: str = "θ",
    width: int | str = 640,
    height: int = 400,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """Log p(x) (solid) and the bound of the half-step's Q (dashed) over θ; the purple bar at θ_t is the gap.

    `slices`: one `bound_slice` per half-step of the trace, on one grid, each holding that half-step's Q; `theta` is
    the title of its axis. Circles and squares are the ELBO where E- and M-steps left it. Axes stand still.
    """
    if len(slices) != len(trace):
        raise ValueError(f"one slice per half-step is needed: {len(trace)} half-steps, but {len(slices)} slices")
    scene = scene_of(trace, frames)
    limits = _limits(trace, slices)
    tables = {"curves": _curves(scene, slices, limits["low"]), "visits": _visits(scene, slices), "limits": [limits]}
    at = _axes(slices[0].grid, theta)
    layers = [*held_by("limits"), *_lines(at), *_stations(at), _words(width)]
    spec: Json = {"width": width, "height": height, "layer": heading(scene, width, y=-44) + layers}
    sentence = (
        f"Log-likelihood and its lower bound along {theta}, for {scene.subject()}. The parameter goes from "
        f"{slices[0].at:.4g} to {slices[-1].at:.7g}; the gap is {trace[0].kl:.4g} nats at first and "
        f"{trace[-1].kl:.2g} last."
    )
    title = "The bound along θ, gap purple"
    return scene.picture(Panel(spec | titled(title), tables), half_step, sentence)


def _limits(trace: Trace, slices: Sequence[Slice]) -> dict[str, float]:
    """The run's heights, with room below and above."""
    high = max(float(part.log_likelihood.max()) for part in slices)
    low = min(half.elbo for half in trace)
    span = max(high - low, _SMALLEST_SPAN)
    return {"low": low - 0.15 * span, "high": high + 0.1 * span}


def _curves(scene: Scene, slices: Sequence[Slice], low: float) -> list[Json]:
    """Both curves at every half-step shown, in ten-thousandths of a nat; what falls far out of sight is cut there."""
    rows = []
    for frame, index in enumerate(scene.shown):
        part = slices[int(index)]
        heights = [np.maximum(curve, low - 100.0).round(4).tolist() for curve in (part.log_likelihood, part.elbo)]
        rows.append(
            {"half_step": frame, "theta": part.grid.round(4).tolist(), "level": heights[0], "bound": heights[1]}
        )
    return rows


def _visits(scene: Scene, slices: Sequence[Slice]) -> list[Json]:
    return [
        {
            "half_step": frame,
            "kind": scene.trace[int(index)].kind,
            "theta": slices[int(index)].at,
            "elbo": scene.trace[int(index)].elbo,
            "log_likelihood": scene.trace[int(index)].log_likelihood,
            "words": ledger(scene.trace, int(index), slices[int(index)].at),
        }
        for frame, index in enumerate(scene.shown)
    ]


def ledger(trace: Trace, index: int, theta: float) -> str:
    """What a half-step did to ELBO, gap and log p(x), in numbers."""
    half = trace[index]
    if index == 0:
        touch = "the bound touches log p(x)" if half.kl == 0 else f"the gap is {half.kl:.4g} nats"
        return f"at θ = {theta:.4g} {touch}"
    before = trace[index - 1]
    up = half.elbo - before.elbo
    if half.kind == "E":
        closed = before.kl - half.kl
        return f"gap {closed:.3g} closes: ELBO {_signed(up)}, log p(x) stays"
    return _opening(before, half)


def _opening(before: HalfStep, half: HalfStep) -> str:
    gain = half.log_likelihood - before.log_likelihood
    return f"ELBO {_signed(half.elbo - before.elbo)}, gap {_signed(half.kl - before.kl)}: log p(x) {_signed(gain)}"


def _signed(value: float) -> str:
    return "±0" if value == 0 else f"{value:+.3g}".replace("-", "−")


def _axes(grid: np.ndarray, theta: str) -> Json:
    ends = [float(np.floor(100.0 * grid[0]) / 100.0), float(np.ceil(100.0 * grid[-1]) / 100.0)]
    x = quantitative("theta", theta, scale={"domain": ends, "nice": False}, axis={"tickCount": 6, "grid": False})
    return {
        "x": x,
        "y": quantitative(
            "level",
            "log p(x) solid, ELBO dashed, nats",
            scale=scale_of("limits"),
            axis={"tickCount": 6, "format": ",~r"},
        ),
    }


def _lines(at: Json) -> list[Json]:
    steps = [now(), {"flatten": ["theta", "level", "bound"]}]
    look: Json = {"color": BLACK, "strokeWidth": 2.5, "clip": True, "tooltip": None}
    bound = at | {"y": at["y"] | {"field": "bound"}}
    return [
        layer("line", at, *steps, data="curves", **look),
        layer("line", bound, *steps, data="curves", strokeDash=[7, 4], **look),
    ]


def _stations(at: Json) -> list[Json]:
    """The gap at θ_t, and the ELBO where every half-step so far left it."""
    gap = at | {"y": at["y"] | {"field": "elbo"}, "y2": {"field": "log_likelihood"}}
    size = {"condition": {"test": "datum.half_step == half_step", "value": 230}, "value": 60}
    tips = [quantitative(field, name, format=".8g") for field, name in _TIPS]
    kind = {"color": kind_channel("colour"), "shape": kind_channel("shape"), "size": size, "tooltip": tips}
    here = {"x": at["x"]}
    return [
        layer("rule", here, now(), data="visits", color=GREY, strokeWidth=1, strokeDash=[2, 3], tooltip=None),
        layer("rule", gap, now(), data="visits", color=GAP, strokeWidth=7, clip=True, tooltip=None),
        layer("point", gap | kind | {"y2": {}}, so_far(), data="visits", filled=True, opacity=1, clip=True),
    ]


_TIPS = (("theta", "θ"), ("log_likelihood", "log p(x)"), ("elbo", "ELBO"))


def _words(width: int | str) -> Json:
    place: Json = {"align": "left", "baseline": "middle", "x": 22, "y": -18, "tooltip": None}
    size = fitting(width, _NEEDED) if width == "container" else LABEL_SIZE
    return layer("text", {"text": as_text("words")}, now(), data="visits", **place, fontSize=size)
