"""What the apps share on the page: layout around words, fields and numbers that come from elsewhere.

`emcore` does not know marimo: a notebook hands it over, `page = Page(mo)`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emcore.classroom import links
from emcore.classroom.exercises import Exercise, Verdict


@dataclass(frozen=True)
class Page:
    """The parts that every lesson has, made with the notebook's own marimo."""

    mo: Any

    def side_by_side(self, *columns: Sequence[Any]) -> Any:
        """Columns of views that fold into one on a phone."""
        cells = ("".join(f"{view}" for view in column) for column in columns)
        return self.mo.Html("<div class='em-grid'>" + "".join(f"<div>{cell}</div>" for cell in cells) + "</div>")

    def number_fields(self, exercises: Iterable[Exercise]) -> Any:
        """One number field per exercise."""
        field = self.mo.ui.number
        return self.mo.ui.array([field(step=0.001, label=asked.question, full_width=True) for asked in exercises])

    def exercises(self, answered: Iterable[tuple[Any, Verdict]], more: Sequence[Any] = ()) -> Any:
        """Fields with what is to be said of their answers, folded away; then anything `more`."""
        parts: list[Any] = []
        for field, verdict in answered:
            said = [self.mo.callout(verdict.words, kind=verdict.kind)] if verdict.words else []
            parts += [field, *said]
        return self.mo.accordion({"Exercises": self.mo.vstack([*parts, *more], gap=1)})

    def numbers(self, shown: Iterable[tuple[str, str]], worst: float, n_half_steps: int) -> Any:
        """Numbers as (text, label) in a row, and last how far off log p(x) = ELBO + KL was at its worst."""
        stat = self.mo.stat
        stats = [stat(text, label=label, bordered=True) for text, label in shown]
        identity = stat(
            f"{worst:.1e}",
            label="largest |log p(x) − ELBO − KL|",
            caption=f"over {n_half_steps} half-steps",
            bordered=True,
        )
        return self.mo.hstack([*stats, identity], wrap=True, widths="equal")

    def every_half_step(self, trace: Any) -> Any:
        """The trace as a table, folded away."""
        table = self.mo.ui.table(trace.to_frame(), selection=None, page_size=12)
        return self.mo.accordion({"Every half-step in numbers": table})

    def csv(self, text: str | Callable[[], str], filename: str, label: str) -> Any:
        """A button that downloads a table; one that is still to be written is written when it is asked for."""
        data = text.encode() if isinstance(text, str) else lambda: text().encode()
        return self.mo.download(data, filename, label=f"{label} (CSV)")

    def for_the_teacher(
        self,
        here: Mapping[str, Any],
        presets: Mapping[str, Mapping[str, Any]],
        restores: Mapping[str, Any],
        downloads: Sequence[Any],
        plan: str,
    ) -> Any:
        """Presets as links, the link that restores every control as it is, downloads, and a plan for the lesson."""
        starts = " · ".join(f"[{title}]({links.link(here, settings)})" for title, settings in presets.items())
        panel = [
            self.mo.md(f"Start the class from: {starts}"),
            self.mo.md(f"[This link]({links.link(here, restores)}) restores every control as it is now."),
            self.mo.hstack(downloads, justify="start"),
            self.mo.md(plan),
        ]
        return self.mo.accordion({"For the teacher": self.mo.vstack(panel)})
