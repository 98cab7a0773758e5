"""A trace as tidy tables: plain arrays for the charts, polars frames for people.

Axes: h half-steps (0, 1, …, as the trace holds them), n rows of x, k components, d features. Totals are in nats.
The array functions load numpy alone; those named `…_frame` import polars when called.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from emcore.trace import Trace
from emcore.trees import leaves

if TYPE_CHECKING:
    import polars

NUMBERS = ("log_likelihood", "elbo", "kl", "entropy", "expected_log_joint", "log_prior", "objective")


class Ellipses(NamedTuple):
    """Gaussian components in a plane: centre + level · axes @ (cos t, sin t) is the curve at `level` sd."""

    centres: np.ndarray  # (h, k, 2)
    axes: np.ndarray  # (h, k, 2, 2), lower triangular with axes @ axesᵀ the covariance


def halves_columns(trace: Trace) -> dict[str, list[Any]]:
    """One entry per half-step: its place, iteration, kind ("E" or "M") and every total of `HalfStep`."""
    columns: dict[str, list[Any]] = {
        "half_step": list(range(len(trace))),
        "iteration": [half.iteration for half in trace],
        "kind": [half.kind for half in trace],
    }
    return columns | {name: [float(getattr(half, name)) for half in trace] for name in NUMBERS}


def kept_halves(n_halves: int, most: int) -> np.ndarray:
    """The half-steps to show when at most `most` of `n_halves` fit: whole iterations, dense early, the last always.

    The numbers of the iterations are max(i, i-th of a geometric progression): EM moves most at the start.
    Raises ValueError unless most ≥ 4 (the first and the last iteration).
    """
    if most < 4:
        raise ValueError(f"at least 4 half-steps must be shown (the first and last iteration), not {most}")
    if n_halves <= most:
        return np.arange(n_halves)
    n_iterations, size = (n_halves + 1) // 2, most // 2
    spread = np.floor(np.geomspace(1, n_iterations, size) + 0.5).astype(int)
    iterations = np.maximum(np.arange(1, size + 1), spread)
    iterations[-1] = n_iterations
    halves = (2 * (iterations - 1)[:, None] + np.arange(2)).ravel()
    return halves[halves < n_halves]


def kept_rows(n_rows: int, most: int) -> np.ndarray:
    """At most `most` rows, evenly spread over the table, the first and last always."""
    if n_rows <= most:
        return np.arange(n_rows)
    return np.floor(np.linspace(0, n_rows - 1, most) + 0.5).astype(int)


def gap_rows(trace: Trace, halves: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
    """What each row adds to the gap, weight_i · KL(q_i ‖ p(z | x_i)) (h, n): sums to `HalfStep.kl`."""
    rows = np.stack([trace[i].kl_rows for i in _chosen(trace, halves)])
    return rows if trace.weight is None else rows * trace.weight


def responsibilities(trace: Trace, halves: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
    """q_i(z = k) (h, n, k). Raises ValueError where q is not a table of probabilities."""
    chosen = _chosen(trace, halves)
    probs = getattr(trace[0].q, "probs", ())
    if np.ndim(probs) != 2:
        raise ValueError(
            f"q of {type(trace.model).__name__} is not a table of probabilities (n, k): this model's z is not one "
            "component per row, so there are no responsibilities to show"
        )
    return np.stack([trace[i].q.probs for i in chosen])


def gaussians(model: Any, params: Any) -> tuple[np.ndarray, np.ndarray]:
    """Means (k, d) and covariance matrices (k, d, d) of Gaussian components, whatever shape the model stores.

    A single normal (`mean`, `covariance`) is one component. Raises ValueError where the params have neither.
    """
    if hasattr(params, "mean") and hasattr(params, "covariance"):
        return np.asarray(params.mean)[None], np.asarray(params.covariance)[None]
    if not (hasattr(params, "means") and hasattr(params, "covariances")):
        raise ValueError(
            f"params of {type(model).__name__} have the fields {', '.join(getattr(params, '_fields', ()))}: "
            "ellipses need means and covariances"
        )
    means, covariances = np.asarray(params.means), np.asarray(params.covariances)
    shape: Any = getattr(getattr(model, "family", None), "shape", None)
    if hasattr(shape, "dense"):
        return means, shape.dense(covariances, *means.shape)
    return means, _dense(covariances, *means.shape)


def _dense(covariances: np.ndarray, k: int, d: int) -> np.ndarray:
    """By the number of axes, for a model that does not say; a symmetric (d, d) with k = d counts as tied."""
    if covariances.ndim == 3:
        return covariances
    if covariances.ndim == 1:
        return covariances[:, None, None] * np.eye(d)
    if covariances.shape == (d, d) and (k != d or np.array_equal(covariances, covariances.T)):
        return np.broadcast_to(covariances, (k, d, d))
    return covariances[:, :, None] * np.eye(d)


def ellipses(trace: Trace, columns: tuple[int, int], halves: Sequence[int] | np.ndarray | None = None) -> Ellipses:
    """The components' marginals over two columns of x at each half-step; all four shapes of covariance."""
    pair = list(columns)
    parts = [gaussians(trace.model, trace[i].params) for i in _chosen(trace, halves)]
    centres = np.stack([means[:, pair] for means, _ in parts])
    dense = np.stack([matrix[:, pair][:, :, pair] for _, matrix in parts])
    axes = np.zeros_like(dense)  # a Cholesky factor in closed form: a singular covariance gives a line, no error
    axes[..., 0, 0] = np.sqrt(dense[..., 0, 0])
    np.divide(dense[..., 1, 0], axes[..., 0, 0], out=axes[..., 1, 0], where=axes[..., 0, 0] > 0)
    axes[..., 1, 1] = np.sqrt(np.maximum(dense[..., 1, 1] - axes[..., 1, 0] ** 2, 0.0))
    return Ellipses(centres, axes)


