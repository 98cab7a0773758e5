"""The bound taken apart: its three forms as bars that end at the ELBO, and log p(x, z)/Q(z) over z."""

import numpy as np

from emcore.charts.grammar import Json, as_given, as_text, calculate, fitting, layer, now, quantitative, titled
from emcore.charts.heading import heading
from emcore.charts.limits import held_by, scale_of
from emcore.charts.picture import Picture
from emcore.charts.scene import Panel, scene_of
from emcore.charts.theme import BLACK, GAP, GREY, LABEL_SIZE, SKY, colour, shape
from emcore.numerics import total
from emcore.trace import HalfStep, Trace

_NEEDED = 430  # pixels of the longest line of numbers
_ENTROPY = "#CCCCCC"
_FORMS = (
    ("E log p(x, z) + H(Q)", "entropy H(Q)", _ENTROPY),
    ("E log p(x | z) − KL(Q || p(z))", "rate: KL(Q || p(z))", SKY),
    ("log p(x) − KL(Q || p(z | x))", "gap: KL(Q || posterior)", GAP),
)


def form_parts(trace: Trace, half: HalfStep) -> tuple[tuple[float, float], ...]:
    """The two terms of each of the three forms in nats, totals over rows: their sum, or differences, is the ELBO.

    (E_Q log p(x, z), H(Q)), (E_Q log p(x | z), rate), (log p(x), gap). TypeError for a model that does not split
    p(x, z) into p(z) and p(x | z).
    """
    model, x, q = trace.model, trace.x, half.q
    if not hasattr(model, "latent_prior"):
        raise TypeError(f"{type(model).__name__} does not split p(x, z) into p(z) and p(x | z)")
    expected = total(model.expected_log_conditional(half.params, x, q), trace.weight)
    rate = total(q.kl(model.latent_prior(half.params, x)), trace.weight)
    return (half.expected_log_joint, half.entropy), (expected, rate), (half.log_likelihood, half.kl)


def elbo_forms(
    trace: Trace, *, width: int | str = 560, height: int = 250, frames: int = 60, half_step: int = 0
) -> Picture:
    """Three ways to write one bound, as bars on one axis: each ends at the ELBO (dashed), and comes with its numbers.

    The entropy leads up to the ELBO from E log p(x, z); the rate leads down to it from E log p(x | z), and the gap from
    log p(x). Axes stand still, so that a step shows which terms pay for which.
    """
    scene = scene_of(trace, frames)
    parts = np.array([form_parts(trace, trace[int(index)]) for index in scene.shown])  # (h, 3, 2)
    elbo = parts[:, 0].sum(axis=1)
    third = height / 3.0
    x = quantitative("from", "nats", scale=scale_of("reach"), axis={"tickCount": 6, "format": ",~r"})
    layers = held_by("reach") + [part for place in range(3) for part in _form(place, x, third, width)]
    spec: Json = {"width": width, "height": height, "layer": heading(scene, width) + layers}
    table = [_row(frame, parts[frame], float(elbo[frame])) for frame in range(len(parts))]
    sentence = (
        f"The bound in its three forms, for {scene.subject()}. Each comes to an ELBO of {elbo[0]:,.3f} at first and "
        f"{elbo[-1]:,.3f} nats last; the rate goes from {parts[0, 1, 1]:.4g} to {parts[-1, 1, 1]:.4g}."
    )
    title = titled("One bound in three forms")
    return scene.picture(
        Panel(spec | title, {"forms": table, "reach": [_reach(parts[:, :, 0], elbo)]}), half_step, sentence
    )


def _reach(ends: np.ndarray, elbo: np.ndarray) -> dict[str, float]:
    low, high = min(float(ends.min()), float(elbo.min())), max(float(ends.max()), float(elbo.max()))
    room = 0.03 * max(high - low, 1e-6)
    return {"low": low - room, "high": high + room}


