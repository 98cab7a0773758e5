"""The line over a chart: where the scrubber stands, what is left out, and what circle and square mean."""

from emcore.charts.grammar import Json, as_text, fitting, kind_channel, layer, now
from emcore.charts.scene import Scene
from emcore.charts.theme import BLACK, GREY, KIND_COLOURS, KIND_SHAPES, KINDS, LABEL_SIZE

_NEEDED = 370  # pixels of the longest words


def heading(
    scene: Scene,
    width: int | str,
    *,
    rows: bool = False,
    y: int = -20,
    note_at: tuple[int, int] = (0, -44),
) -> list[Json]:
    """Layers: where we are in words, with the symbol of the half-step, and what is left out.

    `rows`: the chart shows rows of x, so say when some are left out. `y` and `note_at`: pixels from the top (right) of
    the plot.
    """
    kind = {"color": kind_channel("colour"), "shape": kind_channel("shape")}
    words = {"baseline": "middle", "tooltip": None}
    note = {"align": "right", "x": "width", "dx": note_at[0], "y": note_at[1], "color": GREY, "fontSize": LABEL_SIZE}
    symbol = {"filled": True, "size": 130, "opacity": 1, "x": 8, "y": y, "tooltip": None}
    title = {"align": "left", "x": 22, "y": y, "fontWeight": "bold", "fontSize": fitting(width, _NEEDED)}
    field = "note_rows" if rows else "note"
    return [
        layer("point", kind, now(), data="halves", **symbol),
        layer("text", {"text": as_text("title")}, now(), data="halves", **title, **words),
        *([layer("text", {"text": as_text(field)}, now(), data="halves", **note, **words)] if scene.note(rows) else []),
    ]


def key(y: int | str, down: int = 0) -> list[Json]:
    """Layers: what circle and square mean, at the right end of the plot; `y` in pixels or "height", and `down` more."""
    once = {"filter": "datum.half_step == 0"}
    layers: list[Json] = []
    for kind, fill, form, left in zip(KINDS, KIND_COLOURS, KIND_SHAPES, (-160, -70), strict=True):
        at = {"x": "width", "y": y, "yOffset": down, "tooltip": None}
        dot = {"filled": True, "size": 110, "color": fill, "shape": form, "opacity": 1, "xOffset": left}
        word = {"align": "left", "baseline": "middle", "text": f"after {kind}", "xOffset": left + 12}
        layers.append(layer("point", {}, once, data="halves", **at, **dot))
        layers.append(layer("text", {}, once, data="halves", **at, **word, fontSize=LABEL_SIZE, color=BLACK))
    return layers
