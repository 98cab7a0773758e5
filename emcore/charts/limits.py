"""Axes whose ends are a table's numbers: another run then changes data alone, and the picture stays on the page."""

from emcore.charts.grammar import Json, layer


def scale_of(table: str) -> Json:
    """A scale from `low` to `high` of the one row of a table, which `held_by` puts into the chart."""
    ends = [{"expr": f"data('{table}')[0].{name}"} for name in ("low", "high")]
    return {"domain": ends, "nice": False, "zero": False}


def held_by(table: str) -> list[Json]:
    """A layer without marks: a table that only an axis reads would otherwise be left out."""
    return [layer("point", {}, data=table, opacity=0, size=0, tooltip=None)]
