"""Components against labels that EM never saw: a table of counts by half-step, and many starts side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from emcore.charts.grammar import Json, as_text, calculate, layer, look_up, quantitative, titled
from emcore.charts.heading import heading
from emcore.charts.picture import Picture
from emcore.charts.scene import Panel, scene_of
from emcore.charts.theme import BLACK, GREEN, GREY, LABEL_SIZE, ORANGE, SKY
from emcore.trace import Trace


def confusion(
    trace: Trace,
    counts: np.ndarray,
    matched: np.ndarray,
    *,
    labels: Sequence[Any],
    width: int | str = 640,
    height: int = 300,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """How many rows of each label (across) each component (down) claims, at each half-step.

    `counts` (h, k, l) for all half-steps of the trace; `matched` (h, k) is the label's place that goes with each
    component, -1 for none: those cells are framed. Shading is the share of the label.
    """
    if counts.shape[:1] + counts.shape[2:] != (len(trace), len(labels)) or matched.shape != counts.shape[:2]:
        raise ValueError(
            f"counts must be (half-steps, components, labels) and matched (half-steps, components) of "
            f"{len(trace)} half-steps and {len(labels)} labels, not {counts.shape} and {matched.shape}"
        )
    scene = scene_of(trace, frames)
    shown = [(counts[int(i)], matched[int(i)]) for i in scene.shown]
    spec = {
        "width": width,
        "height": height,
        "layer": heading(scene, width) + _cells(len(labels)),
    } | titled("Who claims which label")
    final = sum(counts[-1, c, m] for c, m in enumerate(matched[-1]) if m >= 0) / max(counts[-1].sum(), 1)
    sentence = (
        f"Counts of {len(labels)} labels by component, for {scene.subject()}. Matched one to one, {final:.1%} of the "
        "rows agree at the end."
    )
    tables = {"counts": [_packed(place, *pair) for place, pair in enumerate(shown)], "cells": _grid(counts, labels)}
    return scene.picture(Panel(spec, tables), half_step, sentence)


def _cells(n_labels: int) -> list[Json]:
    place = f"{n_labels} * datum.component + datum.j"
    steps = [
        *look_up("counts", "counts", "matched", "totals"),
        calculate(f"datum.counts[{place}]", "count"),
        calculate("datum.count / max(datum.totals[datum.j], 1)", "share"),
        calculate("datum.matched[datum.component] == datum.j", "pair"),
    ]
    axis = {"labelAngle": 0, "ticks": False, "domain": False}
    at = {
        "x": {"field": "label", "type": "ordinal", "title": "label", "sort": None, "axis": axis},
        "y": {"field": "component", "type": "ordinal", "title": "component", "axis": axis | {"titlePadding": 12}},
    }
    shade = quantitative("share", scale={"domain": [0, 1], "range": ["white", SKY], "interpolate": "rgb"}, legend=None)
    tips = [as_text("label"), as_text("component"), quantitative("count", "rows")]
    number = {
        "fontSize": {"expr": f"clamp(width / {2.6 * n_labels}, 8, {LABEL_SIZE})"},
        "tooltip": None,
        "color": BLACK,
    }
    some = {"filter": "datum.count > 0"}
    framed = {"filter": "datum.pair"}
    return [
        layer("rect", at | {"fill": shade, "tooltip": tips}, *steps, data="cells", stroke="#EBEBEB"),
        layer("rect", at, *steps, framed, data="cells", filled=False, stroke=GREEN, strokeWidth=3, tooltip=None),
        layer("text", at | {"text": as_text("count")}, *steps, some, data="cells", **number),
    ]


def _packed(place: int, counts: np.ndarray, matched: np.ndarray) -> Json:
    """One half-step: all counts, component by component, the matched labels, and the rows of each label."""
    return {
        "half_step": place,
        "counts": counts.ravel().tolist(),
        "matched": matched.tolist(),
        "totals": counts.sum(axis=0).tolist(),
    }


def _grid(counts: np.ndarray, labels: Sequence[Any]) -> list[Json]:
    return [
        {"component": c, "j": j, "label": str(label)} for c in range(counts.shape[1]) for j, label in enumerate(labels)
    ]


def starts(
    log_likelihoods: Sequence[float],
    agreements: Sequence[float],
    *,
    width: int | str = 640,
    height: int = 280,
) -> Picture:
    """Where several starts ended: log-likelihood across, share of rows that agree with the labels up.

    A square marks the highest likelihood, a diamond the best agreement; the first of equals is taken.
    """
    table: list[Json] = [
        {"start": i, "log_likelihood": float(a), "agreement": float(b), "best": ""}
        for i, (a, b) in enumerate(zip(log_likelihoods, agreements, strict=True))
    ]
    likeliest = max(table, key=lambda row: row["log_likelihood"])
    closest = max(table, key=lambda row: row["agreement"])
    closest["best"] = "agrees best with the labels"
    likeliest["best"] = "both" if likeliest is closest else "highest likelihood"
    sentence = (
        f"{len(table)} starts. The highest log-likelihood, {likeliest['log_likelihood']:,.1f} nats, agrees with "
        f"{likeliest['agreement']:.1%} of the labels; the best agreement is {closest['agreement']:.1%}, at "
        f"{closest['log_likelihood']:,.1f} nats."
    )
    view = {"width": width, "height": height, "data": {"name": "starts"}, "layer": _start_layers()}
    return Picture({"description": sentence} | view | titled("Is the likeliest start the best?"), {"starts": table})


def _start_layers() -> list[Json]:
    at = {
        "x": quantitative(
            "log_likelihood", "log p(x), nats", scale={"zero": False, "padding": 24}, axis={"tickCount": 5}
        ),
        "y": quantitative(
            "agreement",
            "agree with the labels",
            scale={"zero": False, "padding": 34},
            axis={"format": ".0%", "tickCount": 5},
        ),
    }
    kinds = ["", "highest likelihood", "agrees best with the labels", "both"]
    forms = {"field": "best", "type": "nominal", "legend": None}
    tips = [
        quantitative("start", "start"),
        quantitative("log_likelihood", "log p(x)", format=",.2f"),
        quantitative("agreement", "agreement", format=".1%"),
    ]
    marks = {
        "color": forms | {"scale": {"domain": kinds, "range": [GREY, ORANGE, GREEN, ORANGE]}},
        "shape": forms | {"scale": {"domain": kinds, "range": ["circle", "square", "diamond", "square"]}},
        "tooltip": tips,
    }
    # A word stands on the side of its point where there is room.
    middle = "(datum.log_likelihood - datum.low) / (datum.high - datum.low)"
    reach = [{"op": op, "field": "log_likelihood", "as": name} for op, name in (("min", "low"), ("max", "high"))]
    room = {"joinaggregate": reach}
    words: Json = {"text": as_text("best")}
    look: Json = {"fontSize": LABEL_SIZE, "color": BLACK, "tooltip": None, "baseline": "bottom", "dy": -9}
    return [
        layer("point", at | marks, filled=True, size=140, opacity=0.85, stroke=BLACK, strokeWidth=0.5),
        layer("text", at | words, room, {"filter": f"{middle} > 0.5"}, align="right", dx=6, **look),
        layer("text", at | words, room, {"filter": f"!({middle} > 0.5)"}, align="left", dx=-6, **look),
    ]