def _row(frame: int, parts: np.ndarray, elbo: float) -> Json:
    row: Json = {"half_step": frame, "elbo": elbo}
    for place, ((start, length), (name, _, _)) in enumerate(zip(parts.tolist(), _FORMS, strict=True)):
        sign = "+" if place == 0 else "−"
        there = start + length if place == 0 else start - length
        row |= {f"from{place}": start, f"to{place}": there}
        row[f"words{place}"] = f"{name}:  {number(start)} {sign} {number(length)} = {number(there)}"
    return row


def number(value: float) -> str:
    """Three decimals, or two digits where those would show nothing."""
    text = f"{value:,.3f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.1e}"
    return ("0" if value == 0 else text).replace("-", "−")


def _form(place: int, x: Json, third: float, width: int | str) -> list[Json]:
    _, name, fill = _FORMS[place]
    bar = {"x": x | {"field": f"from{place}"}, "x2": {"field": f"to{place}"}}
    look: Json = {
        "color": fill,
        "stroke": BLACK,
        "strokeWidth": 0.8,
        "height": 0.36 * third,
        "y": (place + 0.7) * third,
    }
    words: Json = {"align": "left", "baseline": "middle", "x": 6, "y": (place + 0.28) * third, "tooltip": None}
    tips = [quantitative(f"from{place}", "from"), quantitative(f"to{place}", "to")]
    end = {"x": x | {"field": f"from{place}"}}
    dashed: Json = {"color": BLACK, "strokeWidth": 2, "strokeDash": [4, 3], "tooltip": None}
    dashed |= {"y": (place + 0.44) * third, "y2": (place + 0.96) * third}
    mark: Json = {"color": BLACK, "thickness": 2, "height": 0.5 * third, "y": look["y"], "tooltip": None}
    return [
        layer("bar", bar | {"tooltip": tips}, now(), data="forms", **look, description=name),
        layer("tick", end, now(), data="forms", **mark),
        layer("rule", {"x": x | {"field": "elbo"}}, now(), data="forms", **dashed),
        layer(
            "text",
            {"text": as_text(f"words{place}")},
            now(),
            data="forms",
            **words,
            fontSize=fitting(width, _NEEDED),
        ),
    ]


