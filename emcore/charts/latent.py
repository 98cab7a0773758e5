"""One latent variable that draws a curve: the decoder with the rows' codes, and one row's Q beside its posterior."""

from collections.abc import Sequence

import numpy as np

from emcore.charts.grammar import Json, as_text, calculate, fitting, layer, look_up, now, quantitative, titled
from emcore.charts.heading import heading
from emcore.charts.limits import held_by, scale_of
from emcore.charts.marks import plane, row_tips
from emcore.charts.packed import Domain, check_columns, plane_domain, points_table
from emcore.charts.picture import Picture
from emcore.charts.scene import Panel, Scene, scene_of
from emcore.charts.theme import BLACK, GAP, GREEN, GREY
from emcore.models.vae_decoder import decode
from emcore.trace import Trace

_REACH, _STEPS = 3.0, 61  # z drawn, in prior standard deviations, and how many points draw it


def decoder_curve(
    trace: Trace,
    *,
    names: Sequence[str] | None = None,
    domain: Domain | None = None,
    width: int | str = 560,
    height: int = 400,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """What the decoder draws, f(z) for z from -3 to 3, with its whole numbers, and where Q puts each row of x.

    Colour is z: of the curve, and of each row the mean of its Q, its code. A row whose colour is not that of the curve
    beside it is misplaced: the thin line leads to the code's place f(E z), its reconstruction. The curve is thick where
    the prior is dense. ValueError unless the latent is one number and x has two columns at least.
    """
    scene = scene_of(trace, frames)
    if trace[0].params.loadings.shape[1] != 1:
        raise ValueError("this picture has one latent variable, and the model has several")
    titles = check_columns(scene, (0, 1), names, 2)
    at = plane(titles, domain or plane_domain(scene, (0, 1)))
    codes = _codes(scene)
    tables = {
        "points": points_table(scene, (0, 1)),
        "places": _places(),
        "curves": _curves(scene),
        "codes": _codes_table(scene, codes),
    }
    spec: Json = {"width": width, "height": height, "layer": heading(scene, width, rows=True) + _layers(at, titles)}
    spread = codes[-1].std()
    sentence = (
        f"A decoder's curve through the data, for {scene.subject()}. At the end the rows' codes, the means of Q, have "
        f"a standard deviation of {spread:.3g}."
    )
    title = titled("The curve f(z), coloured by z")
    return scene.picture(Panel(spec | title, tables), half_step, sentence)


def _codes(scene: Scene) -> np.ndarray:
    """E z of every row shown (h, r)."""
    found = []
    for index in scene.shown:
        q = scene.trace[int(index)].q
        means = q.moments().means if hasattr(q, "moments") else q.means
        found.append(means[scene.rows, 0])
    return np.stack(found)


def _places() -> list[Json]:
    z = np.linspace(-_REACH, _REACH, _STEPS)
    dense = np.exp(-0.5 * z * z)
    return [
        {"i": i, "z": round(float(a), 3), "dense": round(float(b), 4), "whole": bool(abs(a - round(a)) < 1e-9)}
        for i, (a, b) in enumerate(zip(z, dense))
    ]


def _curves(scene: Scene) -> list[Json]:
    z = np.linspace(-_REACH, _REACH, _STEPS)[:, None]
    made = [decode(scene.trace[int(i)].params, z).round(2) for i in scene.shown]
    return [{"half_step": h, "c0": f[:, 0].tolist(), "c1": f[:, 1].tolist()} for h, f in enumerate(made)]


def _codes_table(scene: Scene, codes: np.ndarray) -> list[Json]:
    table = []
    for h, (index, means) in enumerate(zip(scene.shown, codes)):
        made = decode(scene.trace[int(index)].params, means[:, None]).round(2)
        code = means.round(2).tolist()
        table.append({"half_step": h, "code": code, "r0": made[:, 0].tolist(), "r1": made[:, 1].tolist()})
    return table


def _layers(at: Json, titles: Sequence[str]) -> list[Json]:
    colours: Json = {"scheme": "viridis", "domain": [-2.5, 2.5], "clamp": True}
    fill = quantitative("z", scale=colours, legend=None)
    place = [
        *look_up("curves", "c0", "c1"),
        calculate("datum.c0[datum.i]", "x0"),
        calculate("datum.c1[datum.i]", "x1"),
    ]
    row = [
        *look_up("codes", "code", "r0", "r1"),
        calculate("datum.code[datum.i]", "z"),
        calculate("datum.r0[datum.i]", "made0"),
        calculate("datum.r1[datum.i]", "made1"),
    ]
    ends = at | {"x2": {"field": "made0"}, "y2": {"field": "made1"}}
    thick = quantitative("dense", scale={"domain": [0, 1], "range": [12, 110]}, legend=None)
    tips = [*row_tips(titles), quantitative("z", "code E z", format=".2f")]
    once: Json = {"tooltip": None, "clip": True}
    whole = {"filter": "datum.whole"}
    disc = {"shape": "circle", "fill": "white", "stroke": BLACK, "strokeWidth": 1.5, "size": 330, "opacity": 1}
    track = at | {"order": {"field": "i", "type": "quantitative"}}
    return [
        layer("line", track, *place, data="places", color=GREY, strokeWidth=2, **once),
        layer("rule", ends, *row, data="points", color=GREY, opacity=0.45, strokeWidth=1, **once),
        layer("point", at | {"fill": fill, "size": thick}, *place, data="places", opacity=1, strokeWidth=0, **once),
        layer(
            "point",
            at | {"fill": fill, "tooltip": tips},
            *row,
            data="points",
            shape="circle",
            stroke=BLACK,
            strokeWidth=0.9,
            size=64,
            opacity=0.95,
            clip=True,
        ),
        layer("point", at, *place, whole, data="places", **disc, **once),
        layer(
            "text",
            at | {"text": as_text("words")},
            *place,
            whole,
            calculate("format(datum.z, 'd')", "words"),
            data="places",
            fontWeight="bold",
            baseline="middle",
            **once,
        ),
    ]


def one_row(
    trace: Trace,
    row: int,
    z: np.ndarray,
    posterior: np.ndarray,
    q: np.ndarray,
    own: np.ndarray,
    *,
    width: int | str = 560,
    height: int = 300,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """Densities over one latent for one row: prior, posterior, Q, and at the last half-step the best Q of its own.

    `z` (m,), `posterior` and `q` (h, m), `own` (m,), zeros where there is none.
    """
    scene = scene_of(trace, frames)
    last = len(scene.shown) - 1
    prior = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    kinds = (
        ("posterior", BLACK, [1, 0], 3),
        ("Q", GAP, [8, 4], 3),
        ("own", GREEN, [2, 2], 3),
        ("prior", GREY, [1, 3], 2),
    )
    curves = [_curve(-1, "prior", prior)] + ([_curve(last, "own", own)] if own.any() else [])
    for frame, i in enumerate(scene.shown):
        curves += [_curve(frame, "posterior", posterior[i]), _curve(frame, "Q", q[i])]
    high = 1.05 * max(float(posterior.max()), float(np.percentile(q.max(axis=1), 90)), float(own.max()))
    steps = [{"filter": "datum.half_step < 0 || datum.half_step == half_step"}, *_unfold(z)]
    channels: Json = {
        "x": quantitative(
            "z", "z", scale={"domain": [float(z[0]), float(z[-1])], "nice": False}, axis={"tickCount": 8}
        ),
        "y": quantitative("p", "density", scale=scale_of("limits"), axis={"tickCount": 4}),
        "order": {"field": "z", "type": "quantitative"},
    }
    layers = held_by("limits")
    for name, colour, dash, thick in kinds:
        only = {"filter": f"datum.name == '{name}'"}
        look: Json = {"color": colour, "strokeDash": dash, "strokeWidth": thick, "clip": True, "tooltip": None}
        layers.append(layer("line", channels, only, *steps, data="curves", **look))
    gaps = [
        {"half_step": frame, "words": f"row {row}: KL(Q || posterior) = {trace[int(i)].kl_rows[row]:.3g} nats"}
        for frame, i in enumerate(scene.shown)
    ]
    line: Json = {"align": "left", "baseline": "middle", "x": 22, "y": -18, "tooltip": None}
    layers.append(layer("text", {"text": as_text("words")}, now(), data="gaps", **line, fontSize=fitting(width, 300)))
    spec: Json = {"width": width, "height": height, "layer": heading(scene, width, y=-44) + layers}
    ends = f"Their KL is {trace[-1].kl_rows[row]:.3g} nats at the end."
    sentence = f"Posterior and Q of row {row}, for {scene.subject()}. {ends}"
    title = titled("p(z | x) black, Q purple, best Q green")
    tables = {"curves": curves, "gaps": gaps, "limits": [{"low": 0.0, "high": high}]}
    return scene.picture(Panel(spec | title, tables), half_step, sentence)


def _curve(frame: int, name: str, density: np.ndarray) -> Json:
    return {"half_step": frame, "name": name, "p": density.round(3).tolist()}


def _unfold(z: np.ndarray) -> list[Json]:
    """One row for every place of an even grid."""
    step = (z[-1] - z[0]) / (len(z) - 1)
    return [
        calculate(f"sequence(0, {len(z)})", "i"),
        {"flatten": ["i", "p"]},
        calculate(f"{float(z[0])} + {float(step)} * datum.i", "z"),
    ]
