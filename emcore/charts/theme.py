"""Colours, shapes and type sizes: one vocabulary for every chart.

E is an orange circle and M a blue square everywhere; the gap is purple; components have a colour, a shape, a dash
and their number. Colours are those of Okabe & Ito (2008), "Color universal design", told apart by nearly everyone.
"""

from typing import Any

ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE, BLACK, GREY = "#0072B2", "#D55E00", "#CC79A7", "#1A1A1A", "#767676"

KINDS = ("E", "M")
KIND_COLOURS = (ORANGE, BLUE)
KIND_SHAPES = ("circle", "square")
GAP = PURPLE

# Vermillion, sky and green first: three components are the usual picture, and these mix to tell-tale shades. Yellow is
# last, for it is faint on white.
COMPONENT_COLOURS = (VERMILLION, SKY, GREEN, BLACK, PURPLE, ORANGE, BLUE, YELLOW)
COMPONENT_SHAPES = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "triangle-down",
    "cross",
    "triangle-right",
    "triangle-left",
)
COMPONENT_DASHES = ((1, 0), (8, 3), (2, 2), (8, 3, 2, 3), (12, 3), (4, 4), (1, 3), (10, 2, 2, 2, 2, 2))

LABEL_SIZE, TITLE_SIZE, TEXT_SIZE, HEADING_SIZE = 14, 15, 15, 17


def colour(component: int) -> str:
    """The colour of a component, as #rrggbb; after the eighth they repeat, shape by shape and dash by dash."""
    return COMPONENT_COLOURS[component % len(COMPONENT_COLOURS)]


def shape(component: int) -> str:
    """The plotting symbol of a component; with nine or more, colour and shape no longer repeat together."""
    return COMPONENT_SHAPES[(component + component // 8) % len(COMPONENT_SHAPES)]


def dash(component: int) -> list[int]:
    """The dash pattern of a component's lines."""
    return list(COMPONENT_DASHES[(component + component // 8) % len(COMPONENT_DASHES)])


def config() -> dict[str, Any]:
    """The Vega-Lite configuration of every chart: readable from the last row on a light page."""
    return {
        "background": "white",
        "font": "Helvetica Neue, Arial, Liberation Sans, sans-serif",
        "view": {"stroke": "#CCCCCC"},
        "axis": {
            "labelFontSize": LABEL_SIZE,
            "titleFontSize": TITLE_SIZE,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "labelColor": BLACK,
            "titleColor": BLACK,
            "gridColor": "#EBEBEB",
            "domainColor": GREY,
            "tickColor": GREY,
            "labelOverlap": True,
        },
        "title": {"fontSize": HEADING_SIZE, "anchor": "start", "frame": "group", "color": BLACK, "offset": 10},
        "text": {"fontSize": TEXT_SIZE, "color": BLACK},
    }
