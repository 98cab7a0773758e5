"""What a notebook's cells show, as plain HTML: marimo's own elements become elements that every browser has."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from html import escape, unescape
from html.parser import HTMLParser
from typing import Any

from emcore.export.pages import NEEDS
from emcore.export.tex import mathml

MANY = 12  # options of a list with nothing chosen: more are not written out
Lead = Callable[[str], str | None]
_VOID = frozenset({"br", "hr", "img", "input", "source", "wbr"})
_DROPPED = frozenset({"script", "style", "iframe", "object", "embed"})
_TAGS = re.compile(r"<[^>]*>")
_ALIGNED = re.compile(r"justify-content: [a-z-]+")


def plain(html: str, lead: Lead) -> str:
    """One cell's output. `lead` goes from what a link sets ("k=2&hard=1") to an address, or to None: nowhere."""
    writer = _Writer(lead)
    writer.feed(html)
    writer.close()
    return "".join(writer.out)


def read(attributes: Mapping[str, str | None], name: str, default: Any = None) -> Any:
    """What marimo put into a data attribute, as JSON."""
    text = attributes.get(f"data-{name}")
    return default if text is None else json.loads(text)


class _Writer(HTMLParser):
    """Reads marimo's HTML and writes its own; `open` holds, for each open element, how it ends and its titles."""

    def __init__(self, lead: Lead) -> None:
        super().__init__(convert_charrefs=False)
        self.lead, self.out = lead, list[str]()
        self.open: list[tuple[str, str, list[str]]] = []
        self.formula: list[str] | None = None
        self.dropped = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag in _DROPPED:
            self.dropped += 1
        if self.dropped:
            return
        if tag in _VOID:
            self.out.append(_tag(tag, attrs))
            return
        start, end, titles = self._element(tag, attributes, attrs)
        self.out.append(start)
        self.open.append((tag, end, titles))

    def _element(self, tag: str, attributes: dict[str, str | None], attrs: Any) -> tuple[str, str, list[str]]:
        above = self.open[-1] if self.open else ("", "", [])
        if tag == "div" and above[0] in ("marimo-tabs", "marimo-accordion"):
            title = plain(above[2].pop(0), self.lead) if above[2] else ""
            if above[0] == "marimo-tabs":
                return f'<section class="em-tab"><h3>{title}</h3>', "</section>", []
            return f"<details><summary>{title}</summary><div>", "</div></details>", []
        if tag == "marimo-tex":
            self.formula = []
            return "", "", []
        if tag == "marimo-tabs":
            return '<div class="em-tabs">', "</div>", list(read(attributes, "tabs", []))
        if tag == "marimo-accordion":
            return "", "", list(read(attributes, "labels", []))
        if tag == "marimo-sidebar":
            return '<details class="em-settings"><summary>Settings of this run</summary><div>', "</div></details>", []
        if tag == "a":
            return self._link(attributes), "</a>", []
        if tag.startswith("marimo-"):
            return self._plain_element(tag, attributes), "", []
        return _tag(tag, attrs), f"</{tag}>", []

    def _link(self, attributes: Mapping[str, str | None]) -> str:
        to = attributes.get("href") or ""
        if to.startswith("?"):
            known = self.lead(to[1:])
            return f'<a href="{escape(known)}">' if known else "<a>"
        return f'<a href="{escape(to)}">' if to.startswith(("https:", "http:", "#")) else "<a>"

    def _plain_element(self, tag: str, attributes: Mapping[str, str | None]) -> str:
        match tag:
            case "marimo-anywidget":
                return f'<div class="em-chart" data-model="{escape(str(read(attributes, "model-id")))}"></div>'
            case "marimo-callout-output":
                words = plain(read(attributes, "html", ""), self.lead)
                return f'<div class="em-callout em-{escape(str(read(attributes, "kind", "neutral")))}">{words}</div>'
            case "marimo-stat":
                caption = read(attributes, "caption", "") or ""
                return (
                    f'<div class="em-stat"><small>{escape(str(read(attributes, "label", "")))}</small>'
                    f"<b>{escape(str(read(attributes, 'value')))}</b><small>{escape(str(caption))}</small></div>"
                )
            case "marimo-table":
                return table(read(attributes, "data", "[]"))
            case "marimo-download":
                return _download(attributes)
            case "marimo-ui-element" | "marimo-mermaid" | "marimo-lazy" | "marimo-dict" | "marimo-json-output":
                return ""
        return control(tag, attributes, self.lead)

    def handle_endtag(self, tag: str) -> None:
        if tag in _DROPPED:
            self.dropped = max(0, self.dropped - 1)
            return
        if self.dropped or tag in _VOID or not self.open:
            return
        if tag == "marimo-tex" and self.formula is not None:
            tex = unescape("".join(self.formula)).strip()
            self.formula = None
            self.out.append(
                mathml(
                    tex.removeprefix("||(").removeprefix("||[").removesuffix("||)").removesuffix("||]"), "||[" in tex
                )
            )
        self.out.append(self.open.pop()[1])

    def handle_data(self, data: str) -> None:
        if not self.dropped:
            (self.out if self.formula is None else self.formula).append(data)

    def handle_entityref(self, name: str) -> None:
        self.handle_data(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.handle_data(f"&#{name};")


def _tag(tag: str, attrs: Iterable[tuple[str, str | None]]) -> str:
    kept = [
        (name, _ALIGNED.sub("justify-content: flex-start", value or ""))
        for name, value in attrs
        if not name.startswith("on") and (name != "src" or (value or "").startswith("data:"))
    ]
    return f"<{tag}" + "".join(f' {name}="{escape(value)}"' for name, value in kept) + ">"


def _words(html: Any) -> str:
    return " ".join(unescape(_TAGS.sub(" ", str(html or ""))).split())


def control(tag: str, attributes: Mapping[str, str | None], lead: Lead) -> str:
    """A control that needs Python, as what it was set to; a question keeps its answers to read."""
    label, value = read(attributes, "label"), read(attributes, "initial-value")
    question = plain(label or "", lead)
    options = list(read(attributes, "options", []) or [])
    if tag == "marimo-radio" or (tag == "marimo-dropdown" and not value and len(options) <= MANY):
        answers = "".join(f"<li>{escape(_words(option))}</li>" for option in options)
        return f'<div class="em-question">{question}<ul>{answers}</ul><small class="em-needs">{NEEDS}</small></div>'
    if tag in ("marimo-button", "marimo-file", "marimo-text-area", "marimo-form"):
        return f'<div class="em-set">{question} <small class="em-needs">{NEEDS}</small></div>' if label else ""
    steps = read(attributes, "steps", []) or []
    if steps and isinstance(value, int) and 0 <= value < len(steps):
        value = steps[value]
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    if value is None:
        return f'<div class="em-set">{question} <small class="em-needs">{NEEDS}</small></div>'
    shown = {True: "on", False: "off"}[value] if isinstance(value, bool) else value
    return f'<div class="em-set">{question} <b>{escape(str(shown))}</b></div>'


def _download(attributes: Mapping[str, str | None]) -> str:
    data, name = read(attributes, "data", ""), read(attributes, "filename", "table.csv")
    label = _words(read(attributes, "label"))
    if not str(data).startswith("data:"):
        return f'<span class="em-set">{escape(label)} <small class="em-needs">{NEEDS}</small></span>'
    return f'<a class="em-download" download="{escape(name)}" href="{escape(data)}">{escape(label)}</a>'


def table(data: Any) -> str:
    """Rows of a table, given as marimo gives them: a list as JSON text."""
    rows = json.loads(data) if isinstance(data, str) and data.startswith("[") else data
    if not isinstance(rows, list) or not rows:
        return ""
    names = list(rows[0])
    head = "".join(f"<th>{escape(str(name))}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{escape(_cell(row.get(n)))}</td>" for n in names) + "</tr>" for row in rows)
    return f'<div class="em-table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
