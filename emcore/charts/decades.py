"""Powers of ten as they are written by hand: 10⁻⁵, and 0.01 to 100 in full."""

from typing import Any

from emcore.charts.grammar import Json, quantitative

_DIGITS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_E = "round(log(datum.value) / LN10)"
_UNIT, _TEN = (f"slice('{_DIGITS}', {part}, 1 + {part})" for part in (f"abs({_E}) % 10", f"floor(abs({_E}) / 10)"))
POWERS = (
    f"abs({_E}) <= 2 ? format(datum.value, '~g') : "
    f"'10' + ({_E} < 0 ? '⁻' : '') + (abs({_E}) > 9 ? {_TEN} : '') + {_UNIT}"
)  # the label of a tick at a power of ten, as a Vega expression


_WHOLE = f"abs(log(datum.value) / LN10 - {_E}) < 1e-6"


def decades(title: str, field: str, **scale: Any) -> Json:
    """A channel on a log axis with lines and ticks at powers of ten alone; others are named where there is room."""
    only = {"condition": {"test": _WHOLE, "value": 1}, "value": 0}
    names = {"format": "~g", "labelExpr": f"{_WHOLE} ? ({POWERS}) : datum.label"}
    axis = {"tickCount": 6, "gridOpacity": only, "tickOpacity": only} | names
    return quantitative(field, title, scale={"type": "log", "nice": False} | scale, axis=axis)
