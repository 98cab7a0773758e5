"""Who is responsible for each point: the data in a plane, coloured by q, with the components over them."""

from collections.abc import Sequence

from emcore.charts.densities import line_layers
from emcore.charts.grammar import Json, titled
from emcore.charts.heading import heading
from emcore.charts.marks import coloured_rows, component_layers, plane, spread_apart, spread_channels
from emcore.charts.packed import (
    Domain,
    check_columns,
    components_table,
    plane_domain,
    points_table,
    q_table,
    shown_responsibilities,
)
from emcore.charts.picture import Picture
from emcore.charts.scene import Panel, Scene, scene_of
from emcore.trace import Trace


def responsibilities(
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
    """The rows of x in the plane of two columns, each in its components' colours mixed by q, with the shape of the
    likeliest one. Over them every component's number at its mean, and its ellipses of 1 and 2 sd where it is Gaussian
    (for Student's t those of the scale matrix).

    With one column, x along the axis, the weighted densities above. Whole numbers are spread out a little, so that
    equal rows do not hide one another; rows with a missing cell in these columns are not drawn.

    `names`: one title per column of x, units included. `domain`: the axes, ((low, high), (low, high)); otherwise they
    follow from the data alone. `width` in pixels or "container"; at most `frames` half-steps are shown; `half_step` is
    where the scrubber starts (negative: from the end). ValueError where q is no table with a row for each row of x.
    """
    scene = scene_of(trace, frames)
    panel = scatter_panel(scene, columns, names, domain, width, height)
    spec = (
        panel.spec
        | {"layer": heading(scene, width, rows=True) + panel.spec["layer"]}
        | titled("Who is responsible for each point?")
    )
    return scene.picture(Panel(spec, panel.datasets), half_step, _sentence(scene))


def _sentence(scene: Scene) -> str:
    last = scene.trace[-1].q.probs
    counts = ", ".join(f"{count:.1f}" for count in last.sum(axis=0))
    unsure = int((last.max(axis=1) < 0.9).sum())
    return (
        f"Responsibilities over {scene.subject()}. At the end the components hold {counts} rows, "
        f"and {unsure} rows are less than 90 % sure of their component."
    )


def scatter_panel(
    scene: Scene,
    columns: Sequence[int],
    names: Sequence[str] | None,
    domain: Domain | None,
    width: int | str,
    height: int,
) -> Panel:
    """The coloured data without heading and title: a plane, or a line where x has one column."""
    probs = shown_responsibilities(scene)
    columns = columns if scene.n_columns != 1 else (0,)
    titles = check_columns(scene, columns, names, min(scene.n_columns, 2))
    if not scene.row_by_row:
        raise ValueError("q is not one row per row of x here: use strip, which shows q alone")
    tables: dict[str, list[Json]] = {"q": q_table(probs)}
    if len(titles) == 1:
        layers, more = line_layers(scene, titles[0], domain, height)
        tables |= more | {"points": points_table(scene, columns)}
        return Panel({"width": width, "height": height, "layer": layers}, tables)
    first, second = int(columns[0]), int(columns[1])
    at = plane(titles, domain or plane_domain(scene, columns))
    tables |= {"points": points_table(scene, columns), "components": components_table(scene, (first, second))}
    apart = spread_apart() if scene.whole else []
    rows = coloured_rows(spread_channels(at) if scene.whole else at, titles, scene.n_components, *apart)
    layers = [rows, *component_layers(at, tables["components"])]
    return Panel({"width": width, "height": height, "layer": layers}, tables)
