"""Which apps there are, and at which settings each is to be run."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

_HEADER = re.compile(r"^# /// script\n(.*?)^# ///$", re.MULTILINE | re.DOTALL)
_STARTS = re.compile(r"Start the class from:(.*?)</span>", re.DOTALL)
_LINK = re.compile(r"<a href=\"\?([^\"]*)\"[^>]*>(.*?)</a>")
_HERE = re.compile(r"<a href=\"\?([^\"]*)\"[^>]*>This link</a>")


AS_IT_STANDS = "as it stands"


class Setting(NamedTuple):
    """One run of an app: what its link is called, and what the link sets (as text)."""

    title: str
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class App:
    """A notebook and what its header says of it; `choices` are the values of controls to be run with one another."""

    path: Path
    title: str
    description: str
    choices: Mapping[str, tuple[Any, ...]]

    @property
    def name(self) -> str:
        """The file's name without its ending, which the pages are named by."""
        return self.path.stem

    @property
    def thumbnail(self) -> Path:
        """Where the gallery's picture lies."""
        return self.path.parent / "__marimo__" / "assets" / self.name / "opengraph.png"

    def combinations(self) -> Iterator[Setting]:
        """Every combination of the choices, in their order."""
        for values in product(*self.choices.values()) if self.choices else ():
            query = tuple((name, str(value)) for name, value in zip(self.choices, values, strict=True))
            yield Setting(", ".join(f"{name} {value}" for name, value in query), query)


def read_app(path: Path) -> App | None:
    """The notebook at a path; None where the file is none. ValueError for a header that cannot be read."""
    text = path.read_text(encoding="utf-8")
    if "marimo.App(" not in text:
        return None
    found = _HEADER.search(text)
    lines = found[1].splitlines() if found else []
    try:
        tools = tomllib.loads("\n".join(line.removeprefix("#").removeprefix(" ") for line in lines)).get("tool", {})
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name}: its script header is no TOML ({error})") from error
    said = tools.get("marimo", {}).get("opengraph", {})
    choices = {name: tuple(values) for name, values in tools.get("emcore", {}).get("export", {}).items()}
    title = said.get("title", path.stem.replace("_", " "))
    return App(path, title, said.get("description", ""), MappingProxyType(choices))


def apps_in(path: Path) -> tuple[App, ...]:
    """The apps of a folder by name, or the one app of a file; ValueError where there is none."""
    if not path.exists():
        raise ValueError(f"{path} does not exist: name a folder of apps, or one of its files")
    files = sorted(path.glob("*.py")) if path.is_dir() else [path]
    found = tuple(app for app in map(read_app, files) if app is not None)
    if not found:
        raise ValueError(f"no marimo app in {path}")
    return found


def presets(html: str) -> Iterator[Setting]:
    """The settings that the teacher's panel of a page links to."""
    for panel in _STARTS.findall(html):
        for query, title in _LINK.findall(panel):
            yield Setting(unescape(title), asked_by(unescape(query)))


def asked_by(query: str) -> tuple[tuple[str, str], ...]:
    """What a link sets, besides which app is to be opened."""
    return tuple(pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != "file")


def values_in(html: str) -> Mapping[str, str]:
    """The value of every control of a page, from the link in it that restores them; empty where it has none."""
    found = _HERE.search(html)
    return plainly(asked_by(unescape(found[1]))) if found else {}


def plainly(query: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Values by name, each number written in one way only: "1.0" and "1" are the same setting."""
    return {name: number(text) for name, text in query}


def number(text: str) -> str:
    """A number written in one way only, other text as it is."""
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text


def settings_of(app: App, html: str, most: int | None) -> tuple[Setting, ...]:
    """The app as it stands, its combinations of choices, then its teacher's presets; `most` besides the first.

    Of those that set the same, given how the app stands (`html`), only the first is kept.
    """
    as_it_stands = values_in(html)
    found: dict[frozenset[tuple[str, str]], Setting] = {}
    for setting in (Setting(AS_IT_STANDS), *app.combinations(), *presets(html)):
        found.setdefault(frozenset((dict(as_it_stands) | plainly(setting.query)).items()), setting)
    first, *more = found.values()
    return (first, *more[:most])
