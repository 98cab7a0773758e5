"""The code that does what a lesson shows: a short script that needs `emcore` alone, and defines `fit`.

What a student typed or uploaded enters a script as a quoted string, never as code.
"""

import json
from collections.abc import Sequence
from typing import Any, Protocol

_WIDEST = 100
DEATH_NOTICES = (
    'table = em.datasets.load("death_notices")',
    'x, weight = table.select("notices"), table["days"].to_numpy()',
)


class OneRun(Protocol):
    """The settings of a run from one start."""

    @property
    def init(self) -> str:
        """A method's name."""

    @property
    def seed(self) -> int:
        """Of the start."""

    @property
    def max_iter(self) -> int:
        """Iterations at most."""


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


def one_run(settings: OneRun, tol: float, *more: str, start: str = "") -> list[str]:
    """The fit of these settings, half-steps recorded: from `start`, code, where it is given, else drawn as they say.

    `more`: arguments as code.
    """
    drawn = [f"init={literal(settings.init)}", "restarts=1", f"seed={settings.seed}"]
    given = [f"init={start}"] if start else drawn
    fitted = call("em.fit", "model", "x", *given, *more, tol=tol, max_iter=settings.max_iter, trace=True)
    return [f"fit = {fitted}", "print(fit.status, fit.message)"]


def stepped(run: str, n_half_steps: int) -> list[str]:
    """The first half-steps of a run that has no end, as `trace`."""
    return [f"run = {run}", f"trace = [next(run) for _ in range({n_half_steps})]"]


def half_steps(trace: str = "fit.trace") -> list[str]:
    """Every half-step of a trace, printed: log p(x) = ELBO + KL."""
    numbers = "{half.log_likelihood:.6f} = {half.elbo:.6f} + {half.kl:.6f}"
    return [f"for half in {trace}:", f'    print(f"{{half.iteration}} {{half.kind}}  {numbers}")']


def gaussian(covariance: str, prior: float) -> str:
    """The Gaussian family, with Fraley and Raftery's prior where it has a strength."""
    return call("em.Gaussian", literal(covariance), f"prior=em.FraleyRaftery({literal(prior)})" if prior > 0 else "")
