"""What every exported page shares: its name, the choice of precomputed settings, the notice, and the front page."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import urlencode

from emcore.export.course import AS_IT_STANDS, App, asked_by, number, plainly, presets
from emcore.export.snapshot import Snapshot

STATIC = Path(__file__).parent / "static"
NOTICE = "Settings that were computed beforehand can be chosen here; the other controls need the live app."
ALONE = "The controls here need the live app."
NOTHING = "They are complete as they are: no network and no Python is asked for."
NEEDS = "needs the live app"


def page_name(app: App, index: int) -> str:
    """The file of an app's setting, by its place: the first is the app as it stands."""
    return f"{app.name}.html" if index == 0 else f"{app.name}-{index}.html"


def place_of(taken: Sequence[Snapshot], query: str) -> int | None:
    """Which page of an app shows what a link asks for; None where none does."""
    asked = asked_by(query)
    named = [place for place, shot in enumerate(taken) if set(shot.setting.query) == set(asked)]
    wanted = dict(taken[0].values) | plainly(asked)
    return next(iter([*named, *(place for place, shot in enumerate(taken) if shot.values == wanted)]), None)


def leads(taken: Sequence[Snapshot], address: Callable[[int], str]) -> Callable[[str], str | None]:
    """From what a link sets ("k=2&hard=1") to the address of the page that shows it."""

    def lead(query: str) -> str | None:
        place = place_of(taken, query)
        return None if place is None else address(place)

    return lead


def bar(taken: Sequence[Snapshot], here: int, address: Callable[[int], str], home: str) -> str:
    """The line over a page: the way back, drop-downs for the app's choices, a list of its presets, the notice."""
    parts = [f'<a class="em-home" href="{home}">All lessons</a>'] if home else []
    parts += _choices(taken, here, address)
    options = [_option(title, address(place), place == here) for title, place in _presets(taken)]
    if not any(" selected" in option for option in options):
        options.insert(0, _option("none of these", "", True))
    if len(options) > 1:
        field = f'<select aria-label="Precomputed" data-em-switch autocomplete="off">{"".join(options)}</select>'
        parts.append(f"<label>Precomputed {field}</label>")
    notice = NOTICE if len(taken) > 1 else ALONE
    return f'<nav class="em-bar" aria-label="Precomputed settings">{"".join(parts)}<span>{notice}</span></nav>'


def _option(text: str, value: str, chosen: bool) -> str:
    return f'<option value="{escape(value)}"{" selected" if chosen else ""}>{escape(text)}</option>'


def _presets(taken: Sequence[Snapshot]) -> list[tuple[str, int]]:
    """The presets that some page shows, and which; the first page's name comes first."""
    found = [(title, place_of(taken, urlencode(query))) for title, query in presets("".join(taken[0].outputs()))]
    name = next((f"{AS_IT_STANDS}: {title}" for title, place in found if place == 0), AS_IT_STANDS)
    return [(name, 0), *((title, place) for title, place in found if place)]


def _choices(taken: Sequence[Snapshot], here: int, address: Callable[[int], str]) -> list[str]:
    """One drop-down for each choice, set as the page is; together they name a page."""
    app, now = taken[0].app, taken[here].values
    combined = [(setting.query, place_of(taken, urlencode(setting.query))) for setting in app.combinations()]
    pages = {tuple(value for _, value in query): address(place) for query, place in combined if place is not None}
    made = []
    for position, name in enumerate(app.choices):
        values = list(dict.fromkeys(page[position] for page in pages))
        options = [_option(value, value, now.get(name) == number(value)) for value in values]
        if not any(" selected" in option for option in options):
            options.insert(0, _option(now.get(name, "…"), "", True))
        field = f'<select aria-label="{escape(name)}" data-em-choice autocomplete="off">{"".join(options)}</select>'
        made.append(f"<label>{escape(name)} {field}</label>")
    return [
        *made,
        *(f'<a hidden data-em-page="{escape(json.dumps(page))}" href="{to}"></a>' for page, to in pages.items()),
    ]


def front_page(
    apps: Sequence[App], pictures: Mapping[str, str], address: Callable[[App], str], needs: str = NOTHING
) -> str:
    """The index: every lesson with its picture, its question and what it is about, and what the pages ask for.

    `pictures` are addresses by name.
    """
    cards = "".join(
        f'<li><a href="{escape(address(app))}">'
        + (f'<img src="{pictures[app.name]}" alt="" width="1200" height="630">' if app.name in pictures else "")
        + f"<h2>{escape(app.title)}</h2><p>{escape(app.description)}</p></a></li>"
        for app in apps
    )
    return (
        '<!DOCTYPE html>\n<html lang="en-GB"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>Expectation-Maximization by half-steps</title><style>{text_of('index.css')}</style></head><body><main>"
        "<h1>Expectation-Maximization by half-steps</h1><p>Lessons in which every picture steps through a run of EM. "
        f"{needs}</p>"
        f"<ul>{cards}</ul><footer>Made with marimo and Vega-Lite.</footer></main></body></html>\n"
    )


def inline_picture(path: Path) -> str:
    """A PNG as an address of its own."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def text_of(name: str) -> str:
    """One of the package's static files."""
    return (STATIC / name).read_text(encoding="utf-8")
