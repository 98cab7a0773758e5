"""What the apps share on the page. Words and layout only: what is shown comes from `emcore`."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import marimo as mo

from emcore.classroom import links
from emcore.classroom.exercises import Exercise


def side_by_side(*columns: Sequence[Any]) -> mo.Html:
    """Columns of views that fold into one on a phone."""
    cells = ("".join(f"{view}" for view in column) for column in columns)
    return mo.Html("<div class='em-grid'>" + "".join(f"<div>{cell}</div>" for cell in cells) + "</div>")


def number_fields(exercises: Iterable[Exercise]) -> Any:
    """One number field per exercise."""
    return mo.ui.array([mo.ui.number(step=0.001, label=asked.question, full_width=True) for asked in exercises])


def choice_fields(exercises: Iterable[tuple[Exercise, Sequence[str]]]) -> Any:
    """One group of radio buttons per exercise with its options."""
    return mo.ui.array([mo.ui.radio(options, label=asked.question) for asked, options in exercises])


def marked(exercises: Iterable[Exercise], *fields: Any, more: Sequence[Any] = ()) -> mo.Html:
    """The fields in an accordion, each with what `Exercise.mark` says of its answer."""
    parts = []
    answers = chain.from_iterable(group.value for group in fields)
    for asked, field, given in zip(exercises, chain.from_iterable(fields), answers, strict=True):
        verdict = asked.mark(given)
        parts += [field, mo.callout(verdict.words, kind=verdict.kind)] if verdict.words else [field]
    return mo.accordion({"Exercises": mo.vstack([*parts, *more], gap=1)})


def ending(trace: Any, worst: float, third: tuple[str, str]) -> mo.Html:
    """The last log p(x) and ELBO, a third number (text, label), and how far off the identity was at its worst."""
    last = trace[-1]
    return mo.hstack(
        [
            mo.stat(f"{last.log_likelihood:,.4f}", label="log p(x) at the end, nats", bordered=True),
            mo.stat(f"{last.elbo:,.4f}", label="ELBO at the end", bordered=True),
            mo.stat(third[0], label=third[1], bordered=True),
            mo.stat(
                f"{worst:.1e}",
                label="largest |log p(x) − ELBO − KL|",
                caption=f"over {len(trace)} half-steps",
                bordered=True,
            ),
        ],
        wrap=True,
        widths="equal",
    )


def every_half_step(trace: Any) -> mo.Html:
    """The trace as a table, folded away."""
    return mo.accordion({"Every half-step in numbers": mo.ui.table(trace.to_frame(), selection=None, page_size=12)})


def csv(text: str, filename: str, label: str) -> mo.Html:
    """A button that downloads a table."""
    return mo.download(text.encode(), filename, label=f"{label} (CSV)")


def for_the_teacher(
    here: Mapping[str, Any],
    presets: Mapping[str, Mapping[str, Any]],
    restores: Mapping[str, Any],
    downloads: Sequence[mo.Html],
    plan: str,
) -> mo.Html:
    """Presets as links, the link that restores every control as it is, downloads, and a plan for the lesson."""
    starts = " · ".join(f"[{title}]({links.link(here, settings)})" for title, settings in presets.items())
    panel = [
        mo.md(f"Start the class from: {starts}"),
        mo.md(f"[This link]({links.link(here, restores)}) restores every control as it is now."),
        mo.hstack(downloads, justify="start"),
        mo.md(plan),
    ]
    return mo.accordion({"For the teacher": mo.vstack(panel)})


def address(query: Any) -> dict[str, str]:
    """What a link to this app must keep of the address: its file, where a folder is served."""
    return {"file": query["file"]} if "file" in query else {}
