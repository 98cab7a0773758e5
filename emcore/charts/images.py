"""Components as small images: the ink that each prototype expects in each pixel, or the loadings of each factor."""

from collections.abc import Sequence
from math import ceil, sqrt
from typing import Any

import numpy as np

from emcore.charts.grammar import Json, as_text, calculate, layer, look_up, now, quantitative, titled
from emcore.charts.heading import heading
from emcore.charts.picture import Picture
from emcore.charts.scene import Panel, Scene, scene_of
from emcore.charts.theme import BLACK, BLUE, GREY, VERMILLION
from emcore.trace import Trace

_GAP = 1.6  # pixels of an image between two images
_WORDS = 3.6  # pixels of an image under each, for two lines


def prototypes(
    trace: Trace,
    *,
    side: int = 8,
    labels: Sequence[Any] | None = None,
    width: int | str = 640,
    height: int = 300,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """The `probs` of each Bernoulli component as an image, white for 0 and black for 1, and the rows it holds.

    Pixels are columns of x, row by row, `side` in a row. With `labels` (n,) each image also says which label most of
    its rows have, by their responsibilities. Raises ValueError where the columns do not fill whole rows of pixels.
    """
    scene = scene_of(trace, frames)
    ink = np.stack([trace[int(i)].params.probs for i in scene.shown])
    panel = images_panel(ink, side, width, height, _row_words(scene, labels), "ink")
    spec = (
        panel.spec | {"layer": heading(scene, width) + panel.spec["layer"]} | titled("What each cause expects to see")
    )
    sharp = float((np.abs(ink[-1] - 0.5) > 0.4).mean())
    sentence = (
        f"{ink.shape[1]} prototype images of {ink.shape[2]} pixels, for {scene.subject()}. At the end {sharp:.0%} of "
        "their pixels are below 0.1 or above 0.9."
    )
    return scene.picture(Panel(spec, panel.datasets), half_step, sentence)


def loadings(
    trace: Trace,
    *,
    pixels: Sequence[int],
    side: int = 8,
    width: int | str = 640,
    height: int = 300,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """The `loadings` of each factor as an image: vermillion where positive, blue where negative, white for 0.

    `pixels` (d,) says which pixel each column of x is; the others, left out of the fit, stay white. All images of all
    half-steps share one scale, the largest size of a loading.
    """
    scene = scene_of(trace, frames)
    found = np.stack([trace[int(i)].params.loadings.T for i in scene.shown])  # (h, q, d)
    last = np.zeros((*found.shape[:2], side * ceil((max(pixels) + 1) / side)))
    last[:, :, np.asarray(pixels)] = found
    largest = float(np.abs(last).max()) or 1.0
    words = [[(f"factor {j}", "") for j in range(found.shape[1])]] * len(found)
    panel = images_panel((last / largest + 1) / 2, side, width, height, words, "sign")
    spec = panel.spec | {"layer": heading(scene, width) + panel.spec["layer"]} | titled("What each factor adds")
    sentence = f"Loadings of {found.shape[1]} factors as images, for {scene.subject()}. The largest is {largest:.3g}."
    return scene.picture(Panel(spec, panel.datasets), half_step, sentence)


def _row_words(scene: Scene, labels: Sequence[Any] | None) -> list[list[tuple[str, str]]]:
    """Two lines for every half-step and component: how many rows, and which label most of them have."""
    kinds, codes = np.unique([""] * scene.n_rows if labels is None else np.asarray(labels), return_inverse=True)
    held = _held(scene, np.eye(len(kinds))[codes])
    counts, most = held.sum(axis=1), kinds[held.argmax(axis=1)]
    return [
        [(f"{c}: {n:,.0f} rows", "" if labels is None else f"mostly {most[h, c]}") for c, n in enumerate(row)]
        for h, row in enumerate(counts)
    ]


def _held(scene: Scene, member: np.ndarray) -> np.ndarray:
    """The rows of each label (n, l) that each component holds, at every half-step (h, l, k); M-steps hold q still."""
    found: list[np.ndarray] = []
    last = None
    for index in scene.shown:
        q = scene.trace[int(index)].q
        found.append(found[-1] if q is last else member.T @ q.probs)
        last = q
    return np.stack(found)


def images_panel(
    shares: np.ndarray, side: int, width: int | str, height: int, words: list[list[tuple[str, str]]], scale: str
) -> Panel:
    """Images of `shares` (h, k, pixels), each between 0 and 1, in a grid that keeps the pixels square."""
    n_images, n_pixels = shares.shape[1:]
    if n_pixels % side:
        raise ValueError(f"{n_pixels} pixels do not make rows of {side}: give side=")
    across = min(n_images, ceil(sqrt(2 * n_images)))
    step = (side + _GAP, n_pixels // side + _GAP + _WORDS)
    size = (across * step[0], ceil(n_images / across) * step[1])
    layers = [_pixel_layer(n_pixels, side, size, scale), *(_words_layer(size, line) for line in (0, 1))]
    places = [(i % across * step[0], i // across * step[1]) for i in range(n_images)]
    view = {"width": width, "height": height, "view": {"stroke": None}, "layer": layers}
    return Panel(view, {"ink": _ink_table(shares), "frames": _frames(places), "words": _words(places, words, side)})


def _at(size: tuple[float, float]) -> Json:
    """Position channels in pixels of the images, as large on the screen as width and height allow both."""
    domain = {
        "x": {"expr": f"max({size[0]}, {size[1]} * width / height)"},
        "y": {"expr": f"max({size[1]}, {size[0]} * height / width)"},
    }
    return {
        name: quantitative(
            name,
            scale={"domainMin": 0, "domainMax": top, "nice": False, "zero": False, "reverse": name == "y"},
            axis=None,
        )
        for name, top in domain.items()
    }


def _pixel_layer(n_pixels: int, side: int, size: tuple[float, float], scale: str) -> Json:
    colours: Json = {"domain": [0, 1], "range": ["white", BLACK], "interpolate": "rgb"}
    if scale == "sign":
        colours |= {"domain": [0, 0.5, 1], "range": [BLUE, "white", VERMILLION]}
    place = f"2 * ({n_pixels} * datum.image + datum.pixel)"
    steps = [
        *look_up("ink", "ink"),
        calculate(f"sequence(0, {n_pixels})", "pixel"),
        {"flatten": ["pixel"]},
        calculate(f"toNumber('0x' + substring(datum.ink, {place}, {place} + 2)) / 255", "share"),
        calculate(f"datum.left + datum.pixel % {side}", "x"),
        calculate(f"datum.top + floor(datum.pixel / {side})", "y"),
        calculate("datum.x + 1", "x2"),
        calculate("datum.y + 1", "y2"),
    ]
    fill = quantitative("share", scale=colours, legend=None)
    tips = [quantitative("image", "component" if scale == "ink" else "factor"), quantitative("pixel", "pixel")]
    if scale == "ink":
        tips.append(quantitative("share", "P(ink)", format=".2f"))
    channels = _at(size) | {"x2": {"field": "x2"}, "y2": {"field": "y2"}, "fill": fill, "tooltip": tips}
    return layer("rect", channels | {"stroke": fill}, *steps, data="frames", strokeWidth=0.4)


def _words_layer(size: tuple[float, float], line: int) -> Json:
    font = {"expr": f"clamp(1.55 * min(width / {size[0]}, height / {size[1]}), 9, 14)"}
    look: Json = {"align": "left", "baseline": "top", "fontSize": font, "color": GREY if line else BLACK}
    look["fontWeight"] = "bold" if line else "normal"
    down = {"expr": f"4 + {line} * 1.2 * clamp(1.55 * min(width / {size[0]}, height / {size[1]}), 9, 14)"}
    channels = _at(size) | {"text": as_text(f"line{line}")}
    return layer("text", channels, now(), data="words", dy=down, tooltip=None, **look)


def _ink_table(shares: np.ndarray) -> list[Json]:
    """Per half-step: two hexadecimal digits for every pixel of every image."""
    levels = np.floor(255 * np.clip(shares, 0, 1) + 0.5).astype(np.uint8)
    return [{"half_step": place, "ink": level.tobytes().hex()} for place, level in enumerate(levels)]


def _frames(places: list[tuple[float, float]]) -> list[Json]:
    return [{"image": i, "left": left, "top": top} for i, (left, top) in enumerate(places)]


def _words(places: list[tuple[float, float]], words: list[list[tuple[str, str]]], side: int) -> list[Json]:
    return [
        {"half_step": h, "x": left, "y": top + side, "line0": first, "line1": second}
        for h, lines in enumerate(words)
        for (left, top), (first, second) in zip(places, lines, strict=True)
    ]