def halves_frame(trace: Trace) -> "polars.DataFrame":
    """One row per half-step: `halves_columns` as a frame. This is `Trace.to_frame()`."""
    import polars as pl

    return pl.DataFrame(halves_columns(trace))


def gap_frame(trace: Trace) -> "polars.DataFrame":
    """One row per half-step and row of x: half_step, row, kl (weighted; its sum is the total of the half-step)."""
    return _long_frame({"kl": gap_rows(trace)}, ("half_step", "row"))


def responsibilities_frame(trace: Trace) -> "polars.DataFrame":
    """One row per half-step, row of x and component: half_step, row, component, responsibility."""
    return _long_frame({"responsibility": responsibilities(trace)}, ("half_step", "row", "component"))


def ellipses_frame(
    trace: Trace,
    columns: tuple[int, int] = (0, 1),
    levels: Sequence[float] = (1.0, 2.0),
    n_angles: int = 61,
) -> "polars.DataFrame":
    """Closed curves to draw: half_step, component, level (in sd), step (along the curve), x0, x1."""
    centres, axes = ellipses(trace, columns)
    angles = np.linspace(0.0, 2.0 * np.pi, n_angles)
    circle = np.stack([np.cos(angles), np.sin(angles)])  # (2, angles)
    circles = np.asarray(levels, dtype=float)[:, None, None] * circle  # (levels, 2, angles)
    curves = centres[:, :, None, :, None] + axes[:, :, None] @ circles  # (h, k, levels, 2, angles)
    axes_names = ("half_step", "component", "level", "step")
    frame = _long_frame({"x0": curves[..., 0, :], "x1": curves[..., 1, :]}, axes_names)
    return frame.with_columns(frame["level"].replace_strict(dict(enumerate(map(float, levels)))).alias("level"))


def scalars(params: Any) -> list[tuple[str, tuple[int, ...], float]]:
    """Every number of the params: field, index within the field, value."""
    return [
        (field, index, float(value))
        for field, part in zip(params._fields, params, strict=True)
        for leaf in leaves(part)
        for index, value in np.ndenumerate(leaf)
    ]


def parameters_frame(trace: Trace, fields: Sequence[str] | None = None) -> "polars.DataFrame":
    """One row per half-step and number of the params: half_step, iteration, kind, parameter ("means[0, 1]"), value.

    Raises ValueError for a field that the params do not have.
    """
    import polars as pl

    known = trace[0].params._fields
    if wrong := set(fields or ()) - set(known):
        raise ValueError(f"params have no field {sorted(wrong)}: they have {', '.join(known)}")
    rows = [
        (i, half.iteration, half.kind, parameter_name(field, index), value)
        for i, half in enumerate(trace)
        for field, index, value in scalars(half.params)
        if fields is None or field in fields
    ]
    return pl.DataFrame(rows, schema=["half_step", "iteration", "kind", "parameter", "value"], orient="row")


def parameter_name(field: str, index: tuple[int, ...]) -> str:
    """How the number is reached in code: means[0, 1]."""
    return field + (f"[{', '.join(map(str, index))}]" if index else "")


def _chosen(trace: Trace, halves: Sequence[int] | np.ndarray | None) -> Sequence[int]:
    if not len(trace):
        raise ValueError("the trace holds no half-step")
    return range(len(trace)) if halves is None else [int(i) for i in halves]


def _long_frame(values: dict[str, np.ndarray], axes: tuple[str, ...]) -> "polars.DataFrame":
    import polars as pl

    shape = next(iter(values.values())).shape
    places = {name: index.ravel() for name, index in zip(axes, np.indices(shape), strict=True)}
    return pl.DataFrame(places | {name: np.ascontiguousarray(value).ravel() for name, value in values.items()})
