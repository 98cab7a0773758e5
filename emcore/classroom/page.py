"""What the apps share on the page: layout around words, fields and numbers that come from elsewhere.

`emcore` does not know marimo: a notebook hands it over, `page = Page(mo)`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emcore.classroom import links
from emcore.classroom.exercises import Exercise, Verdict

ANSWER = "The answer"


@dataclass(frozen=True)
class Page:
    """The parts that every lesson has, made with the notebook's own marimo."""

    mo: Any

    @property
    def without_python(self) -> bool:
        """Whether what is made here is to stand alone: nothing can be asked for later, as in an exported page."""
        return self.mo.app_meta().mode == "edit"  # which marimo's export also says that it is

    def query(self) -> dict[str, Any]:
        """The settings in the address; where there is none, those after `--` on the command line."""
        return {**self.mo.cli_args().to_dict(), **self.mo.query_params().to_dict()}

    def tabs(self, views: Mapping[str, Any]) -> Any:
        """Views under titles, one of them open."""
        tabs = self.mo.ui.tabs(views)
        tabs.titles = tuple(views)
        return tabs

    def opened(self, tabs: Any) -> tuple[str, ...]:
        """The titles whose views must be drawn: only the open one's, unless the page is to stand alone."""
        return tabs.titles if self.without_python else (tabs.value,)

    def of_tab(self, title: str, words: str) -> Any:
        """Markdown on a tab's view, put beneath all of them; under its title where they are all on the page."""
        titled = f"**{title}**\n\n{words}" if "\n" in words else f"**{title}.** {words}"
        return self.mo.md(titled if self.without_python else words)

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

    def chosen(self, of: links.Choice, value: Any, label: str) -> Any:
        """A choice's list to choose from, numbers too; `value` None: nothing is chosen yet."""
        named = {option if isinstance(option, str) else f"{option:g}": option for option in of.options}
        first = next((name for name, option in named.items() if option == value), None)
        return self.mo.ui.dropdown(named, value=first, label=label, full_width=True)

    def number(self, of: links.Number, value: float, label: str) -> Any:
        """A control's field to type a number into: a seed has no neighbours."""
        return self.mo.ui.number(of.low, of.high, value=value, label=label, full_width=True)

    def fields(self, controls: Mapping[str, links.Control], values: Mapping[str, Any]) -> Callable[..., Any]:
        """What makes a control's field from its name and label, set to its value: `field("k", "components k")`.

        `make=` another method than `control`; other options go to it.
        """

        def field(name: str, label: str, make: Callable[..., Any] = self.control, **options: Any) -> Any:
            return make(controls[name], values[name], label, **options)

        return field

    def folded(self, title: str, make: Callable[[], Any]) -> Any:
        """Something under its title, made when it is opened."""
        return self.mo.accordion(
            {title: make()} if self.without_python else {title: make}, lazy=not self.without_python
        )

    def answer(self, guess: Any, tell: Callable[[], Any], ready: bool | None = None) -> Any:
        """What answers a prediction (Markdown, or a view): told when it is made, or once `ready` where that is given.

        Where nobody can make one, as in an exported page, the answer stands folded under a title.
        """
        if self.without_python:
            return self.folded(ANSWER, lambda: self._shown(tell()))
        if not (guess.value is not None if ready is None else ready):
            return None
        told = tell()
        said = "" if guess.value is None else f"You said: “{guess.value}” "
        return self.mo.md(said + told) if isinstance(told, str) else self.mo.vstack([self.mo.md(said), told])

    def _shown(self, told: Any) -> Any:
        return self.mo.md(told) if isinstance(told, str) else told

    def answer_fields(self, exercises: Iterable[Exercise]) -> Any:
        """One field per exercise: a list to choose from where the answer is one of some choices, else a number."""
        ui = self.mo.ui
        return ui.array(
            [
                ui.dropdown(asked.choices, label=asked.question, full_width=True)
                if asked.choices
                else ui.number(step=0.001, label=asked.question, full_width=True)
                for asked in exercises
            ]
        )

    def marked(self, exercises: Iterable[Exercise], fields: Any) -> list[tuple[Any, Verdict]]:
        """Each field of an array with what is to be said of its answer."""
        return [
            (field, self.mark(asked, given))
            for asked, field, given in zip(exercises, fields, fields.value, strict=True)
        ]

    def mark(self, asked: Exercise, given: Any) -> Verdict:
        """What is to be said of an answer; the right one where none can be given."""
        return asked.solved() if self.without_python else asked.mark(given)

    def exercises(self, answered: Iterable[tuple[Any, Verdict]], more: Sequence[Any] = ()) -> Any:
        """Fields with what is to be said of their answers, folded away; then anything `more`."""
        parts: list[Any] = []
        for field, verdict in answered:
            parts += [field, *self.said(verdict)]
        return self.mo.accordion({"Exercises": self.mo.vstack([*parts, *more], gap=1)})

    def said(self, verdict: Verdict) -> list[Any]:
        """What there is to show of a verdict: nothing where it has no words."""
        if not verdict.words:
            return []
        words = self.mo.callout(verdict.words, kind=verdict.kind)
        return [self.folded(ANSWER, lambda: words) if self.without_python else words]

    def numbers(self, shown: Iterable[tuple[str, str]], worst: float, n_half_steps: int) -> Any:
        """Numbers as (text, label) in a row, and last how far off log p(x) = ELBO + KL was at its worst."""
        stat = self.mo.stat
        blank = "\u00a0"  # cards of one height
        stats = [stat(text, label=label, caption=blank, bordered=True) for text, label in shown]
        identity = stat(
            f"{worst:.1e}",
            label="largest |log p(x) − ELBO − KL|",
            caption=f"over {n_half_steps} half-steps",
            bordered=True,
        )
        return self.mo.hstack([*stats, identity], wrap=True, widths="equal")

    def every_half_step(self, trace: Any) -> Any:
        """The trace as a table, folded away and made when it is opened."""
        return self.folded("Every half-step in numbers", lambda: self.table(trace.to_frame(), page_size=12))

    def code(self, script: str) -> Any:
        """The script that does what the page shows, to read, copy and download; folded away."""

        def shown() -> Any:
            file = self.mo.download(script.encode(), "fit.py", label="as a file (fit.py)")
            return self.mo.vstack([self.mo.md(f"````python\n{script}````"), file], align="start")

        return self.folded("The code that does this", shown)

    def table(self, rows: Any, **options: Any) -> Any:
        """Rows to look through; all of them at once where the page is to stand alone (turning pages asks Python)."""
        options = {"pagination": False} if self.without_python else options
        return self.mo.ui.table(rows, selection=None, **options)

    def csv(self, text: str | Callable[[], str], filename: str, label: str) -> Any:
        """A button that downloads a table; one that is still to be written is written when it is asked for."""
        if self.without_python and not isinstance(text, str):
            text = text()
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
        here_again = f"[This link]({links.link(here, restores)}) restores every control as it is now."

        def panel() -> Any:
            words = self.mo.md(f"Start the class from: {starts}\n\n{here_again}")
            return self.mo.vstack([words, self.mo.hstack(downloads, justify="start", wrap=True), self.mo.md(plan)])

        return self.folded("For the teacher", panel)
