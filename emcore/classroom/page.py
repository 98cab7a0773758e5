"""What the apps share on the page: layout around words, fields and numbers that come from elsewhere.

`emcore` does not know marimo: a notebook hands it over, `page = Page(mo)`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from emcore.classroom import links
from emcore.classroom.exercises import Exercise


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

    def choice_fields(self, exercises: Iterable[tuple[Exercise, Sequence[str]]]) -> Any:
        """One group of radio buttons per exercise with its options."""
        return self.mo.ui.array([self.mo.ui.radio(options, label=asked.question) for asked, options in exercises])

    def marked(self, exercises: Iterable[Exercise], *fields: Any, more: Sequence[Any] = ()) -> Any:
        """The fields in an accordion, each with what `Exercise.mark` says of its answer; then anything `more`."""
        parts: list[Any] = []
        answers = chain.from_iterable(group.value for group in fields)
        for asked, field, given in zip(exercises, chain.from_iterable(fields), answers, strict=True):
            verdict = asked.mark(given)
            said = [self.mo.callout(verdict.words, kind=verdict.kind)] if verdict.words else []
            parts += [field, *said]
        return self.mo.accordion({"Exercises": self.mo.vstack([*parts, *more], gap=1)})

    def ending(self, trace: Any, worst: float, third: tuple[str, str]) -> Any:
        """The last log p(x) and ELBO, a third number (text, label), and how far off the identity was at its worst."""
        last, stat = trace[-1], self.mo.stat
        numbers = [
            stat(f"{last.log_likelihood:,.4f}", label="log p(x) at the end, nats", bordered=True),
            stat(f"{last.elbo:,.4f}", label="ELBO at the end", bordered=True),
            stat(third[0], label=third[1], bordered=True),
            stat(
                f"{worst:.1e}",
                label="largest |log p(x) − ELBO − KL|",
                caption=f"over {len(trace)} half-steps",
                bordered=True,
            ),
        ]
        return self.mo.hstack(numbers, wrap=True, widths="equal")

    def every_half_step(self, trace: Any) -> Any:
        """The trace as a table, folded away."""
        table = self.mo.ui.table(trace.to_frame(), selection=None, page_size=12)
        return self.mo.accordion({"Every half-step in numbers": table})

    def csv(self, text: str, filename: str, label: str) -> Any:
        """A button that downloads a table."""
        return self.mo.download(text.encode(), filename, label=f"{label} (CSV)")

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
