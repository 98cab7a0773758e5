"""What an app showed at one setting: marimo's own static page, taken apart."""

import ast
import json
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from emcore.export.course import App, Setting, plainly, values_in
from emcore.export.runs import Marimo

_TRACES = ("Traceback (most recent call last)", "application/vnd.marimo+traceback")
_STOPPED = ("ancestor-stopped", "MarimoAncestorStoppedError")  # a cell that was told to wait is no failure


class ExportError(RuntimeError):
    """An app could not be exported; the message names the app and the cell."""


@dataclass(frozen=True)
class Snapshot:
    """The static page of an app, as marimo wrote it."""

    app: App
    setting: Setting
    text: str

    @cached_property
    def _session_span(self) -> tuple[dict[str, Any], int, int]:
        start = self.text.index('"session": {', self.text.index("__MARIMO_MOUNT_CONFIG__")) + len('"session": ')
        session, length = json.JSONDecoder().raw_decode(self.text[start:])
        return session, start, start + length

    @property
    def session(self) -> dict[str, Any]:
        """marimo's record of the run: its cells with their outputs, in the notebook's order."""
        return self._session_span[0]

    @cached_property
    def models(self) -> Mapping[str, dict[str, Any]]:
        """The state of each widget by the name that the page knows it by, with packed columns as base64 text."""
        start = self.text.index("modelNotifications: Object.freeze(") + len("modelNotifications: Object.freeze(")
        notes, _ = json.JSONDecoder().raw_decode(self.text[start:])
        states: dict[str, dict[str, Any]] = {}
        for note in notes:
            message = note["message"]
            if "state" in message:
                state = states.setdefault(note["model_id"], {})
                state.update(message["state"])
                for path, packed in zip(message["buffer_paths"], message["buffers"], strict=True):
                    *way, last = path
                    at: Any = state
                    for key in way:
                        at = at[key]
                    at[last] = packed
        return states

    def outputs(self) -> Iterator[str]:
        """The HTML that each cell shows, in order; cells that show nothing are left out."""
        for cell in self.session["cells"]:
            for output in cell["outputs"]:
                data = output.get("data") or {}
                shown = data.get("text/html") or data.get("text/markdown")
                if shown:
                    yield shown

    @cached_property
    def values(self) -> Mapping[str, str]:
        """The value of every control, as the page's own link has it; else what was asked for."""
        return values_in("".join(self.outputs())) or plainly(self.setting.query)

    def with_session(self, session: Mapping[str, Any]) -> str:
        """The page's text with another record in it."""
        _, start, end = self._session_span
        packed = json.dumps(session)
        for sign in "<>&":
            packed = packed.replace(sign, f"\\u{ord(sign):04X}")
        return self.text[:start] + packed + self.text[end:]

    def failures(self) -> Iterator[str]:
        """One sentence for each cell that failed."""
        for index, cell in enumerate(self.session["cells"]):
            for output in cell["outputs"]:
                kind = output.get("ename") or ""
                said = output.get("evalue") or ""
                if output.get("type") == "error" and kind not in _STOPPED and not said.startswith("An ancestor"):
                    yield f"{cell_name(self.app.path, index)}: {said or kind}"
                elif any(_TRACES[1] in str(key) for key in output.get("data") or ()):
                    yield f"{cell_name(self.app.path, index)}: what it shows could not be drawn"


def cell_name(path: Path, index: int) -> str:
    """A cell as its author finds it: "cell 4 (line 71: `mo.hstack([guess])`)"."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    setup = [node for node in tree.body if isinstance(node, ast.With)]
    cells = [node for node in tree.body if isinstance(node, ast.FunctionDef) and "app." in _decorators(node)]
    nodes: list[Any] = [*setup, *cells]
    if index >= len(nodes):
        return f"cell {index}"
    first = nodes[index].body[0]
    line = ast.unparse(first).splitlines()[0][:60]
    return f"cell {index} (line {first.lineno}: `{line}`)"


def _decorators(node: ast.FunctionDef) -> str:
    return " ".join(map(ast.unparse, node.decorator_list))


def take(marimo: Marimo, app: App, setting: Setting, folder: Path) -> Snapshot:
    """Run the app at a setting and read what it showed; ExportError where any cell failed."""
    page = folder / "page.html"
    arguments = [f"--{name}={value}" for name, value in setting.query]
    done = marimo(
        "export", "html", str(app.path), "-o", str(page), "-f", "--no-include-code", "--no-sandbox", "--", *arguments
    )
    where = f"{app.path.name} ({setting.title})"
    if not page.exists():
        raise ExportError(f"{where}: marimo wrote no page.\n{done.last_lines}")
    found = Snapshot(app, setting, page.read_text(encoding="utf-8"))
    if failed := list(found.failures()):
        raise ExportError(f"{where}: " + "; ".join(failed))
    if done.code:
        raise ExportError(f"{where}: marimo failed.\n{done.last_lines}")
    check_private(where, found.text)
    return found


def check_private(where: str, text: str) -> None:
    """ExportError for a page that holds a traceback, or a path of this machine."""
    for trace in _TRACES:
        if trace in text:
            raise ExportError(f"{where}: the page would hold a traceback")
    folders = {str(Path.cwd()), str(Path.home()), sysconfig.get_paths()["purelib"], sys.prefix}
    for folder in folders:
        if len(folder) > 1 and re.search(re.escape(folder) + r"(?=[/\\\"'])", text):
            raise ExportError(f"{where}: the page would hold a path of this machine, {folder}")
