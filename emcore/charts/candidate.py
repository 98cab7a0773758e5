"""One candidate for the number of components: its components, and the run that led to them."""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite

import numpy as np

from emcore.charts.gap import gap_rows
from emcore.charts.grammar import Json, layer, quantitative, titled
from emcore.charts.picture import Picture
from emcore.charts.scatter import responsibilities
from emcore.charts.strips import strip
from emcore.charts.theme import BLACK, GREY, LABEL_SIZE
from emcore.charts.trace import kl_curve, staircase
from emcore.trace import Trace

# What can be asked about a candidate; only the first can be answered by where the run ended.
QUESTIONS = (
    "Whose z is unsure?",
    "How did EM get there?",
    "The bound",
    "KL on a log scale",
    "Where is it loose?",
)


def latent_classes(
    weights: np.ndarray, probs: np.ndarray, names: Sequence[str], *, width: int | str = 480, height: int = 300
) -> Picture:
    """The probability of a code above 0 for every item (d) in every class (k): `weights` (k,), `probs` (k, d, L)."""
    above = 1.0 - probs[:, :, 0]
    table = [
        {
            "class": f"class {k} ({weights[k]:.0%})",
            "name": str(names[j]),
            "p": float(above[k, j]),
        }
        for k in range(above.shape[0])
        for j in range(above.shape[1])
    ]
    axis = {"labelAngle": -30 if max(map(len, names)) > 5 else 0, "labelLimit": 90}
    # Names are cells of a table, shown as text; fields, scales and expressions never hold one.
    at = {
        "x": {"field": "name", "type": "nominal", "sort": None, "title": "item", "axis": axis},
        "y": {"field": "class", "type": "nominal", "title": None},
    }
    shade = quantitative("p", None, legend=None, scale={"domain": [0, 1], "range": ["#FFFFFF", "#303030"]})
    tips = [{"field": f, "type": "nominal", "title": f} for f in ("class", "name")] + [quantitative("p", "p(code > 0)")]
    text = {"field": "p", "type": "quantitative", "format": ".2f"}
    look: Json = {"fontSize": LABEL_SIZE, "tooltip": None}
    layers = [
        layer("rect", at | {"color": shade, "tooltip": tips}, stroke="#CCCCCC"),
        *(
            layer("text", at | {"text": text}, {"filter": f"datum.p {side} 0.55"}, **look, color=ink)
            for side, ink in (("<=", BLACK), (">", "white"))
        ),
    ]
    spec = {"width": width, "height": height, "data": {"name": "classes"}, "layer": layers}
    said = "; ".join(f"class {k} holds {weights[k]:.0%}" for k in range(len(weights)))
    spec |= titled("p(code above 0) in each class") | {
        "description": f"Latent classes over {len(names)} items: {said}."
    }
    return Picture(spec, {"classes": table})


def nothing(words: str, *, width: int | str = 480, height: int = 300) -> Picture:
    """An empty picture that says why it is empty; `words` are the project's own, never a student's."""
    mark = {"type": "text", "text": words, "color": GREY, "fontSize": LABEL_SIZE, "tooltip": None}
    spec = {"width": width, "height": height, "data": {"name": "empty"}, "mark": mark, "description": words}
    return Picture(spec, {"empty": [{"row": 0}]})


def components(trace: Trace | None, names: Sequence[str], *, width: int | str = 480, height: int = 300) -> Picture:
    """The components at the end of a run: over the rows where they are Gaussian, as a table for latent classes.

    Of many columns the first and third are shown, which differ more often than neighbours do.
    """
    if trace is None:
        return nothing("no components to show", width=width, height=height)
    params = trace[-1].params
    if hasattr(params, "probs"):
        return latent_classes(params.weights, params.probs, names, width=width, height=height)
    if len(names) == 1 and _stretched(trace.x[:, 0]):
        return nothing("some rows lie too far out to be drawn with the rest", width=width, height=height)
    # A tooltip's titles are written into a Vega expression, where a backslash would escape the closing quote.
    titles = [name.replace("\\", "∖") for name in names]
    columns = (0, 1) if len(names) < 3 else (0, 2)
    return responsibilities(trace, columns, names=titles, width=width, height=height, half_step=-1)


def _stretched(x: np.ndarray) -> bool:
    """True where a histogram would need more than a hundred thousand bins to show the middle half of the rows."""
    low, high = np.nanquantile(x, [0.25, 0.75])
    return bool(0 < high - low < 1e-5 * (np.nanmax(x) - np.nanmin(x)))


def closer_look(
    trace: Trace | None, question: str, names: Sequence[str], *, width: int | str = 480, height: int = 300
) -> Picture:
    """The answer to one of QUESTIONS from a run, at its end; None where nothing was fitted. KeyError for any other."""
    if trace is None or (question == QUESTIONS[1] and not hasattr(trace[-1].params, "probs")):
        return components(trace, names, width=width, height=height)
    if question == QUESTIONS[4] and not all(isfinite(half.kl) for half in trace):
        return nothing("in one M-step a probability underflows to 0 where q is not 0", width=width, height=height)
    draws: Mapping[str, Callable[..., Picture]] = dict(
        zip(QUESTIONS, (strip, strip, staircase, kl_curve, gap_rows), strict=True)
    )
    return draws[question](trace, width=width, height=height, half_step=-1)
