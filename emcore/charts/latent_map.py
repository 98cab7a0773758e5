"""Two latent variables as a map: where Q puts each row, and what the decoder makes of those places."""

from collections.abc import Sequence

import numpy as np

from emcore.charts.grammar import Json, as_given, as_text, calculate, layer, look_up, now, quantitative, titled
from emcore.charts.heading import heading
from emcore.charts.images import images_panel
from emcore.charts.marks import plane
from emcore.charts.picture import Picture
from emcore.charts.scene import Panel, scene_of
from emcore.charts.theme import GREY, colour, shape
from emcore.models.vae_posteriors import as_diagonal
from emcore.trace import Trace

_REACH = 2.9  # prior standard deviations drawn


def latent_map(
    trace: Trace,
    labels: Sequence[object],
    *,
    told: bool,
    width: int | str = 560,
    height: int = 400,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """The rows' codes, the means of Q, in the plane of two latents, over the prior's circles of 1 and 2 sd.

    `labels` (n,) are no part of the model: only where they are `told` has each its colour, its shape and its name at
    the middle of its rows. ValueError unless there are two latents and a label for every row.
    """
    scene = scene_of(trace, frames)
    if trace[0].params.loadings.shape[1] != 2:
        raise ValueError(f"a map has two latent variables, and the model has {trace[0].params.loadings.shape[1]}")
    if len(labels) != scene.n_rows:
        raise ValueError(f"labels must be one per row of x ({scene.n_rows}), but there are {len(labels)}")
    kinds, kind = np.unique(np.asarray(labels), return_inverse=True)
    codes = np.stack([as_diagonal(trace[int(i)].q).means for i in scene.shown])
    points = [
        {"i": i, "row": i, "label": str(kinds[k]) if told else "", **_looks(int(k), told)} for i, k in enumerate(kind)
    ]
    tables = {
        "points": points,
        "codes": [
            {"half_step": h, "z0": at[:, 0].round(3).tolist(), "z1": at[:, 1].round(3).tolist()}
            for h, at in enumerate(codes)
        ],
        "circles": _circles(),
        "names": _names(codes, kinds, kind) if told else [],
    }
    at = plane(("z₀, mean of Q", "z₁, mean of Q"), ((-_REACH, _REACH), (-_REACH, _REACH)))
    spec: Json = {"width": width, "height": height, "layer": heading(scene, width, rows=False) + _layers(at)}
    sentence = f"The codes of {scene.n_rows} rows in a plane of two latents, for {scene.subject()}."
    return scene.picture(Panel(spec | titled("Where Q puts each image"), tables), half_step, sentence)


def _looks(kind: int, told: bool) -> Json:
    return {"colour": colour(kind), "shape": shape(kind)} if told else {"colour": GREY, "shape": "circle"}


def _circles() -> list[Json]:
    turn = np.linspace(0.0, 2.0 * np.pi, 61)
    return [
        {"radius": r, "i": i, "x0": round(float(r * np.cos(a)), 3), "x1": round(float(r * np.sin(a)), 3)}
        for r in (1, 2)
        for i, a in enumerate(turn)
    ]


def _names(codes: np.ndarray, kinds: np.ndarray, kind: np.ndarray) -> list[Json]:
    """Every label at the median of its codes."""
    table = []
    for h, at in enumerate(codes):
        for k, name in enumerate(kinds):
            x0, x1 = np.median(at[kind == k], axis=0).round(3).tolist()
            table.append({"half_step": h, "x0": x0, "x1": x1, "name": str(name)})
    return table


def _layers(at: Json) -> list[Json]:
    code = [*look_up("codes", "z0", "z1"), calculate("datum.z0[datum.i]", "x0"), calculate("datum.z1[datum.i]", "x1")]
    tips = [
        quantitative("row", "row"),
        as_text("label"),
        quantitative("x0", "z₀", format=".2f"),
        quantitative("x1", "z₁", format=".2f"),
    ]
    looks = {"color": as_given("colour"), "shape": as_given("shape"), "tooltip": tips}
    ring = at | {"order": quantitative("i"), "detail": {"field": "radius", "type": "nominal"}}
    name = at | {"text": as_text("name")}
    big: Json = {"fontSize": 24, "fontWeight": "bold", "baseline": "middle", "clip": True, "tooltip": None}
    return [
        layer("line", ring, data="circles", color=GREY, strokeDash=[3, 3], strokeWidth=1, tooltip=None),
        layer("point", at | looks, *code, data="points", filled=True, size=75, opacity=0.85, clip=True),
        layer("text", name, now(), data="names", stroke="white", strokeWidth=5, **big),
        layer("text", name, now(), data="names", **big),
    ]


def reconstructions(
    trace: Trace,
    images: np.ndarray,
    made: Sequence[np.ndarray],
    *,
    width: int | str = 640,
    height: int = 300,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """Above, images as they are (k, pixels); below, what the decoder makes of their codes (k, pixels) by half-step.

    Ink is between 0 and 1, pixels 8 in a row. ValueError where `made` has no entry for every half-step.
    """
    scene = scene_of(trace, frames)
    if len(made) != len(trace):
        raise ValueError(f"made must have an entry per half-step ({len(trace)}), but there are {len(made)}")
    shares = np.stack([np.concatenate([images, made[int(i)]]) for i in scene.shown])
    words = [[("as written", "")] * len(images) + [("decoded", "")] * len(images)] * len(shares)
    panel = images_panel(shares, 8, width, height, words, "ink")
    spec = panel.spec | {"layer": heading(scene, width) + panel.spec["layer"]}
    off = float(np.sqrt(((shares[-1, : len(images)] - shares[-1, len(images) :]) ** 2).mean()))
    sentence = f"{len(images)} images and their reconstructions, for {scene.subject()}. At the end a pixel is off by "
    title = titled("What the decoder makes of a code")
    return scene.picture(Panel(spec | title, panel.datasets), half_step, f"{sentence}{off:.2f} of full ink.")
