"""Marks that several charts draw: rows of x in the colours of q, and components with their ellipses."""

from collections.abc import Sequence
from typing import Any

from emcore.charts.grammar import Json, as_given, as_text, calculate, layer, look_up, now, quantitative
from emcore.charts.packed import Domain
from emcore.charts.theme import BLACK, COMPONENT_COLOURS, COMPONENT_SHAPES, GREY, colour

_POINT_AREA = 70


def plane(titles: Sequence[str], domain: Domain) -> Json:
    """The two position channels on fixed axes."""
    channels = {}
    for name, field, title, limits in zip("xy", ("x0", "x1"), titles, domain, strict=True):
        scale = {"domain": list(limits), "nice": False, "zero": False}
        channels[name] = quantitative(field, title, scale=scale, axis={"tickCount": 6})
    return channels


def coloured_rows(at: Json, titles: Sequence[str], n_components: int, *more: Json) -> Json:
    """The rows of x at the present half-step, in the mixed colour and the shape of the likeliest component.

    `titles` of x0 (and x1) for the tooltip; `more` transforms place the rows where x does not.
    """
    steps = [*own_shares(), *mixed_colour(n_components), *likeliest_component()]
    steps += [
        calculate(f"{list(COMPONENT_SHAPES)}[(datum.likeliest + floor(datum.likeliest / 8)) % 8]", "shape"),
        calculate("join(datum.own, ' : ')", "thousandths"),
        *more,
    ]
    tips: list[dict[str, Any]] = [*row_tips(titles), as_text("thousandths") | {"title": "q, in thousandths"}]
    channels = {"fill": as_given("colour"), "shape": as_given("shape"), "size": row_size(), "tooltip": tips}
    look = {"stroke": GREY, "strokeWidth": 0.6, "opacity": 0.9, "clip": True}
    return layer("point", at | channels, *steps, data="points", **look)


def own_shares() -> list[Json]:
    """`own`: q of the row at the present half-step, in thousandths."""
    return [*look_up("q", "k", "q"), calculate("slice(datum.q, datum.k * datum.i, datum.k * (datum.i + 1))", "own")]


def likeliest_component() -> list[Json]:
    """`likeliest`: the first component with the largest of the row's `own_shares`."""
    return [calculate("indexof(datum.own, extent(datum.own)[1])", "likeliest")]


def mixed_colour(n_components: int) -> list[Json]:
    """`colour`: those of the components, mixed by `own_shares`. Up to eight components share one formula."""
    palette = [bytes.fromhex(colour(c)[1:]) for c in range(max(n_components, len(COMPONENT_COLOURS)))]
    sums = (" + ".join(f"{rgb[part]} * (datum.own[{c}] || 0)" for c, rgb in enumerate(palette)) for part in range(3))
    digits = (f"format(clamp(round(({mix}) / 1000), 0, 255), '02x')" for mix in sums)
    return [calculate("'#' + " + " + ".join(digits), "colour")]


def spread_apart() -> list[Json]:
    """Whole numbers moved by up to 0.3, by multiples of irrational numbers: the same at every half-step."""
    return [
        calculate("datum.x0 + 0.6 * ((0.75488 * datum.i) % 1 - 0.5)", "s0"),
        calculate("datum.x1 + 0.6 * ((0.56984 * datum.i) % 1 - 0.5)", "s1"),
    ]


def spread_channels(at: Json) -> Json:
    """The position channels over what `spread_apart` computes."""
    return {"x": at["x"] | {"field": "s0"}, "y": at["y"] | {"field": "s1"}}


def row_tips(titles: Sequence[str]) -> list[Json]:
    """What a row of x tells under the pointer: its number and its values."""
    safe = (title.replace("\\", "∖") for title in titles)  # Vega pastes a title into an expression
    return [quantitative("row", "row"), *(quantitative(f"x{j}", title) for j, title in enumerate(safe))]


def row_size() -> Json:
    """Area by weight: the heaviest row has the full area."""
    return quantitative("size", scale={"domain": [0, 1], "range": [0, _POINT_AREA]}, legend=None)


def component_layers(at: Json, table: list[Json]) -> list[Json]:
    """Every component at the present half-step: ellipses of 1 and 2 sd where Gaussian, and its number at its mean."""
    if not table:
        return []
    ellipse = [] if "a" not in table[0] else [ellipse_layer(at, 1, 3), ellipse_layer(at, 2, 1.6)]
    disc = {"filled": False, "fill": "white", "size": 330, "strokeWidth": 3, "opacity": 1, "clip": True}
    number = {"align": "center", "baseline": "middle", "fontWeight": "bold", "color": BLACK, "tooltip": None}
    held = [quantitative("count", "rows it holds")] if "count" in table[0] else []
    tips = [quantitative("component", "component"), *held, *_means_tips(at)]
    stroke = {"stroke": as_given("colour"), "tooltip": tips}
    return [
        *ellipse,
        layer("point", at | stroke, now(), data="components", shape="circle", **disc),
        layer("text", at | {"text": as_text("component")}, now(), data="components", **number),
    ]


def _means_tips(at: Json) -> list[Json]:
    return [quantitative(at[name]["field"], f"mean {at[name]['title']}", format=".5g") for name in "xy"]


def ellipse_layer(at: Json, level: float, thickness: float) -> Json:
    """The components' ellipses at `level` sd, drawn from mean and Cholesky factor."""
    turn = "datum.step * PI / 30"
    steps = [
        now(),
        calculate("sequence(0, 61)", "step"),
        {"flatten": ["step"]},
        calculate(f"datum.x0 + {level} * datum.a * cos({turn})", "e0"),
        calculate(f"datum.x1 + {level} * (datum.b * cos({turn}) + datum.c * sin({turn}))", "e1"),
    ]
    channels = {
        "x": at["x"] | {"field": "e0"},
        "y": at["y"] | {"field": "e1"},
        "order": {"field": "step", "type": "quantitative"},
        "detail": {"field": "component", "type": "nominal"},
        "stroke": as_given("colour"),
        "strokeDash": as_given("dash"),
    }
    return layer("line", channels, *steps, data="components", strokeWidth=thickness, clip=True, tooltip=None)
