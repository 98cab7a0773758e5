"""How many components: criteria against k, held-out likelihood, and a simulated likelihood ratio."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from emcore.charts.grammar import Json, as_text, layer, quantitative, titled
from emcore.charts.picture import Picture
from emcore.charts.theme import BLACK, GREEN, GREY, LABEL_SIZE, ORANGE, SKY, VERMILLION

DEVIANCE = "−2 log p(x)"
_NAMES = (DEVIANCE, "AIC", "BIC", "ICL")
_COLOURS = (GREY, GREEN, VERMILLION, SKY)
_SHAPES = ("circle", "diamond", "triangle-up", "square")
_DASHES = ((2, 3), (8, 3), (1, 0), (4, 4))
_SHIFTS = (0.0, -0.05, 0.0, 0.05)  # of k, so that equal values do not hide one another
# Kass & Raftery (1995), J. Amer. Statist. Assoc. 90, 773-795: what a difference of BIC is worth.
_EVIDENCE = ((2.0, "BIC: positive from 2"), (6.0, "strong from 6"), (10.0, "very strong from 10"))
_TICKS = (0, 2, 6, 10, 30, 100, 300, 1000, 3000, 10_000, 100_000)


def criteria(candidates: Iterable[Any], *, width: int | str = 480, height: int = 300) -> Picture:
    """-2 log-likelihood and the criteria on its scale, against k: what lies between them is the penalty.

    `candidates`: as in `emcore.selection.Selection`. The lines break where there is no sound fit.
    """
    table = _criteria_table(candidates)
    spec = _lines(table, quantitative("value", "lower is better", scale={"zero": False, "nice": True}), _NAMES)
    spec |= {"width": width, "height": height} | titled("Fit plus penalty")
    low = min(_given(table), key=lambda row: row["value"], default=None)
    sentence = "Criteria against the number of components k, smaller is better. "
    if low:
        sentence += f"{len({row['k'] for row in _given(table)})} values of k; the lowest point is {low['words']}."
    return Picture(spec | {"description": sentence}, {"criteria": table})


def behind(candidates: Iterable[Any], *, width: int | str = 480, height: int = 300) -> Picture:
    """How far each k is behind the best one, by AIC, BIC and ICL: the choice of a criterion is where it touches 0.

    Lines mark what a difference of BIC is worth (Kass & Raftery 1995).
    """
    table = [row for row in _criteria_table(candidates) if row["curve"] != DEVIANCE]
    for name in _NAMES[1:]:
        rows = [row for row in table if row["curve"] == name]
        best = min((row["value"] for row in _given(rows)), default=0.0)
        for row in rows:
            row["behind"] = None if row["value"] is None else row["value"] - best
    top = max([12.0, *(1.15 * row["behind"] for row in _given(table))])
    scale = {"type": "symlog", "constant": 2, "domain": [0, top], "nice": False}
    ticks = {"values": [tick for tick in _TICKS if tick <= top], "format": "~s", "grid": False}
    spec = _lines(table, quantitative("behind", "behind the best k", scale=scale, axis=ticks), _NAMES[1:])
    rules, words = _evidence(top)
    spec["layer"] = rules + spec["layer"] + words
    spec |= {"width": width, "height": height} | titled("How far behind its best is each k?")
    chosen = [f"{row['curve']} chooses k = {row['k']}" for row in _given(table) if row["behind"] == 0]
    sentence = f"Distance of each criterion from its smallest value, against k. {'; '.join(chosen)}."
    return Picture(spec | {"description": sentence}, {"criteria": table, "evidence": _evidence_table()})


def _criteria_table(candidates: Iterable[Any]) -> list[Json]:
    table = []
    for row in candidates:
        values = (-2.0 * row.log_likelihood, row.aic, row.bic, row.icl)
        for name, value, shift in zip(_NAMES, values, _SHIFTS, strict=True):
            table.append(_point(row, name, value, shift))
    return table


def _point(row: Any, name: str, value: float, shift: float = 0.0) -> Json:
    """One point of a curve; where there is no sound value, null, at which a line breaks."""
    known = row.sound and bool(np.isfinite(value))
    words = f"{name} {value:,.4f} at k = {row.k}" if known else ""
    return {"k": row.k, "at": row.k + shift, "curve": name, "value": float(value) if known else None, "words": words}


def _given(table: Iterable[Json]) -> list[Json]:
    return [row for row in table if row["value"] is not None]


def _across(table: Sequence[Json]) -> Json:
    """The axis of k: whole numbers."""
    ks = sorted({row["k"] for row in table}) or [1]
    axis = {"values": ks, "format": "d", "grid": False}
    return quantitative("at", "components k", scale={"domain": [ks[0] - 0.3, ks[-1] + 0.3], "nice": False}, axis=axis)


def _lines(table: Sequence[Json], y: Json, names: Sequence[str]) -> Json:
    """Lines with points, a colour, a shape and a dash for every criterion, and one legend over them."""
    places = [_NAMES.index(name) for name in names]
    legend: Json = {
        "title": None,
        "orient": "top",
        "symbolSize": 130,
        "symbolStrokeWidth": 0,
        "symbolDash": [],
        "labelFontSize": LABEL_SIZE,
        "columnPadding": 14,
    }

    def scaled(values: Sequence[Any], **legend_of: Any) -> Json:
        scale = {"domain": list(names), "range": [values[place] for place in places]}
        return {"field": "curve", "type": "nominal", "scale": scale} | legend_of

    colour = scaled(_COLOURS, legend=legend)
    at = {"x": _across(table), "y": y}
    tips = [{"field": "words", "type": "nominal", "title": "here"}]
    dashed = at | {"color": colour, "strokeDash": scaled([list(dash) for dash in _DASHES], legend=None)}
    pointed = at | {"color": colour, "shape": scaled(_SHAPES, legend=legend), "tooltip": tips}
    return {
        "data": {"name": "criteria"},
        "layer": [
            layer("line", dashed, strokeWidth=2.5, tooltip=None),
            layer("point", pointed, filled=True, size=120, opacity=1, stroke=BLACK, strokeWidth=0.7),
        ],
    }


def _evidence(top: float) -> tuple[list[Json], list[Json]]:
    """Lines at what a difference of BIC is worth, and the words on them, which stay legible over a curve."""
    y = quantitative("level")
    look: Json = {"align": "left", "baseline": "bottom", "x": 4, "dy": -2, "fontSize": 12, "tooltip": None}
    kept = {"filter": f"datum.level <= {top}"}
    at = {"y": y, "text": as_text("words")}
    halo: Json = {"stroke": "white", "strokeWidth": 4, "strokeJoin": "round"}
    return (
        [layer("rule", {"y": y}, kept, data="evidence", color="#C8C8C8", tooltip=None)],
        [
            layer("text", at, kept, data="evidence", **look, **halo),
            layer("text", at, kept, data="evidence", **look, color="#4A4A4A"),
        ],
    )


def _evidence_table() -> list[Json]:
    return [{"level": level, "words": words} for level, words in _EVIDENCE]


def held_out(
    candidates: Sequence[Any], values: Sequence[float], n_rows: float, *, width: int | str = 480, height: int = 260
) -> Picture:
    """Log p per row against k: of the rows fitted, and of rows held out (`values`, one per candidate).

    The best k by rows held out has a ring. The lines break where there is no sound value.
    """
    seen, unseen = "rows fitted", "rows held out"
    table: list[Json] = []
    for row, value in zip(candidates, values, strict=True):
        table += [_point(row, seen, row.log_likelihood / n_rows), _point(row, unseen, value)]
    best = max(_given(row for row in table if row["curve"] == unseen), key=lambda row: row["value"], default=None)

    def scaled(values: Sequence[Any]) -> Json:
        legend: Json = {
            "title": None,
            "orient": "top",
            "symbolSize": 130,
            "symbolStrokeWidth": 0,
            "symbolDash": [],
            "labelFontSize": LABEL_SIZE,
        }
        scale = {"domain": [seen, unseen], "range": list(values)}
        return {"field": "curve", "type": "nominal", "scale": scale, "legend": legend}

    at = {"x": _across(table), "y": quantitative("value", "log p per row", scale={"zero": False})}
    colour, shape = scaled((GREY, BLACK)), scaled(("circle", "triangle-up"))
    dash = scaled(([2, 3], [1, 0])) | {"legend": None}
    tips = [{"field": "words", "type": "nominal", "title": "here"}]
    layers = [
        layer("line", at | {"color": colour, "strokeDash": dash}, strokeWidth=2.5, tooltip=None),
        layer("point", at | {"color": colour, "shape": shape, "tooltip": tips}, filled=True, size=120, opacity=1),
        layer("point", at, data="best", shape="circle", size=420, color=ORANGE, strokeWidth=3, opacity=1, tooltip=None),
    ]
    spec = {"width": width, "height": height, "data": {"name": "held_out"}, "layer": layers}
    sentence = "Mean log-likelihood per row, of the rows fitted and of rows held out, against k; higher is better. "
    sentence += (
        f"Held out, the best is {best['words'].removeprefix(unseen + ' ')}." if best else "No k could be held out."
    )
    spec |= titled("New rows: higher is better") | {"description": sentence}
    return Picture(spec, {"held_out": table, "best": [best] if best else []})


def bootstrap(
    statistic: float, simulated: Sequence[float], *, width: int | str = 480, height: int = 200, bins: int = 30
) -> Picture:
    """The likelihood-ratio statistic of the data among those of samples in which the smaller model is true."""
    values = np.sort(np.asarray(simulated, dtype=float))
    step = max(float(np.ptp(np.append(values, statistic))), 1e-9) / bins
    column = np.floor(values / step)
    pile = np.arange(len(values)) - np.searchsorted(column, column)
    table = [
        {"statistic": float((c + 0.5) * step), "pile": int(p) + 1, "value": float(v)}
        for c, p, v in zip(column, pile, values, strict=True)
    ]
    words = f"these data: {statistic:,.1f}"
    side = "right" if not len(values) or statistic > values.mean() else "left"
    x = quantitative("statistic", "2 × gain in log p(x) by one more", scale={"zero": False})
    y = quantitative("pile", None, axis=None, scale={"domain": [0, max([8, *(row["pile"] + 3 for row in table)])]})
    tips = [quantitative("value", "one sample", format=".4g")]
    layers = [
        layer(
            "point", {"x": x, "y": y, "tooltip": tips}, data="simulated", filled=True, size=70, color=GREY, opacity=1
        ),
        layer("rule", {"x": x}, data="observed", color=VERMILLION, strokeWidth=3, tooltip=None),
        layer(
            "text",
            {"x": x, "text": as_text("words")},
            data="observed",
            align=side,
            dx=-8 if side == "right" else 8,
            y=12,
            color=VERMILLION,
            fontWeight="bold",
            tooltip=None,
        ),
    ]
    beyond = int((values >= statistic).sum())
    sentence = f"{len(values)} simulated likelihood ratios as dots; {beyond} reach that of the data, {statistic:,.1f}."
    spec = {"width": width, "height": height, "layer": layers} | titled("If the smaller model were true")
    return Picture(
        spec | {"description": sentence},
        {"simulated": table, "observed": [{"statistic": statistic, "words": words}]},
    )
