"""The gap: log p(x) = ELBO + KL at the scrubbed half-step, in total and row by row."""

from collections.abc import Sequence

import numpy as np

from emcore.charts.grammar import Json, as_text, calculate, fitting, layer, look_up, now, quantitative, titled
from emcore.charts.heading import heading
from emcore.charts.marks import plane, row_tips
from emcore.charts.packed import Domain, check_columns, gaps_table, plane_domain, points_table, top_gaps_table
from emcore.charts.picture import Picture
from emcore.charts.scene import Panel, Scene, scene_of
from emcore.charts.theme import BLACK, GAP, GREY, LABEL_SIZE
from emcore.tables import gap_rows as rows_of_gap
from emcore.trace import Trace

_ENTROPY = "#CCCCCC"
_BELOW = "datum.value > 0 ? '+' + datum.label : replace(datum.label, '−', '')"  # a density's entropy may be negative
_NEEDED = 510  # pixels of the longest line of numbers
_BARS = ("KL(q || posterior)", "entropy H(q)")


def gap_bars(
    trace: Trace, *, width: int | str = 640, height: int = 190, frames: int = 60, half_step: int = 0
) -> Picture:
    """Log p(x) = ELBO + KL and ELBO = E_q log p(x, z) + H(q), as lengths and as numbers.

    The axis counts nats below log p(x), and is the same at every half-step: the KL bar ends at log p(x), the
    entropy bar ends at the ELBO. "Off by" is |log p(x) - ELBO - KL|, of three numbers computed apart: rounding
    alone. With a prior a third line of numbers is the objective.
    """
    scene = scene_of(trace, frames)
    panel = bars_panel(scene, width, height)
    spec = panel.spec | {"layer": heading(scene, width) + panel.spec["layer"]} | titled("log p(x) = ELBO + KL")
    first, last = trace[0], trace[-1]
    sentence = (
        f"The bound as bars, for {scene.subject()}. ELBO from {first.elbo:,.3f} to {last.elbo:,.3f}, "
        f"KL from {first.kl:.3g} to {last.kl:.3g}, entropy from {first.entropy:,.3f} to {last.entropy:,.3f} nats."
    )
    return scene.picture(Panel(spec, panel.datasets), half_step, sentence)


def bars_panel(scene: Scene, width: int | str, height: int) -> Panel:
    """The bars without heading and title."""
    x = quantitative("to", "nats below log p(x)", axis={"tickCount": 6, "labelExpr": _BELOW})
    ends = (calculate(_below("datum.expected_log_joint"), "a"), calculate(_below("datum.elbo"), "b"))
    still = (*ends, {"fold": ["a", "b"], "as": ["end", "to"]})
    off = f"' (off by ' + {_number('off')} + ')'"
    lines = [
        _sum("log p(x)", "log_likelihood", "ELBO", "elbo", "KL", "kl") + f" + {off}",
        _sum("ELBO", "elbo", "E log p(x, z)", "expected_log_joint", "H(q)", "entropy"),
    ]
    step = height / (3.0 if scene.has_prior else 2.0)
    if scene.has_prior:
        lines.append(_sum("objective", "objective", "ELBO", "elbo", "log prior", "log_prior"))
    layers = [
        layer("point", {"x": x}, *still, opacity=0, tooltip=None),  # holds the axis still
        *_bar(_BARS[0], "datum.elbo", "datum.log_likelihood", x, GAP, 0.62 * step, 0.34 * step),
        *_bar(_BARS[1], "datum.expected_log_joint", "datum.elbo", x, _ENTROPY, 1.62 * step, 0.34 * step),
        *(_line_of_numbers(text, (number + 0.26) * step, width) for number, text in enumerate(lines)),
    ]
    view = {"width": width, "height": height, "data": {"name": "halves"}, "layer": layers}
    return Panel(view, {"halves": scene.table})


