"""The whole run on one screen, under one scrubber."""

from collections.abc import Sequence

from emcore.charts.gap import bars_panel
from emcore.charts.grammar import Json, titled
from emcore.charts.heading import heading, key
from emcore.charts.packed import Domain
from emcore.charts.path import path_panel
from emcore.charts.picture import Picture
from emcore.charts.scatter import scatter_panel
from emcore.charts.scene import Panel, Scene, scene_of
from emcore.charts.strips import strip_panel
from emcore.charts.trace import Scale, staircase_panel, zoom_box
from emcore.trace import Trace

_SIDE = 230  # labels of axes and of components, and the space between the two columns
_ABOVE = 85  # heading
_AROUND = 62  # title and axis of one panel


def view(
    trace: Trace,
    columns: Sequence[int] = (0, 1),
    *,
    names: Sequence[str] | None = None,
    domain: Domain | None = None,
    scale: Scale = "linear",
    zoom: bool = False,
    future: bool = True,
    width: int = 1240,
    height: int = 620,
    frames: int = 60,
    half_step: int = 0,
) -> Picture:
    """Who is responsible, the staircase, the bound in numbers and all of q, moved by one scrubber.

    Where q is not a table of probabilities, or x has no such columns to show, the path of the parameters takes the
    place of the scatter, and there is no strip. `width` and `height` are those of the whole, in pixels, without the
    scrubber. Other arguments as in `responsibilities` and `staircase`.
    """
    scene = scene_of(trace, frames)
    left, right = int(0.44 * (width - _SIDE)), int(0.56 * (width - _SIDE))
    room = height - _ABOVE
    discrete = scene.has_responsibilities
    figure = _figure(scene, columns, names, domain, left, room - _AROUND)
    shares = (0.41, 0.28, 0.31) if discrete else (0.6, 0.4)
    heights = [int(share * (room - _AROUND * len(shares))) for share in shares]
    stairs = staircase_panel(scene, scale, future, right, heights[0])
    bars = _named(bars_panel(scene, right, heights[1]), "The bound in nats")
    column = [stairs, bars]
    if discrete:
        column.append(_named(strip_panel(scene, right, heights[2]), "q(z = k) for every row of x"))
    spec: Json = {
        "vconcat": [
            {"width": width - _SIDE + 100, "height": 24, "view": {"stroke": None}, "layer": _top(scene)},
            {"hconcat": [figure.spec, {"vconcat": [panel.spec for panel in column], "spacing": 8}], "spacing": 28},
        ],
        "spacing": 8,
    }
    tables: dict[str, list[Json]] = {}
    for panel in (figure, *column):
        tables |= panel.datasets
    last = trace[-1]
    sentence = (
        f"EM step by step: {scene.subject()}. At the end the ELBO is {last.elbo:,.3f}, the gap {last.kl:.3g} and "
        f"the entropy of q {last.entropy:,.3f} nats."
    )
    return scene.picture(Panel(spec, tables), half_step, sentence, zoom_box(zoom))


def _top(scene: Scene) -> list[Json]:
    return heading(scene, 1000, rows=True, y=12, note_at=(-185, 12)) + key(12)


def _named(panel: Panel, title: str) -> Panel:
    return Panel(panel.spec | titled(title), panel.datasets)


def _figure(
    scene: Scene,
    columns: Sequence[int],
    names: Sequence[str] | None,
    domain: Domain | None,
    width: int,
    height: int,
) -> Panel:
    if scene.row_by_row:
        panel = scatter_panel(scene, columns, names, domain, width, height)
        return _named(panel, "Who is responsible for each point?")
    return path_panel(scene, columns, None, names, domain, width, height)
