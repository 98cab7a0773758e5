"""Taste profiles as a table of mean ratings, and one person's responsibilities, predictions and next question."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from emcore.charts.grammar import Json, as_given, as_text, calculate, layer, look_up, now, quantitative, titled
from emcore.charts.heading import heading
from emcore.charts.picture import Picture
from emcore.charts.scene import Panel, scene_of
from emcore.charts.theme import BLACK, BLUE, GREY, LABEL_SIZE, PURPLE, SKY, VERMILLION, colour
from emcore.trace import Trace

_SOURCES = ("true", "observed", "model")


def profiles(
    trace: Trace,
    means: np.ndarray,
    *,
    items: Sequence[str],
    words: Sequence[Sequence[str]],
    domain: tuple[float, float] = (1, 5),
    width: int | str = 640,
    height: int = 420,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """Mean rating of each item (down) in each profile (across), at each half-step; the darker, the higher.

    `means` (h, k, d) for all half-steps of the trace, `words` (h, k) what stands over each profile, beside its number.
    """
    if means.shape[:1] + means.shape[2:] != (len(trace), len(items)):
        raise ValueError(
            f"means must be (half-steps, profiles, items) of {len(trace)} half-steps and {len(items)} items, "
            f"not {means.shape}"
        )
    scene = scene_of(trace, frames)
    values = means[scene.shown]
    tables = {
        "means": [{"half_step": h, "means": np.round(value, 3).ravel().tolist()} for h, value in enumerate(values)],
        "cells": _cells(values.shape[1], items),
        "heads": _heads(values.shape[1], [words[int(i)] for i in scene.shown]),
    }
    view = {
        "width": width,
        "height": height,
        "layer": heading(scene, width, y=-68) + _table_layers(len(items), values.shape[1], domain),
    }
    spec = view | _titled("What each profile likes, in stars")
    spread = float(np.ptp(values[-1], axis=0).mean())
    sentence = (
        f"Mean ratings of {len(items)} items in {values.shape[1]} profiles, for {scene.subject()}. At the end the "
        f"profiles lie {spread:.2f} apart on an item, on average."
    )
    return scene.picture(Panel(spec, tables), half_step, sentence)


def _cells(n_profiles: int, items: Sequence[str]) -> list[Json]:
    return [{"profile": k, "i": i, "item": str(item)} for k in range(n_profiles) for i, item in enumerate(items)]


def _heads(n_profiles: int, words: Sequence[Sequence[str]]) -> list[Json]:
    return [
        {"half_step": h, "profile": k, "number": f"z = {k}", "word": str(row[k]), "colour": colour(k)}
        for h, row in enumerate(words)
        for k in range(n_profiles)
    ]


def _table_layers(n_items: int, n_profiles: int, domain: tuple[float, float]) -> list[Json]:
    steps = [
        *look_up("means", "means"),
        calculate(f"datum.means[{n_items} * datum.profile + datum.i]", "mean"),
    ]
    at: Json = {
        "x": {"field": "profile", "type": "ordinal", "title": None, "axis": None},
        "y": _item_axis("item"),
    }
    places = [domain[0], (domain[0] + domain[1]) / 2, domain[1]]
    shade = {"domain": places, "range": ["white", SKY, BLUE], "interpolate": "rgb"}
    fill = quantitative("mean", scale=shade, legend=None)
    tips = [as_text("item"), quantitative("profile", "profile"), quantitative("mean", "mean stars", format=".2f")]
    # Black has more contrast on every blue but the darkest.
    pale = {"condition": {"test": f"datum.mean > {domain[0] + 0.95 * (domain[1] - domain[0])}", "value": "white"}}
    number = {"text": quantitative("mean", format=".1f"), "color": pale | {"value": BLACK}}
    top: Json = {"x": at["x"], "text": as_text("number")}
    flag: Json = {"x": at["x"], "color": as_given("colour"), "y": {"value": -6}, "y2": {"value": -1}}
    size = {"expr": f"clamp(width / {2.6 * n_profiles}, 10, {LABEL_SIZE})"}
    word: Json = {"fontSize": {"expr": f"clamp(width / {4.6 * n_profiles}, 7, 12)"}, "lineBreak": " "}
    return [
        layer("rect", at | {"fill": fill, "tooltip": tips}, *steps, data="cells", stroke="white"),
        layer("text", at | number, *steps, data="cells", fontSize=12, tooltip=None),
        layer("rect", flag, now(), data="heads", tooltip=None),
        layer("text", top, now(), data="heads", y=-44, fontWeight="bold", fontSize=size, tooltip=None),
        layer("text", top | {"text": as_text("word")}, now(), data="heads", y=-28, **word, tooltip=None),
    ]


def taste_path(words: Sequence[str], probs: np.ndarray, *, width: int | str = 640, height: int = 300) -> Picture:
    """One person's responsibilities (steps, k) from top to bottom: before the first rating, and after each."""
    most = int(probs[-1].argmax())
    sentence = (
        f"Responsibilities for one person after each of {len(words) - 1} ratings. Profile {most} ends at "
        f"{probs[-1, most]:.1%}."
    )
    axis = {"format": ".0%", "tickCount": 5, "grid": False}
    x = quantitative("left", "q(z) for you", scale={"domain": [0, 1], "nice": False}, axis=axis)
    # Two steps may read the same, so that the axis is made of numbered words and shows them without the number.
    y = _item_axis("place", labelExpr="slice(datum.label, indexof(datum.label, ' ') + 1)")
    tips = [as_text("word"), quantitative("profile", "profile"), quantitative("share", "q", format=".3f")]
    bars = {"x": x, "x2": {"field": "right"}, "y": y, "fill": as_given("colour"), "tooltip": tips}
    inside = {"x": x | {"field": "middle"}, "y": y, "text": as_text("name")}
    look: Json = {"fontWeight": "bold", "fontSize": LABEL_SIZE, "tooltip": None}
    layers = [
        layer("bar", bars, stroke="white", strokeWidth=1),
        layer("text", inside, **look, stroke="white", strokeWidth=4, strokeJoin="round"),
        layer("text", inside, **look, color=BLACK),
    ]
    view = {"width": width, "height": height, "data": {"name": "path"}, "layer": layers}
    title = _titled("Each rating is an E-step on you")
    return Picture({"description": sentence} | view | title, {"path": _path_table(words, probs)})