def _sum(total: str, a: str, part: str, b: str, rest: str, c: str) -> str:
    """The text "log p(x) = ELBO + KL:  −1,120.3 = −1,121.4 + 1.1" as an expression."""
    return f"'{total} = {part} + {rest}:  ' + {_number(a)} + ' = ' + {_number(b)} + ' + ' + {_number(c)}"


def _number(field: str) -> str:
    value = f"datum.{field}"
    small = f"abs({value}) < 0.001 ? format({value}, '.2e') : format({value}, ',.3f')"
    return f"({value} == 0 ? '0' : {small})"


def _below(level: str) -> str:
    """A level less log p(x); what is rounding alone is 0, so that no axis is stretched by it."""
    distance = f"{level} - datum.log_likelihood"
    return f"abs({distance}) > 1e-9 * (1 + abs(datum.log_likelihood)) ? {distance} : 0"


def _line_of_numbers(text: str, y: float, width: int | str) -> Json:
    place: Json = {"align": "left", "baseline": "middle", "x": 6, "y": y, "color": BLACK, "tooltip": None}
    place["fontSize"] = fitting(width, _NEEDED)
    off = calculate("abs(datum.log_likelihood - datum.elbo - datum.kl)", "off")
    return layer("text", {"text": as_text("words")}, now(), off, calculate(text, "words"), **place)


def _bar(name: str, low: str, high: str, x: Json, fill: str, y: float, thickness: float) -> list[Json]:
    """A bar between two levels, and its name to the left of its lower end (KL) or within it (the entropy)."""
    steps = [
        now(),
        calculate(_below(low), "from"),
        calculate(_below(high), "to"),
    ]
    tips = [quantitative(field, title, format=".10g") for field, title in _TIPS]
    look: Json = {"color": fill, "stroke": BLACK, "strokeWidth": 0.8, "y": y, "height": thickness}
    end = x | {"field": "from"} if name == _BARS[0] else x
    words: Json = {"align": "right", "baseline": "middle", "dx": -8, "y": y, "text": name, "fontSize": LABEL_SIZE}
    return [
        layer("bar", {"x": x, "x2": {"field": "from"}, "tooltip": tips}, *steps, **look),
        layer("text", {"x": end}, *steps, **words, tooltip=None),
    ]


_TIPS = (
    ("log_likelihood", "log p(x)"),
    ("elbo", "ELBO"),
    ("kl", "KL"),
    ("expected_log_joint", "E log p(x, z)"),
    ("entropy", "H(q)"),
)


