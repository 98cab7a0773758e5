"""The words of Vega-Lite that every chart here is written in, as plain dicts."""

from typing import Any

from emcore.charts.theme import HEADING_SIZE, KIND_COLOURS, KIND_SHAPES, KINDS, TEXT_SIZE

Json = dict[str, Any]


def now() -> Json:
    """Keeps the rows of the scrubbed half-step."""
    return {"filter": "datum.half_step == half_step"}


def so_far() -> Json:
    """Keeps the rows up to the scrubbed half-step."""
    return {"filter": "datum.half_step <= half_step"}


def layer(mark: str, encoding: Json, *transform: Json, data: str | None = None, **options: Any) -> Json:
    """One mark with its channels; `data` names the table where it is not that of the whole view."""
    view: Json = {"mark": {"type": mark, **options}, "encoding": encoding}
    if transform:
        view["transform"] = list(transform)
    return view | ({"data": {"name": data}} if data else {})


def quantitative(field: str, title: str | None = None, **options: Any) -> Json:
    """A quantitative channel."""
    return {"field": field, "type": "quantitative", "title": title} | options


def as_given(field: str) -> Json:
    """A channel that takes colours, shapes or dashes as the table gives them."""
    return {"field": field, "type": "nominal", "scale": None}


def calculate(expression: str, name: str) -> Json:
    """A computed column."""
    return {"calculate": expression, "as": name}


def look_up(table: str, *fields: str) -> list[Json]:
    """The present half-step's entries of a table, beside every row."""
    source = {"data": {"name": table}, "key": "half_step", "fields": list(fields)}
    return [calculate("half_step", "now"), {"lookup": "now", "from": source}]


def kind_channel(channel: str) -> Json:
    """Colour or shape by kind of half-step."""
    values = KIND_COLOURS if channel == "colour" else KIND_SHAPES
    return {"field": "kind", "type": "nominal", "scale": {"domain": list(KINDS), "range": list(values)}, "legend": None}


def as_text(field: str) -> Json:
    """A text channel."""
    return {"field": field, "type": "nominal"}


def titled(text: str, width: int | str = 0) -> Json:
    """A chart's title; with width="container" smaller where the plot is narrower than the words."""
    size: Any = HEADING_SIZE
    if width == "container":
        size = {"expr": f"clamp({HEADING_SIZE} * width / {round(0.54 * HEADING_SIZE * len(text))}, 10, {HEADING_SIZE})"}
    return {"title": {"text": text, "offset": 12, "fontSize": size}}


def fitting(width: int | str, needed: int) -> Any:
    """The size of a text that takes `needed` pixels at full size: smaller where the plot is narrower, but legible."""
    if width == "container":
        return {"expr": f"clamp({TEXT_SIZE} * width / {needed}, 9, {TEXT_SIZE})"}
    return min(TEXT_SIZE, max(9.0, round(TEXT_SIZE * float(width) / needed, 1)))