def log_ratio(
    trace: Trace,
    log_evidence: np.ndarray,
    log_ratio: np.ndarray,
    q: np.ndarray,
    *,
    rows: tuple[str, ...],
    values: tuple[str, ...],
    width: int | str = 560,
    height: int = 250,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """log p(x_i, z)/Q(z) for every value of z, row by row: flat at log p(x_i) (solid) where the bound is tight.

    Areas grow with Q(z). The ELBO of a row (dashed) is the mean of its marks, weighted by Q; Jensen's inequality says
    it lies under log p(x_i), and the purple bar between is the gap. Where Q(z) = 0 there is no mark. `log_evidence`
    (h, n), `log_ratio` and `q` (h, n, k) at every half-step; names of `rows` (n,) and `values` (k,) of z.
    """
    scene = scene_of(trace, frames)
    level, ratio, held = log_evidence[scene.shown], log_ratio[scene.shown], q[scene.shown]
    elbo = np.nansum(held * np.where(np.isnan(ratio), 0.0, ratio), axis=2)
    n = level.shape[1]
    low, high = min(np.nanmin(ratio), elbo.min()), max(np.nanmax(ratio), level.max())
    room = 0.12 * max(high - low, 0.2)
    x = quantitative("place", "", scale={"domain": [-0.5, n - 0.5], "nice": False}, axis=None)
    at = {"x": x, "y": quantitative("nats", "nats", scale=scale_of("limits"), axis={"tickCount": 5, "format": ",~r"})}
    tables = {"ratios": _marks(ratio, held, values), "levels": _levels(level, elbo, rows)}
    tables["limits"] = [{"low": float(low - room), "high": float(high + room)}]
    layers = [*held_by("limits"), *_level_layers(at), *_mark_layers(at, n), *_row_names(at, n, width)]
    spec: Json = {"width": width, "height": height, "layer": heading(scene, width) + layers}
    widest = float(np.nanmax(np.nanmax(ratio, axis=2) - np.nanmin(ratio, axis=2)))
    sentence = (
        f"log p(x, z)/Q(z) over z, for {scene.subject()}. It is flat where the bound is tight; at its most uneven the "
        f"values of one row are {widest:.4g} nats apart."
    )
    return scene.picture(Panel(spec | titled("log p(x, z)/Q(z): flat is tight"), tables), half_step, sentence)


def _marks(ratio: np.ndarray, q: np.ndarray, values: tuple[str, ...]) -> list[Json]:
    h, n, k = ratio.shape
    return [
        {
            "half_step": frame,
            "row": row,
            "place": row + 0.5 * ((z + 0.5) / k - 0.5) * 1.2,
            "nats": float(ratio[frame, row, z]),
            "q": float(q[frame, row, z]),
            "z": str(z),
            "value": values[z],
            "colour": colour(z),
            "shape": shape(z),
        }
        for frame in range(h)
        for row in range(n)
        for z in range(k)
        if np.isfinite(ratio[frame, row, z])
    ]


def _levels(level: np.ndarray, elbo: np.ndarray, rows: tuple[str, ...]) -> list[Json]:
    h, n = level.shape
    return [
        {
            "half_step": frame,
            "place": row,
            "from": row - 0.38,
            "to": row + 0.38,
            "nats": float(level[frame, row]),
            "elbo": float(min(elbo[frame, row], level[frame, row])),
            "name": rows[row],
        }
        for frame in range(h)
        for row in range(n)
    ]


def _level_layers(at: Json) -> list[Json]:
    wide = {"x": at["x"] | {"field": "from"}, "x2": {"field": "to"}}
    low = at["y"] | {"field": "elbo"}
    tips = [as_text("name") | {"title": "row"}, quantitative("nats", "log p(x)"), quantitative("elbo", "ELBO")]
    return [
        layer("rule", at | {"y": low, "y2": {"field": "nats"}}, now(), data="levels", color=GAP, strokeWidth=7),
        layer("rule", wide | {"y": at["y"], "tooltip": tips}, now(), data="levels", color=BLACK, strokeWidth=2),
        layer("rule", wide | {"y": low, "tooltip": tips}, now(), data="levels", color=BLACK, strokeDash=[5, 3]),
    ]


def _mark_layers(at: Json, n: int) -> list[Json]:
    """Marks joined by a line; with one row alone there is room to name the values of z."""
    area = quantitative("q", scale={"domain": [0, 1], "range": [30, 420]}, legend=None)
    tips = [as_text("value") | {"title": "z"}, quantitative("nats", "log p(x, z)/Q(z)"), quantitative("q", "Q(z)")]
    looks = {"stroke": as_given("colour"), "shape": as_given("shape"), "size": area, "tooltip": tips}
    join = at | {"detail": {"field": "row", "type": "nominal"}}
    return [
        layer("line", join, now(), data="ratios", color=GREY, strokeWidth=1.5, tooltip=None),
        layer("point", at | looks, now(), data="ratios", filled=False, fill="white", strokeWidth=3, opacity=1),
        _names_of_z(at, n),
    ]


def _names_of_z(at: Json, n: int) -> Json:
    look: Json = {"baseline": "middle", "fontSize": 12, "tooltip": None}
    if n == 1:  # under the axis, where no mark or line can cross them
        under = {"x": at["x"], "text": as_text("value")}
        return layer("text", under, now(), data="ratios", **look, y="height", yOffset=12)
    big = {"filter": "datum.q > 0.2"}
    return layer("text", at | {"text": as_text("z")}, now(), big, data="ratios", **look, fontWeight="bold")


def _row_names(at: Json, n: int, width: int | str) -> list[Json]:
    steps = (now(), calculate("split(datum.name, ': ')", "parts"), calculate("peek(datum.parts)", "short"))
    size = fitting(width, 62 * n) if n > 1 else LABEL_SIZE
    words: Json = {
        "y": "height",
        "yOffset": 30 if n == 1 else 14,
        "baseline": "middle",
        "align": "center",
        "tooltip": None,
    }
    return [layer("text", {"x": at["x"], "text": as_text("short")}, *steps, data="levels", **words, fontSize=size)]
