"""The tables that charts embed: one row per half-step, with rows of x and components packed inside.

`q` holds thousandths per row and component, `gaps` thousandths of the half-step's largest KL_i, `components` one row
per half-step and component. Places within them count the rows shown.
Long lists of whole numbers stay arrays until somebody asks for JSON: a live chart sends their bytes.
"""

from collections.abc import Sequence

import numpy as np

from emcore.charts.grammar import Json
from emcore.charts.scene import Scene, column_titles, plain
from emcore.charts.theme import colour, dash, shape
from emcore.families.binomial import Binomial
from emcore.families.exponential import Exponential
from emcore.families.poisson import Poisson
from emcore.tables import ellipses, gap_rows
from emcore.trace import Trace

Domain = tuple[tuple[float, float], tuple[float, float]]


def check_columns(scene: Scene, columns: Sequence[int], names: Sequence[str] | None, count: int) -> list[str]:
    """Titles of exactly `count` columns; ValueError says how x disappoints."""
    if not scene.n_columns:
        raise ValueError(f"x of {type(scene.trace.model).__name__} is not a table of numbers: it has no plane to show")
    if len(columns) != count or len(set(columns)) != count:
        raise ValueError(f"columns={tuple(columns)}: this picture has {count} different columns of x")
    return column_titles(names, columns, scene.n_columns)


def points_table(scene: Scene, columns: Sequence[int]) -> list[Json]:
    """One row per row of x shown: `i` its place here, `row` its number in x, x0 (and x1), `size` (its weight)."""
    assert scene.matrix is not None  # see check_columns
    x, weight = scene.matrix[scene.rows], scene.weight
    size = np.ones(len(x)) if weight is None else weight[scene.rows] / weight.max()
    cells = [[plain(float(value)) for value in x[:, column]] for column in columns]
    return [
        {"i": i, "row": int(row), "size": round(float(size[i]), 4)} | {f"x{j}": cells[j][i] for j in range(len(cells))}
        for i, row in enumerate(scene.rows)
    ]


def shown_responsibilities(scene: Scene) -> np.ndarray:
    """(h, r, k) at the half-steps and rows shown."""
    return scene.responsibilities[:, scene.rows]


def q_table(probs: np.ndarray) -> list[Json]:
    """Per half-step: k, and q in thousandths, all components of the first row shown, then of the next."""
    thousandths = np.floor(1000.0 * probs + 0.5).astype(np.int16).reshape(len(probs), -1)
    return [{"half_step": place, "k": probs.shape[2], "q": values} for place, values in enumerate(thousandths)]


def gaps_table(scene: Scene) -> list[Json]:
    """Per half-step: total and largest KL_i in nats, and every row's KL_i in thousandths of the largest."""
    every = gap_rows(scene.trace, scene.shown)
    rows = scene.rows if every.shape[1] == scene.n_rows else np.arange(every.shape[1])
    largest = every.max(axis=1)
    safe = np.where(largest > 0, largest, 1.0)
    shares = np.floor(1000.0 * every[:, rows] / safe[:, None] + 0.5).astype(np.int16)
    totals = every.sum(axis=1).tolist()
    return [
        {"half_step": place, "total": totals[place], "largest": float(largest[place]), "shares": shares[place]}
        for place in range(len(every))
    ]


def top_gaps_table(scene: Scene, most: int) -> list[Json]:
    """Per half-step: the gap's total, and the rows with the largest KL_i (positive ones), largest first."""
    table = []
    for place, values in enumerate(gap_rows(scene.trace, scene.shown)):
        order = np.argsort(-values, kind="stable")[:most]
        order = order[values[order] > 0]
        total, largest = float(values.sum()), float(values.max())
        table.append({"half_step": place, "total": total, "largest": largest, "rows": order.tolist()})
        table[-1]["kl"] = [float(f"{value:.5g}") for value in values[order]]  # drawn and read to three digits
    return table


def counts_table(scene: Scene, font: float) -> list[Json]:
    """Per half-step and component: the rows it holds, Σ_i weight_i q_ik; the `base` and `font` of its row of bars."""
    return [
        {"half_step": place, "component": c, "count": round(float(count), 2), "base": -c - 1, "font": font}
        for place, counts in enumerate(_soft_counts(scene))
        for c, count in enumerate(counts)
    ]


def centres(trace: Trace, index: int) -> np.ndarray | None:
    """Where the components lie in the space of x (k, d), at a half-step; None where the params do not say."""
    params, family = trace[index].params, getattr(trace.model, "family", None)
    if isinstance(family, Poisson):
        return params.rates
    if isinstance(family, Exponential):
        return 1.0 / params.rates
    if isinstance(family, Binomial):
        return np.asarray(family.n_trials) * params.probs
    if hasattr(params, "mean") and hasattr(params, "covariance"):
        return params.mean[None]
    means = np.asarray(getattr(params, "means", ()))
    return means if means.ndim == 2 else None


def components_table(scene: Scene, columns: tuple[int, int]) -> list[Json]:
    """Per half-step and component: soft count, mean (x0, x1), ellipse (a, b, c) where Gaussian, colour, dash, shape."""
    every = (centres(scene.trace, int(i)) for i in scene.shown)
    places = [means for means in every if means is not None]  # all of them, or none
    if not places:
        return []
    params = scene.trace[0].params
    gaussian = hasattr(params, "covariances") or hasattr(params, "covariance")
    axes = ellipses(scene.trace, columns, scene.shown).axes if gaussian else None
    counts = _soft_counts(scene) if scene.has_responsibilities else None
    return [
        {
            "half_step": place,
            "component": c,
            "x0": float(means[c, columns[0]]),
            "x1": float(means[c, columns[1]]),
            **({} if counts is None else {"count": round(float(counts[place, c]), 2)}),
            **({} if axes is None else _lengths(axes[place, c])),
            **looks(c),
        }
        for place, means in enumerate(places)
        for c in range(len(means))
    ]


def looks(component: int) -> Json:
    """Colour, dash and shape of a component."""
    return {"colour": colour(component), "dash": dash(component), "shape": shape(component)}


def _lengths(axes: np.ndarray) -> Json:
    return {"a": float(axes[0, 0]), "b": float(axes[1, 0]), "c": float(axes[1, 1])}


def _soft_counts(scene: Scene) -> np.ndarray:
    """Σ_i weight_i q_ik (h, k) over all rows."""
    probs = scene.responsibilities
    return probs.sum(axis=1) if scene.weight is None else np.einsum("n,hnk->hk", scene.weight, probs)


def padded(values: np.ndarray, whole: bool = False, share: float = 0.1) -> tuple[float, float]:
    """An axis for these values: their range and a margin (half a unit for whole numbers); never empty."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    margin = share * (high - low) if high > low else max(abs(low), 1.0) * share
    margin = max(margin, 0.6) if whole else margin
    return low - margin, high + margin


def plane_domain(scene: Scene, columns: Sequence[int]) -> Domain:
    """Axes from the data alone, so that they are the same for every run on the same data."""
    assert scene.matrix is not None  # see check_columns
    first, second = (padded(scene.matrix[:, column], scene.whole) for column in columns)
    return first, second
