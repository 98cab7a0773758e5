"""What an encoder costs and tells: the gap in its two parts, rate against distortion, and where Q falls silent."""

import numpy as np

from emcore.charts.grammar import (
    Json,
    as_given,
    as_text,
    calculate,
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
from emcore.charts.scene import Panel, scene_of
from emcore.charts.theme import BLACK, GAP, GREY, LABEL_SIZE, ORANGE, SKY
from emcore.charts.trace import half_step_axis
from emcore.trace import Trace


def gap_in_two(
    trace: Trace,
    halves: np.ndarray,
    family: np.ndarray,
    amortisation: np.ndarray,
    *,
    width: int | str = 560,
    height: int = 220,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """The gap after some E-steps, in two parts (Cremer, Li & Duvenaud 2018): what no Q of the family can close, and, on
    it, what sharing one encoder costs. `halves` (s,) are places in the trace, the parts (s,) totals in nats.
    """
    scene = scene_of(trace, frames)
    parts = (("family", family, GAP, np.zeros(len(family))), ("sharing", amortisation, SKY, family))
    rows = [
        {
            "index": int(h),
            "part": name,
            "nats": float(size),
            "from": float(low),
            "to": float(low + size),
            "colour": fill,
        }
        for name, sizes, fill, lows in parts
        for h, size, low in zip(halves, sizes, lows)
    ]
    x = half_step_axis()
    y = quantitative("to", "nats", scale={"domainMin": 0}, axis={"tickCount": 5})
    tips = [as_text("part"), quantitative("nats", "nats", format=".4g"), quantitative("index", "half-step")]
    bar = {"x": x, "y": y, "y2": {"field": "from"}, "color": as_given("colour"), "tooltip": tips}
    last = f"at the end family (dark) {family[-1]:.3g}, sharing (light) {amortisation[-1]:.3g} nats"
    words = [{"half_step": 0, "words": last}]
    line: Json = {"align": "left", "baseline": "middle", "x": 22, "y": -18, "tooltip": None}
    layers = [
        layer("rule", {"x": x}, now(), data="halves", color=GREY, strokeWidth=1, tooltip=None),
        layer("rule", bar, data="parts", strokeWidth=10),
        layer("text", {"text": as_text("words")}, data="words", **line, fontSize=fitting(width, 420)),
    ]
    spec: Json = {"width": width, "height": height, "layer": heading(scene, width, y=-44) + layers}
    sentence = f"The gap in two parts after {len(halves)} E-steps, for {scene.subject()}: {last}."
    panel = Panel(spec | titled("The gap: family and sharing"), {"parts": rows, "words": words})
    return scene.picture(panel, half_step, sentence)


def rate_and_distortion(
    trace: Trace,
    rates: np.ndarray,
    distortions: np.ndarray,
    *,
    width: int | str = 560,
    height: int = 300,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """ELBO = - distortion - rate at each half-step, in nats per row: what Q tells of a row, against how well it serves.

    Rate (h,) is KL(Q ‖ prior), distortion (h,) is -E log p(x | z); the dashed lines join half-steps with equal ELBO.
    """
    scene = scene_of(trace, frames)
    rows = [
        {"half_step": frame, "kind": trace[int(i)].kind, "rate": float(rates[i]), "distortion": float(distortions[i])}
        for frame, i in enumerate(scene.shown)
    ]
    size = {"condition": {"test": "datum.half_step == half_step", "value": 260}, "value": 60}
    settled = slice(min(2, len(rates) - 1), None)  # the first iteration is far away
    limits, reach = (
        [{"low": float(part[settled].min()) - 0.3, "high": float(part[settled].max()) + 0.3}]
        for part in (distortions, rates)
    )
    reach[0]["low"] = max(reach[0]["low"], -0.05)
    x = quantitative("rate", "rate KL(Q || prior), nats per row", scale=scale_of("reach"), axis={"tickCount": 6})
    y = quantitative("distortion", "distortion, nats per row", scale=scale_of("limits"), axis={"tickCount": 6})
    kind = {"color": kind_channel("colour"), "shape": kind_channel("shape")}
    path = {"x": x, "y": y, "order": {"field": "half_step", "type": "quantitative"}}
    tips = [quantitative("rate", "rate", format=".4g"), quantitative("distortion", "distortion", format=".4g")]
    total = calculate("'distortion + rate = −ELBO = ' + format(datum.rate + datum.distortion, '.3f')", "words")
    line: Json = {"align": "left", "baseline": "middle", "x": 22, "y": -18, "tooltip": None}
    layers = [
        *held_by("limits"),
        *held_by("reach"),
        layer("line", path, color=GREY, opacity=0.5, clip=True, tooltip=None),
        layer(
            "point", {"x": x, "y": y, "size": size, "tooltip": tips} | kind, so_far(), filled=True, opacity=1, clip=True
        ),
        layer("text", {"text": as_text("words")}, now(), total, **line, fontSize=fitting(width, 330)),
    ]
    spec: Json = {"width": width, "height": height, "data": {"name": "trade"}}
    spec["layer"] = heading(scene, width, y=-44) + layers
    sentence = (
        f"Rate against distortion, for {scene.subject()}. At the end Q tells {rates[-1]:.3g} nats of each row, at a "
        f"distortion of {distortions[-1]:.3g}."
    )
    panel = Panel(spec | titled("What Q tells, and what that buys"), {"trade": rows, "limits": limits, "reach": reach})
    return scene.picture(panel, half_step, sentence)


def collapse(
    noise: np.ndarray,
    line_rate: np.ndarray,
    here: tuple[float, float],
    *,
    edge: float,
    width: int | str = 560,
    height: int = 300,
) -> Picture:
    """Nats per row that the best linear VAE tells (m,) against the noise that is held (m,), and the present run.

    `edge`: the noise at which the line's latent collapses. `here`: noise and rate of the run.
    """
    curve = [{"noise": float(a), "rate": float(b)} for a, b in zip(noise, line_rate)]
    high = 1.1 * max(float(line_rate.max()), here[1])
    axis = {"values": [0.03, 0.1, 0.3, 1, 3], "format": "~g"}
    scale = {"type": "log", "domain": [float(noise[0]), float(noise[-1])], "nice": False}
    x = quantitative("noise", "noise variance held (log axis)", scale=scale, axis=axis)
    y = quantitative("rate", "rate, nats per row", scale=scale_of("limits"), axis={"tickCount": 5})
    words: Json = {"align": "left", "baseline": "bottom", "dx": 10, "dy": -6, "fontSize": LABEL_SIZE, "tooltip": None}
    layers = [
        *held_by("limits"),
        layer("rule", {"x": x}, data="edge", color=GREY, strokeDash=[3, 3], tooltip=None),
        layer("line", {"x": x, "y": y}, data="line", color=BLACK, strokeDash=[7, 4], strokeWidth=2.5, tooltip=None),
        layer("point", {"x": x, "y": y}, data="here", filled=True, color=ORANGE, size=240, opacity=1, stroke=BLACK),
        layer("text", {"x": x, "y": y, "text": as_text("words")}, data="edge", **words | {"align": "right", "dx": -6}),
    ]
    tables: dict[str, list[Json]] = {
        "line": curve,
        "edge": [{"noise": edge, "rate": 0.9 * high, "words": f"a line collapses at {edge:.3g}"}],
        "here": [{"noise": here[0], "rate": here[1]}],
        "limits": [{"low": 0.0, "high": high}],
    }
    sentence = (
        f"The rate of the best linear VAE falls to 0 at a noise variance of {edge:.3g}. The present run, at "
        f"{here[0]:.3g}, tells {here[1]:.3g} nats per row."
    )
    spec: Json = {"width": width, "height": height, "layer": layers, "description": sentence}
    return Picture(spec | titled("Collapse: the best line (dashed), this run (disc)"), tables)
