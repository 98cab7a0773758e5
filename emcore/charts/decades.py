"""Powers of ten as they are written by hand: 10⁻⁵, and 0.01 to 100 in full."""

from typing import Any

from emcore.charts.grammar import Json, powers_of_ten

_DIGITS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_E = "round(log(datum.value) / LN10)"
_UNIT, _TEN = (f"slice('{_DIGITS}', {part}, 1 + {part})" for part in (f"abs({_E}) % 10", f"floor(abs({_E}) / 10)"))
POWERS = (
    f"abs({_E}) <= 2 ? format(datum.value, '~g') : "
    f"'10' + ({_E} < 0 ? '⁻' : '') + (abs({_E}) > 9 ? {_TEN} : '') + {_UNIT}"
)  # the label of a tick at a power of ten, as a Vega expression


def decades(title: str, field: str, **scale: Any) -> Json:
    """`powers_of_ten` with ticks written in one way."""
    channel = powers_of_ten(title, field, **scale)
    channel["axis"] = {name: value for name, value in channel["axis"].items() if name != "format"}
    channel["axis"]["labelExpr"] = POWERS
    return channel