def _path_table(words: Sequence[str], probs: np.ndarray) -> list[Json]:
    """One bar for every step and profile; its number inside where there is room."""
    ends = probs.cumsum(axis=1)
    return [
        {
            "place": f"{step} {word}",
            "word": word,
            "profile": k,
            "share": float(share),
            "left": float(ends[step, k] - share),
            "middle": float(ends[step, k] - share / 2),
            "right": float(ends[step, k]),
            "colour": colour(k),
            "name": str(k) if share > 0.08 else "",
        }
        for step, word in enumerate(words)
        for k, share in enumerate(probs[step])
    ]


def forecasts(
    titles: Sequence[str],
    means: Sequence[float],
    sds: Sequence[float],
    gains: Sequence[float],
    asked: Sequence[bool],
    *,
    telling: bool = True,
    width: int | str = 640,
    height: int = 420,
) -> Picture:
    """Items not rated, in the given order: mean and ±1 sd of the predicted stars, and what rating them would tell.

    The purple bar is the expected fall of the entropy of z, in nats, as wide as the axis (1 to 5 stars) for the most
    telling of all; a star marks the most telling of those with `asked`. `telling=False` leaves both out.
    """
    gains = gains if telling else [0.0] * len(gains)
    best = max((i for i, flag in enumerate(asked) if flag and telling), key=lambda i: gains[i], default=-1)
    top = max(gains, default=0.0) or 1.0
    table: list[Json] = [
        {"item": title, "mean": mean, "low": max(mean - sd, 1.0), "high": min(mean + sd, 5.0), "one": 1}
        | {"gain": gain, "bar": 1 + 4 * gain / top, "best": "★" if i == best else ""}
        for i, (title, mean, sd, gain) in enumerate(zip(titles, means, sds, gains, strict=True))
    ]
    sentence = f"Predictions for {len(titles)} items, " + (f"highest for {titles[0]}. " if titles else "none left. ")
    if best >= 0:
        sentence += f"Most telling of those that can be asked: {titles[best]}, {gains[best]:.3f} nats."
    view = {"width": width, "height": height, "data": {"name": "forecasts"}, "layer": _forecast_layers()}
    title = _titled("Predicted stars ±1 sd")
    if telling:
        below = {
            "subtitle": "purple: how telling; ★ most",
            "subtitleFontSize": LABEL_SIZE,
            "subtitleColor": BLACK,
            "subtitleFontWeight": "normal",
        }
        title = {"title": title["title"] | below}
    return Picture({"description": sentence} | view | title, {"forecasts": table})


