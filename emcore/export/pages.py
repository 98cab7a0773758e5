"""What every exported page shares: its name, the choice of precomputed settings, the notice, and the front page."""

import base64
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

from emcore.export.course import App, Setting

STATIC = Path(__file__).parent / "static"
NOTICE = "Settings that were computed beforehand can be chosen here; the other controls need the live app."
NEEDS = "needs the live app"


def page_name(app: App, index: int) -> str:
    """The file of an app's setting, by its place: the first is the app as it stands."""
    return f"{app.name}.html" if index == 0 else f"{app.name}-{index}.html"


def bar(app: App, settings: Sequence[Setting], here: int, address: Callable[[int], str], home: str) -> str:
    """The line over a page: the way back, drop-downs for the app's choices, a list of its presets, the notice."""
    n_choices = len(list(app.combinations()))
    combined = [index for index in range(1, len(settings)) if index <= n_choices]
    parts = [f'<a class="em-home" href="{home}">All lessons</a>'] if home else []
    if combined:
        parts += _selects(app, settings, here, [(index, address(index)) for index in combined])
    listed = [0, *range(len(combined) + 1, len(settings))]
    options = "".join(
        f'<option value="{escape(address(index))}"{" selected" if index == here else ""}>'
        f"{escape(settings[index].title)}</option>"
        for index in listed
    )
    if here in combined:
        options = f'<option value="" selected>{escape(settings[here].title)}</option>' + options
    parts.append(f'<label>Precomputed <select class="em-preset" data-em-switch>{options}</select></label>')
    return f'<nav class="em-bar" aria-label="Precomputed settings">{"".join(parts)}<span>{NOTICE}</span></nav>'


def _selects(app: App, settings: Sequence[Setting], here: int, pages: Sequence[tuple[int, str]]) -> list[str]:
    """One drop-down for each choice; together they name a page."""
    now = dict(settings[here].query)
    made = []
    for name, values in app.choices.items():
        blank = "" if name in now and here else '<option value="" selected>…</option>'
        options = "".join(
            f"<option{' selected' if here and now.get(name) == str(value) else ''}>{escape(str(value))}</option>"
            for value in values
        )
        field = f'<select aria-label="{escape(name)}" data-em-choice="{escape(name)}">'
        made.append(f"<label>{escape(name)} {field}{blank}{options}</select></label>")
    named = [(escape("|".join(value for _, value in settings[index].query)), escape(to)) for index, to in pages]
    table = "".join(f'<a hidden data-em-page="{values}" href="{to}"></a>' for values, to in named)
    return [*made, table]


def front_page(apps: Sequence[App], pictures: Mapping[str, str], address: Callable[[App], str]) -> str:
    """The index: every lesson with its picture, its question and what it is about. `pictures` are addresses by name."""
    cards = "".join(
        f'<li><a href="{escape(address(app))}">'
        + (f'<img src="{pictures[app.name]}" alt="" width="1200" height="630">' if app.name in pictures else "")
        + f"<h2>{escape(app.title)}</h2><p>{escape(app.description)}</p></a></li>"
        for app in apps
    )
    style = (STATIC / "index.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en-GB"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>Expectation-Maximization by half-steps</title><style>{style}</style></head><body><main>"
        "<h1>Expectation-Maximization by half-steps</h1><p>Lessons in which every picture steps through a run of EM. "
        "They are complete as they are: no network and no Python is asked for.</p>"
        f"<ul>{cards}</ul></main></body></html>\n"
    )


def inline_picture(path: Path) -> str:
    """A PNG as an address of its own."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def text_of(name: str) -> str:
    """One of the package's static files."""
    return (STATIC / name).read_text(encoding="utf-8")
