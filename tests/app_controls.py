"""The values of a control that tests try, as copies of it that are put in its place.

Sliders and numbers at both ends (a number without ends at ±1,000,000), range sliders at both ends and over their whole
range, every option of dropdowns and radios, none and all of a multiselect, every tab, switches and checkboxes off and
on, text that is no table, buttons that count as they are and pressed, forms submitted as they stand. Arrays and
dictionaries (exercises) take their parts' values in step. Left as they are: uploads, tables and draggable handles.
"""

from typing import Any

import marimo as mo

FAR = 1_000_000
NOT_A_TABLE = 'a,b\n1,x\n"'


def copies(control: Any) -> list[Any]:
    """Copies of a control with the values to try; none for a kind that is left as it is, and for no control."""
    match control:
        case mo.ui.slider():
            return [_slider(mo.ui.slider, control, value) for value in (control.start, control.stop)]
        case mo.ui.range_slider():
            low, high = control.start, control.stop
            return [_slider(mo.ui.range_slider, control, ends) for ends in ((low, low), (low, high), (high, high))]
        case mo.ui.number():
            low = -FAR if control.start is None else control.start
            high = FAR if control.stop is None else control.stop
            return [mo.ui.number(low, high, value=value) for value in (low, high)]
        case mo.ui.dropdown() | mo.ui.radio():
            return [type(control)(control.options, value=name) for name in control.options]
        case mo.ui.multiselect():
            return [mo.ui.multiselect(control.options, value=some) for some in ([], list(control.options))]
        case mo.ui.switch() | mo.ui.checkbox():
            return [type(control)(value=value) for value in (False, True)]
        case mo.ui.text() | mo.ui.text_area():
            return [type(control)(value=NOT_A_TABLE)]
        case mo.ui.tabs():
            return [mo.ui.tabs(dict.fromkeys(control._tab_keys, ""), value=name) for name in control._tab_keys]
        case mo.ui.run_button():
            return [mo.ui.switch(value=value) for value in (False, True)]  # True while what it asked for runs
        case mo.ui.button() if isinstance(control.value, int):
            return [mo.ui.button(value=control.value + presses) for presses in (0, 1)]
        case mo.ui.form():
            return [control.element]  # its value is there at once
        case mo.ui.array():
            return [mo.ui.array(parts) for parts in _in_step(control.elements)]
        case mo.ui.dictionary():
            parts = _in_step(control.elements.values())
            return [mo.ui.dictionary(dict(zip(control.elements, values))) for values in parts]
    return []


def _slider(kind: Any, control: Any, value: Any) -> Any:
    if control.steps is not None:
        return kind(steps=control.steps, value=value)
    return kind(control.start, control.stop, control.step, value=value)


def _in_step(parts: Any) -> list[list[Any]]:
    """Several controls moved together: the first value of each, then the second, …; the shorter lists begin again."""
    every = [copies(part) or [part] for part in parts]
    return [[values[turn % len(values)] for values in every] for turn in range(max(map(len, every), default=0))]
