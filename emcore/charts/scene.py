"""What all charts of one trace share: the half-steps shown, their tables and the scrubber.

The scrubber is one Vega-Lite parameter, `half_step`: the position among the half-steps shown, so that a picture
steps with no Python behind it. Tables hold one row per half-step, with a list or a string over rows of x inside;
marks look up the present row. That is a tenth of the size of one record per point and half-step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from emcore.charts.grammar import Json
from emcore.charts.picture import Picture
from emcore.tables import NUMBERS, halves_columns, kept_halves, kept_rows, responsibilities
from emcore.trace import Trace

_CELLS = 800_000  # characters that may be spent on what moves with every row and half-step


class Panel(NamedTuple):
    """A view without scrubber or configuration, and the tables it reads."""

    spec: Json
    datasets: dict[str, list[Json]]


@dataclass(frozen=True)
class Scene:
    """A trace with the half-steps and rows that are shown of it (all, where they fit)."""

    trace: Trace
    frames: int = 60

    def __post_init__(self) -> None:
        if not len(self.trace):
            raise ValueError("the trace holds no half-step: there is nothing to draw")

    @cached_property
    def shown(self) -> np.ndarray:
        """The half-steps shown (h,)."""
        return kept_halves(len(self.trace), self.frames)

    @cached_property
    def matrix(self) -> np.ndarray | None:
        """x as a table of numbers (n, d), or None where the model reads something else."""
        x = getattr(self.trace.x, "x", self.trace.x)  # sequences hold theirs
        return np.asarray(x, dtype=float) if isinstance(x, np.ndarray) and x.ndim == 2 else None

    @cached_property
    def weight(self) -> np.ndarray | None:
        """Weight of every row; sequences have one each, which their rows share."""
        per_row = getattr(self.trace.x, "per_row", None)
        return per_row(self.trace.weight) if per_row else self.trace.weight

    @cached_property
    def rows(self) -> np.ndarray:
        """The rows shown (r,): as many as the budget allows."""
        return kept_rows(self.n_rows, max(50, _CELLS // (len(self.shown) * (11 + 4 * self.n_components))))

    @property
    def has_responsibilities(self) -> bool:
        """True where q is a table of probabilities."""
        return np.ndim(getattr(self.trace[0].q, "probs", ())) == 2

    @cached_property
    def responsibilities(self) -> np.ndarray:
        """Of all rows at the half-steps shown (h, n, k)."""
        return responsibilities(self.trace, self.shown)

    @property
    def n_rows(self) -> int:
        """Rows of q where it is a table of probabilities, else of x."""
        if self.has_responsibilities:
            return len(self.trace[0].q.probs)
        return len(self.trace.x if self.matrix is None else self.matrix)

    @property
    def n_columns(self) -> int:
        """Columns of x; 0 where it is no table."""
        return 0 if self.matrix is None else self.matrix.shape[1]

    @property
    def row_by_row(self) -> bool:
        """True where x is a table with one row for every row of q."""
        return self.matrix is not None and self.has_responsibilities and len(self.matrix) == self.n_rows

    @property
    def n_components(self) -> int:
        """k where q is a table of probabilities, else 1."""
        return self.trace[0].q.probs.shape[1] if self.has_responsibilities else 1

    @cached_property
    def whole(self) -> bool:
        """True where the model accepts whole numbers alone."""
        try:
            self.trace.model.check(np.full((2, max(self.n_columns, 1)), 0.5))
        except ValueError:
            return True
        return False

    @cached_property
    def halves(self) -> dict[str, list[Any]]:
        """`halves_columns` of all half-steps."""
        return halves_columns(self.trace)

    @cached_property
    def table(self) -> list[Json]:
        """The `halves` table: every number of a half-step, distances below the summit, and in words where we are."""
        columns = {name: np.array(self.halves[name], dtype=float)[self.shown] for name in NUMBERS}
        columns["log_posterior"] = columns["log_likelihood"] + columns["log_prior"]  # up to a constant
        for level, bound in (("log_likelihood", "elbo"), ("log_posterior", "objective")):
            summit = max(filter(isfinite, columns[level].tolist()), default=0.0)
            columns |= {f"below_{name}": summit - columns[name] for name in (level, bound)}
        lists = {name: values.tolist() for name, values in columns.items()}
        return [
            {name: _plain(values[place], name.startswith("below_")) for name, values in lists.items()}
            | self._words(place, int(index))
            for place, index in enumerate(self.shown)
        ]

    def _words(self, place: int, index: int) -> Json:
        kind, iteration = self.halves["kind"][index], self.halves["iteration"][index]
        moved = "q moved, θ held" if kind == "E" else "θ moved, q held"
        return {
            "half_step": place,
            "index": index,
            "iteration": iteration,
            "kind": kind,
            "title": f"iteration {iteration}, after the {kind}-step: {moved}",
            "note": self.note(rows=False),
            "note_rows": self.note(rows=True),
        }

    def note(self, rows: bool) -> str:
        """What is left out, or nothing."""
        parts = []
        if len(self.shown) < len(self.trace):
            parts.append(f"{len(self.shown):,} of {len(self.trace):,} half-steps")
        if rows and len(self.rows) < self.n_rows:
            parts.append(f"{len(self.rows):,} of {self.n_rows:,} rows")
        return f"shown: {', '.join(parts)}" if parts else ""

    @property
    def has_prior(self) -> bool:
        """True where the objective is not the ELBO alone."""
        return any(value != 0 for value in self.halves["log_prior"])

    def subject(self) -> str:
        """The run in words, for the description of a chart."""
        components = f", {self.n_components} components" if self.n_components > 1 else ""
        first, last = self.halves["log_likelihood"][0], self.halves["log_likelihood"][-1]
        return (
            f"{len(self.trace)} half-steps of EM on {self.n_rows} rows{components}; "
            f"log-likelihood from {first:,.3f} to {last:,.3f} nats"
        )

    def scrubber(self, half_step: int) -> Json:
        """The bound parameter, at a first position from 0 (negative: from the end)."""
        last = len(self.shown) - 1
        place = half_step + last + 1 if half_step < 0 else half_step
        if not 0 <= place <= last:
            raise ValueError(f"half_step={half_step} is not among the {last + 1} half-steps shown (0 to {last})")
        bind = {"input": "range", "min": 0, "max": last, "step": 1, "name": "half-step "}
        return {"name": "half_step", "value": place, "bind": bind}

    def picture(self, panel: Panel, half_step: int, description: str, *params: Json) -> Picture:
        """The panel as a chart with its scrubber, other parameters, and a sentence for screen readers."""
        top = {"params": [self.scrubber(half_step), *params], "description": description}
        return Picture(top | panel.spec, panel.datasets | {"halves": self.table})


@lru_cache(maxsize=4)
def scene_of(trace: Trace, frames: int) -> Scene:
    """The scene of a run: the charts of one page, and of everyone who looks at the same run, share its tables."""
    return Scene(trace, frames)


def plain(value: float) -> float | None:
    """A number as JSON knows it: not finite is null."""
    return value if isfinite(value) else None


def _plain(value: float, logarithmic: bool) -> float | None:
    return plain(value) if value > 0 or not logarithmic else None


def column_titles(names: Sequence[str] | None, columns: Sequence[int], n_features: int) -> list[str]:
    """Titles of the chosen columns, which may hold any characters: fields inside a chart are called x0 and x1.

    Raises ValueError for columns that x does not have, or names that are not one per column of x.
    """
    if wrong := [column for column in columns if not 0 <= column < n_features]:
        raise ValueError(f"x has columns 0 to {n_features - 1}, but columns={tuple(columns)} asks for {wrong[0]}")
    if names is None:
        return [f"column {column} of x" for column in columns]
    if len(names) != n_features:
        raise ValueError(f"names must be one per column of x ({n_features}), but there are {len(names)}")
    return [str(names[column]) for column in columns]
