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

    def control(self, of: links.Number | links.Choice | links.Flag, value: Any, label: str, **options: Any) -> Any:
        """The field of a control that a link may set: a slider for numbers, a switch for a flag, else a list.

        `options` go to marimo: debounce=True for a slider whose every value is a fit of its own.
        """
        ui, wide = self.mo.ui, {"label": label, "full_width": True} | options
        match of:
            case links.Flag():
                return ui.switch(value=value, label=label, **options)
            case links.Number():
                return ui.slider(of.low, of.high, value=value, show_value=True, **wide)
            case links.Choice() if isinstance(of.options[0], str):
                return ui.dropdown(list(of.options), value=value, **wide)
        return ui.slider(steps=list(of.options), value=value, show_value=True, **wide)

    def number(self, of: links.Number, value: float, label: str) -> Any:
        """A control's field to type a number into: a seed has no neighbours."""
        return self.mo.ui.number(of.low, of.high, value=value, label=label, full_width=True)

    def folded(self, title: str, make: Callable[[], Any]) -> Any:
        """Something under its title, made when it is opened."""
        return self.mo.accordion({title: make}, lazy=True)

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
        """The trace as a table, folded away and made when it is opened."""
        table = self.mo.ui.table
        return self.folded("Every half-step in numbers", lambda: table(trace.to_frame(), selection=None, page_size=12))

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
            self.mo.hstack(downloads, justify="start", wrap=True),
            self.mo.md(plan),
        ]
        return self.mo.accordion({"For the teacher": self.mo.vstack(panel)})
