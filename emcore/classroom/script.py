"""The code that does what a lesson shows: a short script that needs `emcore` alone, and defines `fit`.

What a student typed or uploaded enters a script as a quoted string, never as code.
"""

import json
from collections.abc import Sequence
from typing import Any

_WIDEST = 100
HALF_STEPS = (
    "for half in fit.trace:",
    '    print(f"{half.iteration} {half.kind}  {half.log_likelihood:.6f} = {half.elbo:.6f} + {half.kl:.6f}")',
)


def script(*paragraphs: Sequence[str]) -> str:
    """Paragraphs of lines, after `import emcore as em`."""
    return "\n\n".join(["import emcore as em", *("\n".join(lines) for lines in paragraphs)]) + "\n"


def literal(value: Any) -> str:
    """The value as Python text: what JSON says of a string Python reads alike, whatever is in it."""
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(literal, value))}]"
    return repr(value)


def call(function: str, *arguments: str, **options: Any) -> str:
    """`function(arguments, option=value)` over as many lines as it needs.

    Arguments are code, options are values; what is None or "" is left out.
    """
    given = [*filter(None, arguments), *(f"{name}={literal(v)}" for name, v in options.items() if v is not None)]
    line = f"{function}({', '.join(given)})"
    return line if len(line) <= _WIDEST else "\n".join([f"{function}(", *(f"    {part}," for part in given), ")"])