def gap_points(
    trace: Trace,
    columns: Sequence[int] = (0, 1),
    *,
    names: Sequence[str] | None = None,
    domain: Domain | None = None,
    width: int | str = 560,
    height: int = 440,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """Which rows make the bound loose: in the plane of two columns, area grows with KL(q_i ‖ p(z | x_i)).

    Areas are relative to the largest row of the half-step, so that the pattern shows however small the gap; the
    heading gives total and largest in nats. ValueError where q is not one per row of x, or x has one column.
    """
    scene = scene_of(trace, frames)
    if scene.n_columns < 2 or len(trace[0].kl_rows) != scene.n_rows:
        raise ValueError("x has no plane, or the gap is not one number per row of x (one per sequence): use gap_rows")
    titles = check_columns(scene, columns, names, 2)
    at = plane(titles, domain or plane_domain(scene, columns))
    steps = [
        *look_up("gaps", "largest", "shares"),
        calculate("datum.shares[datum.i] / 1000", "share"),
        calculate("datum.share * datum.largest", "kl"),
    ]
    area = quantitative("share", scale={"domain": [0, 1], "range": [0, 900]}, legend=None)
    channels = at | {"size": area, "tooltip": [*row_tips(titles), quantitative("kl", "KL in nats", format=".3g")]}
    look = {"fill": GAP, "stroke": BLACK, "strokeWidth": 0.8, "opacity": 0.75, "clip": True}
    dots = {"filled": True, "size": 16, "color": GREY, "opacity": 0.9, "clip": True}
    layers = [
        layer("point", at | {"tooltip": row_tips(titles)}, data="points", **dots),
        layer("point", channels, *steps, {"filter": "datum.share > 0"}, data="points", shape="circle", **look),
        _gap_words("gaps", "disc"),
    ]
    tables = {"points": points_table(scene, columns), "gaps": gaps_table(scene)}
    spec = {
        "width": width,
        "height": height,
        "layer": heading(scene, width, rows=True, y=-44, note_at=(0, -18)) + layers,
    }
    title = titled("Which points make the bound loose?")
    return scene.picture(Panel(spec | title, tables), half_step, _sentence(scene))


def _gap_words(table: str, what: str) -> Json:
    words = (
        f"datum.largest > 0 ? 'KL in total ' + format(datum.total, '.3g') + ' nats, the largest {what} ' + "
        "format(datum.largest, '.3g') : 'KL is 0: the bound touches'"
    )
    place = {"align": "left", "baseline": "middle", "x": 22, "y": -18, "fontSize": LABEL_SIZE, "tooltip": None}
    return layer("text", {"text": as_text("words")}, now(), calculate(words, "words"), data=table, **place)


def _sentence(scene: Scene) -> str:
    every = rows_of_gap(scene.trace)
    worst = int(np.argmax(every.sum(axis=1)))
    ordered = np.sort(every[worst])[::-1]
    total, few = ordered.sum(), max(1, len(ordered) // 10)
    share = 100.0 * ordered[:few].sum() / total if total > 0 else 0.0
    return (
        f"The gap row by row, for {scene.subject()}. At its widest, iteration {scene.halves['iteration'][worst]}, "
        f"{few} of {len(ordered)} rows carry {share:.0f} % of {total:.4g} nats."
    )


def gap_rows(
    trace: Trace,
    most: int = 15,
    *,
    width: int | str = 560,
    height: int = 400,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """The `most` rows with the largest KL_i at each half-step, as shares of the gap; for any model and any x."""
    scene = scene_of(trace, frames)
    unit = "row" if len(trace[0].kl_rows) == scene.n_rows else "sequence"
    steps = [
        now(),
        calculate("sequence(1, length(datum.rows) + 1)", "place"),
        {"flatten": ["rows", "kl", "place"]},
        calculate("datum.kl / datum.total", "share"),
        calculate(f"'{unit} ' + datum.rows", "name"),
    ]
    widest = calculate("datum.total > 0 ? datum.largest / datum.total : 0", "share")
    x = quantitative("share", "share of the gap", scale={"domainMin": 0}, axis={"format": ".0%", "tickCount": 5})
    y = quantitative("place", "", scale={"domain": [most + 0.5, 0.5], "nice": False}, axis=None)
    tips = [quantitative("rows", unit), quantitative("kl", "KL in nats", format=".3g")]
    bar = {"color": GAP, "stroke": BLACK, "strokeWidth": 0.8, "height": 0.7 * height / most}
    label = {"align": "left", "baseline": "middle", "dx": 6, "fontSize": LABEL_SIZE, "tooltip": None}
    layers = [
        layer("point", {"x": x}, widest, data="top_gaps", opacity=0, tooltip=None),  # holds the axis still
        layer("bar", {"x": x, "y": y, "tooltip": tips}, *steps, data="top_gaps", orient="horizontal", **bar),
        layer("text", {"x": x, "y": y, "text": as_text("name")}, *steps, data="top_gaps", **label),
        _gap_words("top_gaps", unit),
    ]
    spec = {"width": width, "height": height, "layer": heading(scene, width, y=-44, note_at=(0, -18)) + layers}
    panel = Panel(spec | titled("Which rows make the bound loose?"), {"top_gaps": top_gaps_table(scene, most)})
    return scene.picture(panel, half_step, _sentence(scene))