def _forecast_layers() -> list[Json]:
    y = _item_axis("item")
    stars = {"values": [1, 2, 3, 4, 5], "format": "d"}
    x = quantitative("mean", "stars", scale={"domain": [1, 5.6], "nice": False, "zero": False}, axis=stars)
    tips = [
        as_text("item"),
        quantitative("mean", "predicted stars", format=".2f"),
        quantitative("gain", "expected fall of H(z), nats", format=".3f"),
    ]
    bar = {"x": x | {"field": "one"}, "x2": {"field": "bar"}, "y": y, "tooltip": tips}
    spread = {"x": x | {"field": "low"}, "x2": {"field": "high"}, "y": y}
    note = {"x": x | {"field": "bar"}, "y": y, "text": as_text("best")}
    words: Json = {"align": "left", "dx": 4, "fontSize": 18, "color": BLACK, "tooltip": None}
    return [
        layer("bar", bar, color=PURPLE, opacity=0.35),
        layer("rule", spread, color=GREY, strokeWidth=2, tooltip=None),
        layer("point", {"x": x, "y": y, "tooltip": tips}, filled=True, size=110, color=BLACK, opacity=1),
        layer("text", note, **words),
    ]


def item_means(
    items: Sequence[str],
    true: Sequence[float],
    observed: Sequence[float],
    model: Sequence[float],
    *,
    width: int | str = 640,
    height: int = 420,
) -> Picture:
    """Mean stars of every item: of all ratings (true), of those observed, and as the model has them."""
    columns = zip(_SOURCES, (true, observed, model), strict=True)
    table: list[Json] = [
        {"item": item, "kind": kind, "mean": float(value)}
        for kind, column in columns
        for item, value in zip(items, column, strict=True)
    ]
    shift = np.mean(np.asarray(observed) - np.asarray(true))
    sentence = f"Mean ratings of {len(items)} items. Observed means lie {shift:+.2f} from the true ones on average."
    view = {"width": width, "height": height, "data": {"name": "item_means"}, "layer": _means_layers()}
    title = _titled("Mean stars: truth, seen, model")
    return Picture({"description": sentence} | view | title, {"item_means": table})


def _means_layers() -> list[Json]:
    y = _item_axis("item", grid=True)
    axis = {"values": [1, 2, 3, 4, 5], "format": "d"}
    x = quantitative("mean", "mean stars", scale={"domain": [1, 5], "nice": False, "zero": False}, axis=axis)
    legend = {"orient": "top", "title": None, "labelFontSize": LABEL_SIZE, "symbolSize": 130, "symbolOpacity": 1}
    by = {"field": "kind", "type": "nominal", "legend": legend}
    marks = {
        "color": by | {"scale": {"domain": list(_SOURCES), "range": [BLACK, VERMILLION, SKY]}},
        "shape": by | {"scale": {"domain": list(_SOURCES), "range": ["diamond", "circle", "triangle-up"]}},
        "tooltip": [as_text("item"), as_text("kind"), quantitative("mean", "mean stars", format=".2f")],
    }
    ends = {"aggregate": [{"op": op, "field": "mean", "as": name} for op, name in (("min", "low"), ("max", "high"))]}
    between = {"x": x | {"field": "low"}, "x2": {"field": "high"}, "y": y}
    return [
        layer("rule", between, ends | {"groupby": ["item"]}, color="#CCCCCC", strokeWidth=2, tooltip=None),
        layer("point", {"x": x, "y": y} | marks, filled=True, size=110, opacity=0.9),
    ]


def _titled(text: str) -> Json:
    """A title that begins over the names of the items, for they take much of the width."""
    return {"title": titled(text)["title"] | {"frame": "bounds"}}


def _item_axis(field: str, **more: Any) -> Json:
    """Items from top to bottom in the order of their table, every one named."""
    axis = {"ticks": False, "domain": False, "labelLimit": 150, "labelFontSize": 13, "labelOverlap": False}
    return {"field": field, "type": "nominal", "title": None, "sort": None, "axis": axis | more}
