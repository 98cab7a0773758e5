"""Posterior against Q: ellipses where z is normal, bars where it is finite, and the two directions of KL."""

from typing import Any

import numpy as np

from emcore.charts.grammar import Json, as_given, as_text, calculate, fitting, layer, now, quantitative, titled
from emcore.charts.heading import heading
from emcore.charts.limits import held_by, scale_of
from emcore.charts.picture import Picture
from emcore.charts.scene import Panel, scene_of
from emcore.charts.theme import BLACK, GAP, GREEN, VERMILLION
from emcore.trace import HalfStep, Trace

_CORNERS = 49
_TWO_SD = 2.0


def posterior_and_q(
    trace: Trace,
    *,
    row: int | None = None,
    width: int | str = 560,
    height: int = 260,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """The posterior of one row (black) and its Q (purple) at each half-step: the gap of the row is KL(Q ‖ posterior).

    Two normal latents: ellipses at two standard deviations. Finite z: a pair of bars for each value. The row is the one
    with the widest gap at the last half-step, unless given. ValueError for any other kind of Q.
    """
    scene = scene_of(trace, frames)
    row = int(np.argmax(trace[-1].kl_rows)) if row is None else row
    pairs = [(trace[int(i)], *_of_row(trace, trace[int(i)], row)) for i in scene.shown]
    normal = all(hasattr(q, "factors") and q.means.shape[1] == 2 for _, _, q in pairs)
    if not (normal or all(np.ndim(getattr(q, "probs", ())) == 2 for _, _, q in pairs)):
        raise ValueError(f"Q of {type(trace.model).__name__} is neither two normal latents nor finite: nothing to draw")
    layers, tables = _ellipse_layers(pairs, height) if normal else _bar_layers(pairs)
    tables["gaps"] = [
        {"half_step": frame, "words": f"row {row}: KL(Q || posterior) = {half.kl_rows[row]:.3g} nats"}
        for frame, (half, _, _) in enumerate(pairs)
    ]
    words: Json = {"align": "left", "baseline": "middle", "x": 22, "y": -18, "tooltip": None}
    line = layer("text", {"text": as_text("words")}, now(), data="gaps", **words, fontSize=fitting(width, 300))
    spec: Json = {"width": width, "height": height, "layer": [*heading(scene, width, y=-44), line, *layers]}
    sentence = (
        f"Posterior and Q of row {row}, for {scene.subject()}. Their KL is {trace[0].kl_rows[row]:.3g} nats at first "
        f"and {trace[-1].kl_rows[row]:.3g} last."
    )
    return scene.picture(Panel(spec | titled("Posterior black, Q purple"), tables), half_step, sentence)


def _of_row(trace: Trace, half: HalfStep, row: int) -> tuple[Any, Any]:
    index = slice(row, row + 1)
    return trace.model.posterior(half.params, trace.x).rows(index), half.q.rows(index)


def _ellipse(mean: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """A closed curve of points (49, 2) at two standard deviations."""
    around = np.linspace(0.0, 2.0 * np.pi, _CORNERS)
    return mean + _TWO_SD * np.stack([np.cos(around), np.sin(around)], axis=1) @ factor.T


def _ellipse_layers(pairs: list[Any], height: int) -> tuple[list[Json], dict[str, list[Json]]]:
    rows, ends = [], []
    for frame, (_, posterior, q) in enumerate(pairs):
        for name, part, colour, dash in (("posterior", posterior, BLACK, [1, 0]), ("Q", q, GAP, [7, 4])):
            curve = _ellipse(part.means[0], part.factors[0])
            ends.append(curve)
            rows.append(_curve(name, curve, colour, dash) | {"half_step": frame})
    every = np.concatenate(ends)
    return _outlines("ellipses", now()), {"ellipses": rows, "limits": [_square(every)]}


def _curve(name: str, curve: np.ndarray, colour: str, dash: list[int]) -> Json:
    across, up = curve.round(3).T.tolist()
    return {"name": name, "z1": across, "z2": up, "colour": colour, "dash": dash}


def _square(points: np.ndarray) -> dict[str, float]:
    return {"low": float(points.min()) - 0.2, "high": float(points.max()) + 0.2}


def _outlines(table: str, *first: Json) -> list[Json]:
    steps = (*first, calculate("sequence(length(datum.z1))", "order"), {"flatten": ["z1", "z2", "order"]})
    axis = {"tickCount": 5}
    at: Json = {
        "x": quantitative("z1", "z₁", scale=_as_long_as_y(), axis=axis),
        "y": quantitative("z2", "z₂", scale=scale_of("limits"), axis=axis),
        "order": {"field": "order", "type": "quantitative"},
        "detail": {"field": "name", "type": "nominal"},
        "stroke": as_given("colour"),
        "strokeDash": as_given("dash"),
    }
    return [*held_by("limits"), layer("line", at, *steps, data=table, strokeWidth=3, tooltip=None)]


def _as_long_as_y() -> Json:
    """One unit across as long as one unit up, whatever the width."""
    low, high = "data('limits')[0].low", "data('limits')[0].high"
    ends = [{"expr": f"({high} + {low}) / 2 {sign} ({high} - {low}) / 2 * width / height"} for sign in "-+"]
    return {"domain": ends, "nice": False, "zero": False}


def _bar_layers(pairs: list[Any]) -> tuple[list[Json], dict[str, list[Json]]]:
    k = pairs[0][2].probs.shape[1]
    rows = [
        {"half_step": frame, "place": z + shift, "low": 0.0, "share": float(part.probs[0, z]), "colour": colour}
        for frame, (_, posterior, q) in enumerate(pairs)
        for part, shift, colour in ((posterior, -0.18, BLACK), (q, 0.18, GAP))
        for z in range(k)
    ]
    axis = {"values": list(range(k)), "format": "d", "grid": False}
    x = quantitative("place", "z", scale={"domain": [-0.6, k - 0.4], "nice": False}, axis=axis)
    y = quantitative("share", "probability", scale={"domain": [0, 1]}, axis={"tickCount": 5})
    bar = {"x": x, "y": y, "y2": {"field": "low"}, "color": as_given("colour"), "tooltip": quantitative("share", "p")}
    return [layer("rule", bar, now(), data="bars", strokeWidth=18)], {"bars": rows}


def kl_directions(
    covariance: np.ndarray,
    narrow: float,
    wide: float,
    *,
    words: tuple[str, str],
    width: int | str = 560,
    height: int = 300,
) -> Picture:
    """Two correlated normals (black) and the best product in either direction of KL, at two standard deviations.

    Variances of the factors: `narrow` minimises KL(Q ‖ p) and `wide` KL(p ‖ Q); `words` say so with numbers.
    """
    looks = (
        ("p", np.linalg.cholesky(covariance), BLACK, [1, 0]),
        ("narrow", np.sqrt(narrow) * np.eye(2), VERMILLION, [7, 4]),
        ("wide", np.sqrt(wide) * np.eye(2), GREEN, [2, 3]),
    )
    rows = [_curve(name, _ellipse(np.zeros(2), factor), colour, dash) for name, factor, colour, dash in looks]
    tables: dict[str, list[Json]] = {"directions": rows, "limits": [{"low": -2.4, "high": 2.4}]}
    tables["words"] = [{"narrow": words[0], "wide": words[1]}]
    layers = _outlines("directions")
    for place, (name, colour) in enumerate((("narrow", VERMILLION), ("wide", GREEN))):
        look: Json = {"align": "left", "baseline": "middle", "x": 0, "y": -40 + 20 * place, "color": colour}
        text = {"text": as_text(name)}
        layers.append(layer("text", text, data="words", **look, fontSize=fitting(width, 420), tooltip=None))
    spec: Json = {"width": width, "height": height, "layer": layers} | titled("Too narrow or too wide?")
    return Picture(spec | {"params": [], "description": f"{words[0]}. {words[1]}."}, tables)
